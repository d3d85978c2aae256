"""Imports that are interrupted: killed, cut off from the database, left waiting. Nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.errors import Unavailable
from engage.base.settings import Settings
from engage.domains.earning.importing import ImportSummary
from engage.domains.earning.importing.types import JOB
from engage.domains.members.service import create_channel
from engage.migrations import orm_config
from engage.outbox import here, runs
from engage.outbox.here import JobSeen
from engage.outbox.types import JobState
from engage.wiring import register_all
from tests.earning.test_cdnow import CDNOW
from tests.earning.till import a_file, new_program, take, totals
from tests.ledger.books import assert_whole

ORDERS = 8_000

CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'engage' AND xact_start IS NOT NULL
"""


@pytest.fixture(scope="module")
async def channels(config: Settings) -> AsyncIterator[Settings]:
    """A process that does not wait long for locks."""
    register_all()
    hasty = config.model_copy(update={"lock_timeout_ms": 200})
    await db.connect(hasty, orm_config(hasty.database_url))
    for code in ("card", "web"):
        await create_channel(SYSTEM, code=code, name=code)
    yield hasty
    await db.disconnect()


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """The first orders of the CDNOW file."""
    return first_orders(tmp_path)


def first_orders(folder: Path) -> Path:
    with gzip.open(CDNOW, "rt") as lines:
        rows = [next(lines).strip() for _ in range(ORDERS + 1)]
    return a_file(folder, *rows[1:], header=rows[0])


def expected(file: Path) -> tuple[int, Decimal, int]:
    """Orders, spend and points of a file."""
    amounts = [Decimal(row.rsplit(",", 1)[1]) for row in file.read_text().splitlines()[1:]]
    return len(amounts), sum(amounts, Decimal()), sum(int(amount) for amount in amounts)


async def recorded(program: str) -> tuple[int, Decimal, int]:
    bought, points = await totals(program)
    return bought.purchases, bought.spend, points.issued


async def jobs() -> int:
    return int(await db.fetch_value("SELECT count(*) FROM outbox WHERE handler = $1", JOB))


def assert_all_new(summary: ImportSummary, file: Path) -> None:
    """It says that every order of the file is new: batches whose answers were lost are counted once."""
    assert summary.state is JobState.DONE
    assert (summary.orders_new, summary.orders_known, summary.rejected) == (ORDERS, 0, 0)
    assert (summary.rows, summary.spend, summary.points_issued) == expected(file)


async def test_cut_off_from_the_database_again_and_again(channels: Settings, some: Path) -> None:
    """Each time that batches are done, the transaction of the next one is cut off somewhere in its middle."""
    program = await new_program()
    cutter = await asyncpg.connect(channels.database_url, server_settings={"application_name": "cutter"})
    moved, steps = asyncio.Event(), 0

    def see(seen: JobSeen) -> None:
        nonlocal steps
        if seen.progress.steps > steps:
            steps = seen.progress.steps
            moved.set()

    importing = asyncio.create_task(take(program, some, told=see))
    importing.add_done_callback(lambda _: moved.set())
    cuts = 0
    try:
        async with asyncio.timeout(120):
            while not importing.done():
                await moved.wait()
                moved.clear()
                cuts += await cutter.fetchval(CUT)
    finally:
        await cutter.close()
    assert cuts > 0
    assert_all_new(await importing, some)
    await _reconnected()
    assert await recorded(program) == expected(some)
    await assert_whole()


async def _reconnected() -> None:
    """Wait until the pool has noticed which of its connections were cut."""
    async with asyncio.timeout(10):
        while True:
            try:
                await asyncio.gather(*(db.fetch_value("SELECT pg_sleep(0.05)") for _ in range(16)))
            except runs.WAITED_FOR:
                continue
            return


async def test_a_lock_that_is_held_is_waited_for(
    channels: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await new_program()
    file = a_file(tmp_path, "1,held,2024-05-01,1,10")
    other = await asyncpg.connect(channels.database_url)
    holding = other.transaction()
    await holding.start()
    await other.execute("LOCK TABLE purchases IN EXCLUSIVE MODE")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(runs, "PATIENCE_S", 0.3)
            patch.setattr(here, "PATIENCE_S", 0.3)
            with pytest.raises(Unavailable, match=r"LockNotAvailable.*so does the same command"):
                await take(program, file)
        at_work = asyncio.Event()
        importing = asyncio.create_task(take(program, file, told=lambda seen: at_work.set() if seen.here else None))
        async with asyncio.timeout(30):
            await at_work.wait()
    finally:
        await holding.rollback()
        await other.close()
    assert (await importing).orders_new == 1
    assert (await recorded(program))[0] == 1


async def test_a_task_that_is_cancelled_gives_the_job_back(channels: Settings, some: Path) -> None:
    assert channels.database_url
    program, before = await new_program(), await jobs()
    halfway = asyncio.Event()
    importing = asyncio.create_task(
        take(program, some, told=lambda seen: halfway.set() if seen.progress.rows_done >= ORDERS // 4 else None)
    )
    async with asyncio.timeout(60):
        await halfway.wait()
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert 0 < (await recorded(program))[0] < ORDERS
    assert_all_new(await take(program, some), some)
    assert await recorded(program) == expected(some)
    assert await jobs() == before + 1


async def test_stopped_after_a_batch_and_started_again(channels: Settings, some: Path) -> None:
    assert channels.database_url
    program, stop = await new_program(), asyncio.Event()
    first = await take(
        program, some, stop=stop, told=lambda seen: stop.set() if seen.progress.rows_done >= ORDERS // 4 else None
    )
    assert first.state is JobState.CANCELLED
    assert (first.rows, first.spend, first.points_issued) == await recorded(program)
    assert first.rows % 1000 == 0
    assert 0 < first.rows < ORDERS
    second = await take(program, some)
    assert (second.state, second.orders_known, second.orders_new) == (JobState.DONE, first.rows, ORDERS - first.rows)
    assert await recorded(program) == expected(some)


async def test_the_same_import_twice_at_once_is_one(channels: Settings, some: Path) -> None:
    assert channels.database_url
    program, before = await new_program(), await jobs()
    for summary in await asyncio.gather(take(program, some), take(program, some)):
        assert_all_new(summary, some)
    assert await jobs() == before + 1
    assert await recorded(program) == expected(some)
    assert await db.fetch_value("SELECT count(*) FROM job_files WHERE job_id IS NULL") == 0
