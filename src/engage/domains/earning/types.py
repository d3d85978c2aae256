"""Plain values of earning."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from engage.base.errors import Refusal
from engage.domains.ledger.types import Balance
from engage.domains.members.types import IdentityRef, ProgramRecord
from engage.domains.purchases.types import Order


@dataclass(frozen=True, slots=True)
class PurchaseInput:
    """An order and whose it is, as a till or a file names them."""

    member: IdentityRef
    order: Order


@dataclass(frozen=True, slots=True)
class Desk:
    """What orders of one program are checked against."""

    program: ProgramRecord
    channels: frozenset[str]
    stores: frozenset[str]


@dataclass(frozen=True, slots=True)
class CheckedOrder:
    """An order that can be right by itself: normalised, with the hash that tells a repetition."""

    member: IdentityRef
    order: Order
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class PurchaseResult:
    """What became of an order.

    `balance` and `position` are those right after it; None of a replayed one, which was on file already, of one that
    earned nothing, and of all in a file.
    """

    purchase_id: UUID
    member_id: UUID
    points: int
    replayed: bool
    balance: Balance | None = None
    position: int | None = None


Outcome = PurchaseResult | Refusal
"""Per row of a bulk command: what became of it, or why it was refused."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What became of the orders of a batch, one by one and in sum."""

    outcomes: list[Outcome]
    members_new: int
    points_expired: int
