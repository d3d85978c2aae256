"""What the ledger says. The kernel writes these events itself; the names are its contract.

Each one's stream is the member's, its audience the member and staff. Data of all but PointsExpiring: member_id,
program, transfer_id, kind, amount (signed), reason, cause_type, cause_id, posted_at and balance, which holds
available, pending, held and debt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar
from uuid import UUID

from engage.domains.members.events import member_stream
from engage.outbox import Event

POINTS_EARNED = "ledger.points_earned.v1"
POINTS_SPENT = "ledger.points_spent.v1"
POINTS_MATURED = "ledger.points_matured.v1"
POINTS_EXPIRED = "ledger.points_expired.v1"

BALANCE_CHANGES = frozenset({POINTS_EARNED, POINTS_SPENT, POINTS_MATURED, POINTS_EXPIRED})
"""The events after which a balance is another one."""


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
