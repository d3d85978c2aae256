"""What notifications do when something happens elsewhere."""

from __future__ import annotations

from uuid import UUID

from engage.domains.ledger.events import PointsExpiring
from engage.domains.notifications import service
from engage.domains.notifications.types import MessageCode
from engage.outbox import OutboxEvent, on


@on(PointsExpiring)
async def remind_of_expiry(event: OutboxEvent) -> None:
    """Tell the member which points are about to expire."""
    data = event.data
    await service.add_message(
        UUID(str(data["member_id"])),
        MessageCode.POINTS_EXPIRING,
        {"program": data["program"], "amount": data["amount"], "expires_on": data["expires_on"]},
    )
