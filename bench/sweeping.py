"""The sweep of some accounts in a process of its own: `python -m bench.sweeping paced|unpaced ACCOUNTS`."""

from __future__ import annotations

import asyncio
import sys

from engage.base.actor import SYSTEM
from engage.base.settings import settings
from engage.domains.ledger import service
from engage.domains.ledger.jobs import SWEEP_BATCH_MAX
from engage.outbox import ask
from engage.outbox.here import HOLD_S, JobSeen, run_here
from engage.wiring import connected


async def paced(accounts: int) -> None:
    """The job itself, as workers run it; cancelled once it has done so many since it was first seen at work."""
    enough, begun = asyncio.Event(), 0

    def look(seen: JobSeen) -> None:
        nonlocal begun
        done = seen.progress.rows_done
        if done and not begun:
            begun = done
            print("sweeping", flush=True)
        if begun and done >= begun + accounts and not enough.is_set():
            print("swept", flush=True)
            enough.set()

    await run_here(await ask(SYSTEM, "ledger.sweep", hold_s=HOLD_S), look, stop=enough)


async def unpaced(accounts: int) -> None:
    """One batch after another."""
    print("sweeping", flush=True)
    while accounts > 0 and (swept := await service.sweep_due(SWEEP_BATCH_MAX)):
        accounts -= swept
    print("swept", flush=True)


async def main() -> None:
    """Sweep, and say when that has begun and when it ends, apart from what a process does before and after."""
    async with connected(settings(), "engage-bench-sweep"):
        await {"paced": paced, "unpaced": unpaced}[sys.argv[1]](int(sys.argv[2]))


if __name__ == "__main__":
    asyncio.run(main())
