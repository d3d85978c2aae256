"""Imports that are interrupted: killed, cut off from the database, left waiting. Nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.errors import Unavailable
from engage.base.settings import Settings
from engage.domains.earning.importing import Progress, run
from engage.domains.members.service import create_channel
from engage.migrations import orm_config
from tests.earning.test_cdnow import CDNOW
from tests.earning.till import a_file, assert_whole, new_program, take, totals

ORDERS = 8_000
RUN = "from engage.cli.importing import app; app()"

CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'engage' AND xact_start IS NOT NULL
"""


@pytest.fixture(scope="module")
async def channels(config: Settings) -> AsyncIterator[Settings]:
    """A process that does not wait long for locks."""
    hasty = config.model_copy(update={"lock_timeout_ms": 200})
    await db.connect(hasty, orm_config(hasty.database_url))
    for code in ("card", "web"):
        await create_channel(SYSTEM, code=code, name=code)
    yield hasty
    await db.disconnect()


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """The first orders of the CDNOW file."""
    with gzip.open(CDNOW, "rt") as lines:
        rows = [next(lines).strip() for _ in range(ORDERS + 1)]
    return a_file(tmp_path, *rows[1:], header=rows[0])


def expected(file: Path) -> tuple[int, Decimal, int]:
    """Orders, spend and points of a file."""
    amounts = [Decimal(row.rsplit(",", 1)[1]) for row in file.read_text().splitlines()[1:]]
    return len(amounts), sum(amounts, Decimal()), sum(int(amount) for amount in amounts)


async def recorded(program: str) -> tuple[int, Decimal, int]:
    bought, points = await totals(program)
    return bought.purchases, bought.spend, points.issued


def command(config: Settings, program: str, file: Path) -> subprocess.Popen[str]:
    """`engage import purchases` as a process of its own."""
    environment = os.environ | {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
        "COLUMNS": "200",
    }
    return subprocess.Popen(
        [sys.executable, "-c", RUN, "purchases", str(file), "--program", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def figures(output: str) -> dict[str, str]:
    """The closing summary, by name."""
    lines = (line.rsplit(None, 1) for line in output.splitlines())
    return {line[0].strip(): line[1] for line in lines if len(line) == 2}


async def test_killed_and_started_again(channels: Settings, some: Path) -> None:
    program = await new_program()
    process = command(channels, program, some)
    try:
        async with asyncio.timeout(60):
            while (await recorded(program))[0] < ORDERS // 4:
                assert process.poll() is None, process.communicate()
                await asyncio.sleep(0.02)
    finally:
        process.kill()
        process.communicate()
    done = (await recorded(program))[0]
    assert ORDERS // 4 <= done < ORDERS
    assert done % 1000 == 0
    await assert_whole()

    process = command(channels, program, some)
    output, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, errors
    found = figures(output)
    known = int(found["orders already there"].replace(",", ""))
    assert known >= done  # a batch may have committed as the process died
    assert int(found["orders new"].replace(",", "")) == ORDERS - known
    assert found["rows rejected"] == "0"
    assert await recorded(program) == expected(some)
    await assert_whole()


async def test_cut_off_from_the_database_again_and_again(channels: Settings, some: Path) -> None:
    """Each time that a batch is done, the transaction of the next one is cut off somewhere in its middle."""
    program = await new_program()
    cutter = await asyncpg.connect(channels.database_url, server_settings={"application_name": "cutter"})
    seen: list[Progress] = []
    moved = asyncio.Event()

    def see(at: Progress) -> None:
        seen.append(at)
        if not at.waiting:
            moved.set()

    importing = asyncio.create_task(take(program, some, progress=see))
    importing.add_done_callback(lambda _: moved.set())
    cuts = 0
    try:
        async with asyncio.timeout(120):
            while not importing.done():
                moved.clear()
                cuts += await cutter.fetchval(CUT)
                await moved.wait()
    finally:
        await cutter.close()
    summary = await importing
    assert cuts > 0
    assert any(at.waiting for at in seen)
    assert summary.rows == ORDERS
    await _reconnected()
    assert await recorded(program) == expected(some)
    await assert_whole()


async def _reconnected() -> None:
    """Wait until the pool has noticed which of its connections were cut."""
    async with asyncio.timeout(10):
        while True:
            try:
                await asyncio.gather(*(db.fetch_value("SELECT pg_sleep(0.05)") for _ in range(16)))
            except run.OUTAGES:
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
            patch.setattr(run, "PATIENCE_S", 0.3)
            with pytest.raises(Unavailable, match="start the import again"):
                await take(program, file)
        waiting = asyncio.Event()
        importing = asyncio.create_task(
            take(program, file, progress=lambda at: waiting.set() if at.waiting else None)
        )
        async with asyncio.timeout(30):
            await waiting.wait()
    finally:
        await holding.rollback()
        await other.close()
    assert (await importing).orders_new == 1
    assert (await recorded(program))[0] == 1


async def test_cancelled_in_the_middle(channels: Settings, some: Path) -> None:
    assert channels.database_url
    program = await new_program()
    halfway = asyncio.Event()
    importing = asyncio.create_task(
        take(program, some, progress=lambda at: halfway.set() if at.rows >= ORDERS // 4 else None)
    )
    async with asyncio.timeout(60):
        await halfway.wait()
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert (await recorded(program))[0] % 1000 == 0
    await take(program, some)
    assert await recorded(program) == expected(some)
