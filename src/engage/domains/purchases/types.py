"""Plain values of purchases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One item of an order, as a till sends it."""

    item: str
    quantity: int
    amount: Decimal
    category: str | None = None
    brand: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One order, as a till or a file has it. `currency` None means the program's; `amount` is in whole units."""

    order_no: str
    amount: Decimal
    purchased_at: datetime
    channel: str
    currency: str | None = None
    store: str | None = None
    quantity: int | None = None
    lines: tuple[OrderLine, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnedOrder:
    """An order that is ready to be stored: whose it is and what it earns."""

    id: UUID
    member_id: UUID
    order: Order
    currency: str
    points: int
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """What is on file under an order number."""

    id: UUID
    member_id: UUID
    points: int
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class PurchaseRecord:
    """A purchase as it stands."""

    id: UUID
    member_id: UUID
    order_no: str
    channel: str
    store: str | None
    amount: Decimal
    currency: str
    quantity: int | None
    points: int
    purchased_at: datetime
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True, slots=True)
class PurchaseTotals:
    """How many purchases a program has, and how much was spent in them."""

    purchases: int
    spend: Decimal
