"""A worker with a handler that never yields. Run as `python -m tests.outbox.blocking_process`."""

from __future__ import annotations

import asyncio
import re
import signal
import time

from engage.base.settings import settings
from engage.outbox import Bounds, OutboxEvent, on
from engage.outbox.limits import Limits
from engage.worker import run_worker
from tests.outbox.working import Happened, leave_effect

GOOD, BLOCKING = "tests.good", "tests.blocking"
BLOCKED_S = 1.5
BLOCKS = "tests.blocks.v1"
ATTEMPTS_MAX = 2
LIMITS = Limits(concurrency=4, lease_s=6, poll_s=0.2, blocked_s=BLOCKED_S)


@on(Happened, name=GOOD)
async def good(event: OutboxEvent) -> None:
    await leave_effect(event, GOOD)


@on(BLOCKS, name=BLOCKING, bounds=Bounds(attempts_max=ATTEMPTS_MAX))
async def blocking(event: OutboxEvent) -> None:
    await leave_effect(event, BLOCKING)
    match event.data["way"]:
        case "loop":
            while True:
                pass
        case "wait":
            time.sleep(3600)  # noqa: ASYNC251 -- which is what is tried
        case "pattern":
            re.match(r"(a+)+$", "a" * 60 + "b")
        case "task":
            await asyncio.create_task(spin())
        case "deaf" if event.attempt == 1:
            sum(range(10**13))


async def spin() -> None:
    while True:
        pass


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_worker(settings(), stop, LIMITS, owns_process=True)


if __name__ == "__main__":
    asyncio.run(main())
