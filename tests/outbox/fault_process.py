"""A worker to be killed, paused and cut off at random. Run as `python -m tests.outbox.fault_process`."""

from __future__ import annotations

import asyncio
import signal

from engage.base import db
from engage.base.settings import settings
from engage.outbox import OutboxEvent, Run, Step, job, on
from engage.outbox.limits import Limits
from engage.worker import run_worker
from tests.outbox.working import Happened, leave_effect

PLAIN, ORDERED, LONG = "tests.plain", "tests.ordered", "tests.long"
STEP = 50
LIMITS = Limits(lease_s=3.0, poll_s=0.2, grace_s=5)


@on(Happened, name=PLAIN)
async def plain(event: OutboxEvent) -> None:
    await leave_effect(event, PLAIN)


@on("tests.in_order.v1", name=ORDERED, ordered=True)
async def ordered(event: OutboxEvent) -> None:
    await leave_effect(event, ORDERED, str(event.position))


@job(LONG)
async def long(run: Run) -> None:
    """Leave as many effects as asked for, some in each step."""
    total = int(run.args["rows"])

    async def some() -> Step:
        begun = int(run.state.get("rows", 0))
        rows = min(STEP, total - begun)
        await db.execute(
            "INSERT INTO effects (event_id, handler, note) SELECT $1, $2, n FROM generate_series($3::int, $4) n",
            run.id,
            LONG,
            begun + 1,
            begun + rows,
        )
        return Step(state={"rows": begun + rows}, done=rows, total=total)

    while int(run.state.get("rows", 0)) < total:
        await run.step(some)
        await asyncio.sleep(0.01)


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_worker(settings(), stop, LIMITS)


if __name__ == "__main__":
    asyncio.run(main())
