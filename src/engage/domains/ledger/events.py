"""What the ledger says. The kernel writes these events itself; the names are its contract.

Each one's stream is the member's, its audience the member and staff. Data of all but PointsExpiring: member_id,
program, currency (POINTS or CASH), transfer_id, kind, amount (signed), reason, cause_type, cause_id, refers_id,
reverses_id, posted_at and balance, which holds available, pending, held and debt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from engage.domains.ledger.types import AdjustmentState
from engage.domains.members.events import member_stream
from engage.outbox import Event

EXPIRY_CHANGED = "ledger.expiry_changed.v1"
"""Points have other ends by a new version of the policy; data: member_id, program, version, sooner, later."""

POINTS_EARNED = "ledger.points_earned.v1"
POINTS_CONFIRMED = "ledger.points_confirmed.v1"
POINTS_MATURED = "ledger.points_matured.v1"
POINTS_EXPIRED = "ledger.points_expired.v1"
POINTS_SPENT = "ledger.points_spent.v1"
POINTS_HELD = "ledger.points_held.v1"
HOLD_CAPTURED = "ledger.hold_captured.v1"
HOLD_RELEASED = "ledger.hold_released.v1"
POINTS_RETURNED = "ledger.points_returned.v1"
POINTS_CLAWED_BACK = "ledger.points_clawed_back.v1"
DEBT_PAID = "ledger.debt_paid.v1"
POINTS_GIFTED = "ledger.points_gifted.v1"
GIFT_RECEIVED = "ledger.gift_received.v1"
FEE_CHARGED = "ledger.fee_charged.v1"
POINTS_DONATED = "ledger.points_donated.v1"
POINTS_EXCHANGED = "ledger.points_exchanged.v1"
EXCHANGE_RECEIVED = "ledger.exchange_received.v1"
POINTS_DEDUCTED = "ledger.points_deducted.v1"
POINTS_RESTORED = "ledger.points_restored.v1"
POINTS_ADDED = "ledger.points_added.v1"
POINTS_REMOVED = "ledger.points_removed.v1"
VALUE_TOPPED_UP = "ledger.value_topped_up.v1"
VALUE_REFUNDED = "ledger.value_refunded.v1"
POINTS_MERGED_AWAY = "ledger.points_merged_away.v1"
POINTS_MERGED_IN = "ledger.points_merged_in.v1"

BALANCE_CHANGES = frozenset(
    {
        POINTS_EARNED,
        POINTS_CONFIRMED,
        POINTS_MATURED,
        POINTS_EXPIRED,
        POINTS_SPENT,
        POINTS_HELD,
        HOLD_CAPTURED,
        HOLD_RELEASED,
        POINTS_RETURNED,
        POINTS_CLAWED_BACK,
        DEBT_PAID,
        POINTS_GIFTED,
        GIFT_RECEIVED,
        FEE_CHARGED,
        POINTS_DONATED,
        POINTS_EXCHANGED,
        EXCHANGE_RECEIVED,
        POINTS_DEDUCTED,
        POINTS_RESTORED,
        POINTS_ADDED,
        POINTS_REMOVED,
        VALUE_TOPPED_UP,
        VALUE_REFUNDED,
        POINTS_MERGED_AWAY,
        POINTS_MERGED_IN,
    }
)
"""The events after which a balance is another one: one name for each kind of transfer."""


@dataclass(frozen=True, slots=True)
class PointsExpiring(Event):
    """Points of a member will expire on a day (in the program's zone); said once per day and distance."""

    NAME: ClassVar[str] = "ledger.points_expiring.v1"

    member_id: UUID
    program: str
    amount: int
    expires_on: date
    days_before: int

    @property
    def stream(self) -> str:
        """The member's own."""
        return member_stream(self.member_id)


@dataclass(frozen=True, slots=True)
class ExchangeRatePublished(Event):
    """Points of one program are worth something else in another from a moment on. Audience: everyone."""

    NAME: ClassVar[str] = "ledger.exchange_rate_published.v1"

    rate_id: UUID
    from_program: str
    to_program: str
    version: int
    effective_at: datetime

    @property
    def stream(self) -> str:
        """That of the program whose points are given."""
        return f"program:{self.from_program}"


@dataclass(frozen=True, slots=True)
class AdjustmentRequested(Event):
    """A correction waits for a second person. Audience: staff."""

    NAME: ClassVar[str] = "ledger.adjustment_requested.v1"

    adjustment_id: UUID
    member_id: UUID
    program: str
    amount: int
    reason: str

    @property
    def stream(self) -> str:
        """That of the program."""
        return f"program:{self.program}"


@dataclass(frozen=True, slots=True)
class AdjustmentDecision(Event):
    """A correction was approved or rejected. Audience: staff."""

    NAME: ClassVar[str] = "ledger.adjustment_decided.v1"

    adjustment_id: UUID
    program: str
    state: AdjustmentState

    @property
    def stream(self) -> str:
        """That of the program."""
        return f"program:{self.program}"
