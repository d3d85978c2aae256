"""Handlers that never yield: their worker ends, they are named on their rows, and all others go on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from engage.base import db
from engage.base.settings import Settings
from engage.outbox import Event, OutboxEvent, lanes, record
from engage.outbox.registry import Registry
from engage.outbox.watchdog import EXIT_CODE
from tests.outbox.blocking_process import BLOCKING, BLOCKS, GOOD
from tests.outbox.working import Happened, effects, effects_twice, happen, undone, until

ROOT = Path(__file__).parents[2]
DEAF = 1  # what the timer in C ends a process with


@dataclass(frozen=True, slots=True)
class Blocks(Event):
    NAME: ClassVar[str] = BLOCKS

    way: str

    @property
    def stream(self) -> str:
        return "test:blocks"


@asynccontextmanager
async def worker(config: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    env = os.environ | {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.outbox.blocking_process",
        cwd=ROOT,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def its_end(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(60):
        told, _ = await process.communicate()
    return process.returncode, told.decode()


async def nobody_here(_event: OutboxEvent) -> None:
    raise AssertionError("the workers are other processes")


@pytest.fixture
async def promised(clean: Registry, connected: Settings) -> Settings:
    clean.on(Happened, name=GOOD)(nobody_here)
    clean.on(BLOCKS, name=BLOCKING)(nobody_here)
    await db.execute("TRUNCATE outbox_lanes")
    return connected


async def block(way: str) -> None:
    async with db.transaction():
        await record(Blocks(way))


async def blocker() -> dict[str, object]:
    return dict((await db.fetch("SELECT * FROM outbox WHERE handler = $1", BLOCKING))[0])


async def only_the_blocker_is_left() -> bool:
    return await undone() == 1


async def all_is_done() -> bool:
    return await undone() == 0


async def test_who_never_yields_is_named_and_dead_in_the_end_and_all_others_are_done_once(promised: Settings) -> None:
    await happen(25)
    await block("loop")
    await happen(25)
    async with worker(promised) as first:
        code, told = await its_end(first)
    row = await blocker()
    words = str(row["last_error"])
    assert code == EXIT_CODE
    assert "never yielded for 1.5 s at outbox/blocking_process.py:" in words
    assert words in told
    assert (row["attempts"], row["leased_until"], row["dead_at"]) == (1, None, None)
    assert await db.fetch_value("SELECT count(*) FROM outbox WHERE handler = $1 AND attempts > 1", GOOD) == 0
    async with worker(promised) as second:
        await until(only_the_blocker_is_left, "the work of the others")
        assert (await effects(), await effects_twice()) == (50, 0)
        await lanes.forget_failures(BLOCKING, "")
        code, _ = await its_end(second)
    row = await blocker()
    assert (code, row["attempts"], row["last_error"]) == (EXIT_CODE, 2, words)
    assert row["dead_at"] is not None
    assert await effects() == 50


@pytest.mark.parametrize("way", ["wait", "pattern", "task"])
async def test_so_is_who_waits_or_keeps_the_interpreter_or_does_it_in_a_task(promised: Settings, way: str) -> None:
    await block(way)
    async with worker(promised) as process:
        code, _ = await its_end(process)
    assert code == EXIT_CODE
    assert "never yielded for 1.5 s at outbox/blocking_process.py:" in str((await blocker())["last_error"])


async def test_who_is_deaf_to_signals_too_is_told_in_the_log_and_done_again_after_its_lease(
    promised: Settings,
) -> None:
    await happen(10)
    await block("deaf")
    async with worker(promised) as process:
        code, told = await its_end(process)
    assert code == DEAF
    assert "blocking_process.py" in told
    async with worker(promised) as process:
        await until(all_is_done, "all of it", seconds=60)
        process.terminate()
        code, _ = await its_end(process)
    assert (code, await effects(), await effects_twice()) == (0, 11, 0)
