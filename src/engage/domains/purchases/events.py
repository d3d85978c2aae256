"""What purchases say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from engage.domains.members.events import member_stream
from engage.outbox import Event


@dataclass(frozen=True, slots=True)
class PurchaseRecorded(Event):
    """An order is on file and has earned what it earns. Audience: the member and staff."""

    NAME: ClassVar[str] = "purchases.recorded.v1"

    purchase_id: UUID
    member_id: UUID
    program: str
    amount: Decimal
    currency: str
    points: int
    purchased_at: datetime

    @property
    def stream(self) -> str:
        """The member's own."""
        return member_stream(self.member_id)

    def data(self) -> dict[str, object]:
        """Ids and figures; the amount is text, since a JSON number would lose decimals."""
        return {
            "purchase_id": str(self.purchase_id),
            "member_id": str(self.member_id),
            "program": self.program,
            "amount": str(self.amount),
            "currency": self.currency,
            "points": self.points,
            "purchased_at": self.purchased_at,
        }
