"""A process that runs a job by itself, to be killed. Run as `python -m tests.outbox.here_process`.

Says `hanging` when it has come to the row that it never gets done.
"""

from __future__ import annotations

import asyncio

from engage.base.actor import SYSTEM
from engage.base.settings import settings
from engage.outbox import Run, ask
from engage.outbox.here import run_here
from engage.outbox.registry import present
from engage.wiring import connected
from tests.outbox.stepping import KIND, with_steps

HOLD_S = 1.0
HANGING = 4


async def hang(_run: Run, row: int) -> None:
    if row == HANGING:
        print("hanging", flush=True)  # noqa: T201 -- tells the test
        await asyncio.Event().wait()


async def main() -> None:
    with_steps(present(), within=hang)
    async with connected(settings(), "tests"):
        await run_here(await ask(SYSTEM, KIND, hold_s=HOLD_S), hold_s=HOLD_S)


if __name__ == "__main__":
    asyncio.run(main())
