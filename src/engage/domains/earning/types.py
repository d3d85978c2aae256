"""Plain values of earning."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from engage.base.errors import Refusal
from engage.domains.ledger.types import Balance
from engage.domains.members.types import IdentityRef
from engage.domains.purchases.types import Order


@dataclass(frozen=True, slots=True)
class PurchaseInput:
    """An order and whose it is, as a till or a file names them."""

    member: IdentityRef
    order: Order


@dataclass(frozen=True, slots=True)
class PurchaseResult:
    """What became of an order.

    `balance` and `position` are those right after it; of a replayed one, which was on file already, they are None.
    """

    purchase_id: UUID
    member_id: UUID
    points: int
    replayed: bool
    balance: Balance | None = None
    position: int | None = None


Outcome = PurchaseResult | Refusal
"""Per row of a bulk command: what became of it, or why it was refused."""
