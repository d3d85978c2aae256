"""Scheduled work of the ledger: what time alone does to points, for members who do nothing."""

from __future__ import annotations

from uuid import UUID

from engage.domains.ledger import service
from engage.outbox import Run, Step, job

SWEEP_BATCH = 500
REMIND_BATCH = 1000
REMIND_DAYS = (30, 7, 1)
"""How many days before an expiry members are reminded."""


@job("ledger.sweep", cron="* * * * *")
async def sweep(run: Run) -> None:
    """Post what has matured and expired, in bounded batches that live commands do not wait for."""
    swept = 1

    async def batch() -> Step:
        nonlocal swept
        swept = await service.sweep_due(SWEEP_BATCH)
        return Step(done=swept)

    while swept:
        await run.step(batch)


@job("ledger.remind", cron="0 * * * *")
async def remind(run: Run) -> None:
    """Remind members of points about to expire: once for each day of expiry and distance, summed per member."""

    async def batch() -> Step:
        after = await service.remind_expiring(
            REMIND_DAYS, UUID(run.state.get("after", str(UUID(int=0)))), REMIND_BATCH
        )
        return Step(state={"after": None if after is None else str(after)})

    while run.state.get("after", "") is not None:
        await run.step(batch)
