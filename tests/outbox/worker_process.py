"""A worker as a process of its own, to be killed. Run as `python -m tests.outbox.worker_process`.

Says `ready` when it runs, and `hanging` when it has come to the event whose first attempt never ends.
"""

from __future__ import annotations

import asyncio
import os
import signal

from engage.base.settings import settings
from engage.outbox import OutboxEvent, on
from engage.outbox.limits import Limits
from engage.worker import run_worker
from tests.outbox.working import Happened, leave_effect

HANDLER = "tests.leave"
HANGING = 13
LEASE_S = 2.0


@on(Happened, name=HANDLER)
async def leave(event: OutboxEvent) -> None:
    await leave_effect(event, HANDLER, str(os.getpid()))
    if event.data["figure"] == HANGING and event.attempt == 1:
        print("hanging", flush=True)  # noqa: T201 -- tells the test
        await asyncio.Event().wait()


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)  # noqa: T201 -- tells the test
    await run_worker(settings(), stop, Limits(concurrency=4, lease_s=LEASE_S))


if __name__ == "__main__":
    asyncio.run(main())
