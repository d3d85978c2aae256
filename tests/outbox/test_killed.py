"""Workers that are killed: what they had begun is undone, and done by another once their lease has ended."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engage.base.settings import Settings
from engage.outbox import OutboxEvent
from engage.outbox.registry import Registry
from tests.outbox.worker_process import HANDLER, HANGING
from tests.outbox.working import Happened, effects, effects_twice, happen, undone, until

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def worker_process(config: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    env = os.environ | {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.outbox.worker_process", cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def says(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while (line := await process.stdout.readline()).strip() != word.encode():
            assert line, f"the worker ended before it said {word}"


async def nobody_here(_event: OutboxEvent) -> None:
    raise AssertionError("the workers are other processes")


async def all_is_done() -> bool:
    return await undone() == 0


async def test_two_workers_share_the_work_and_one_that_is_killed_is_made_up_for(
    clean: Registry, connected: Settings
) -> None:
    clean.on(Happened, name=HANDLER)(nobody_here)
    await happen(400)
    async with worker_process(connected) as one, worker_process(connected) as two:
        hanging = [asyncio.create_task(says(process, "hanging")) for process in (one, two)]
        await asyncio.wait(hanging, return_when=asyncio.FIRST_COMPLETED)
        victim, heir = (one, two) if hanging[0].done() else (two, one)
        victim.kill()
        await until(all_is_done, "recovery from a killed worker", seconds=60)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert (await effects(), await effects_twice()) == (400, 0)
        await happen(HANGING)
        await until(all_is_done, "work after the recovery", seconds=60)
        heir.terminate()
        assert await heir.wait() == 0
    assert (await effects(), await effects_twice()) == (400 + HANGING, 0)
