"""Scheduled work of the ledger: what time alone does to points, for members who do nothing."""

from __future__ import annotations

from uuid import UUID

from engage.domains.ledger import service
from engage.outbox import Tick, job

SWEEP_BATCH = 500
REMIND_BATCH = 1000
REMIND_DAYS = (30, 7, 1)
"""How many days before an expiry members are reminded."""


@job("ledger.sweep", every_minutes=1)
async def sweep(_tick: Tick) -> None:
    """Post what has matured and expired, in bounded batches that live commands do not wait for."""
    while await service.sweep_due(SWEEP_BATCH):
        pass


@job("ledger.remind", every_minutes=60)
async def remind(_tick: Tick) -> None:
    """Remind members of points about to expire: once for each day of expiry and distance, summed per member."""
    after: UUID | None = UUID(int=0)
    while after is not None:
        after = await service.remind_expiring(REMIND_DAYS, after, REMIND_BATCH)
