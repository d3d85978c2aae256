"""Jobs of the ledger: what time does to points by itself, new ends for what is there, the seal of history."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from uuid import UUID

from engage.domains.ledger import seal, service
from engage.domains.ledger.policy.service import EXPIRY_JOB
from engage.outbox import Bounds, Run, Step, job
from engage.outbox.kinds import KEEP_ASKED
from engage.outbox.limits import JOB_TIMEOUT_S

SWEEP_BATCH_MAX = 200
"""Accounts settled in one transaction at the most."""

SWEEP_AIM_S = 0.003
"""How long one batch is to keep the database busy: live commands that come meanwhile wait about as long."""

SWEEP_RESTS = 4
"""After each batch the database is left alone so many times as long as the batch took."""

REMIND_BATCH = 1000
RESCHEDULE_BATCH = 200
REMIND_DAYS = (30, 7, 1)
"""How many days before an expiry members are reminded."""


@job("ledger.sweep", cron="* * * * *")
async def sweep(run: Run) -> None:
    """Post what has matured and expired, in batches of a few milliseconds, each followed by a longer rest.

    So live commands find the database free most of the time, however much is due at once, and longer when it is slow.
    """
    swept, size = 1, 1.0

    async def batch() -> Step:
        nonlocal swept, size
        began = time.monotonic()
        swept = await service.sweep_due(round(size))
        change = SWEEP_AIM_S / (time.monotonic() - began)
        size = min(SWEEP_BATCH_MAX, max(1, size * min(2, max(0.5, change))))
        return Step(done=swept)

    while swept:
        began = time.monotonic()
        await run.step(batch)
        await asyncio.sleep((time.monotonic() - began) * SWEEP_RESTS)


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


@job(EXPIRY_JOB, bounds=Bounds(timeout_s=JOB_TIMEOUT_S, in_flight_max=1, keep=KEEP_ASKED))
async def apply_expiry(run: Run) -> None:
    """Give the points of a program their ends by a version of its policy, as an admin has had previewed."""
    program, version = run.args["program"], run.args["version"]
    earliest = datetime.fromisoformat(run.args["earliest"])

    async def batch() -> Step:
        after = UUID(run.state.get("after", str(UUID(int=0))))
        done = await service.reschedule_lots(program, version, earliest, after, RESCHEDULE_BATCH)
        lots = run.state.get("lots", 0) + done.lots
        return Step(
            state={"after": None if done.last_account is None else str(done.last_account), "lots": lots},
            done=done.accounts,
        )

    while run.state.get("after", "") is not None:
        await run.step(batch)


@job("ledger.seal", cron="*/5 * * * *")
async def seal_history(run: Run) -> None:
    """Seal what has been posted since the last block, one block at a time."""
    sealed = 1

    async def block() -> Step:
        nonlocal sealed
        sealed = await seal.seal_next()
        return Step(done=sealed)

    while sealed:
        await run.step(block)
