"""Imports as people type them, whose process is killed, interrupted or not wanted to wait; and workers that go on."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engage.base import db
from engage.base.settings import Settings
from engage.domains.earning.importing.types import JOB
from tests.earning.commands import command, ended, figures, latest_run
from tests.earning.test_interruption import ORDERS, expected, first_orders, recorded
from tests.earning.till import a_file
from tests.ledger.books import assert_whole
from tests.outbox.working import until


@pytest.fixture
def some(tmp_path: Path) -> Path:
    return first_orders(tmp_path)


async def is_done() -> bool:
    """Whether no import is left to be done."""
    return not await db.fetch_value("SELECT count(*) FROM outbox WHERE finished_at IS NULL AND dead_at IS NULL")


async def interrupted(config: Settings, program: str, file: Path, number: signal.Signals) -> subprocess.Popen[str]:
    """An import that has got a signal in its middle."""
    process = command(config, "import", "purchases", str(file), "--program", program)

    async def is_halfway() -> bool:
        assert process.poll() is None, process.communicate()
        return (await recorded(program))[0] >= ORDERS // 4

    try:
        await until(is_halfway, "half of the import", seconds=60)
    finally:
        process.send_signal(number)
    return process


async def killed(config: Settings, program: str, file: Path) -> int:
    """Have an import killed in its middle; answers how many orders are on file. Its lease counts as over."""
    process = await interrupted(config, program, file, signal.SIGKILL)
    process.communicate()
    await db.execute("UPDATE outbox SET leased_until = now() WHERE finished_at IS NULL")
    return (await recorded(program))[0]


@asynccontextmanager
async def a_worker(config: Settings) -> AsyncIterator[None]:
    process = command(config, "worker")
    try:
        yield
    finally:
        process.terminate()
        await ended(process)


async def test_a_killed_import_is_ended_by_a_worker(channels: Settings, program: str, some: Path) -> None:
    done = await killed(channels, program, some)
    assert done % 1000 == 0
    assert ORDERS // 4 <= done < ORDERS
    await assert_whole()
    aside = await asyncio.to_thread(some.rename, some.with_suffix(".aside"))  # the worker's machine has never had it
    async with a_worker(channels):
        await until(is_done, "the end of the import", seconds=60)
    assert await recorded(program) == expected(aside)
    await assert_whole()
    kept = await latest_run(JOB, "rows_done, rows_failed, rows_total, state ->> 'new', (state ->> 'spend')::numeric")
    assert kept == (ORDERS, 0, ORDERS, str(ORDERS), expected(aside)[1])

    aside.rename(some)
    code, output, errors = await ended(command(channels, "import", "purchases", str(some), "--program", program))
    assert (code, errors) == (0, "")
    assert "Nothing was new" in output
    assert await recorded(program) == expected(some)


async def test_a_killed_import_is_gone_on_with_by_the_same_command(
    channels: Settings, program: str, some: Path
) -> None:
    done = await killed(channels, program, some)
    assert ORDERS // 4 <= done < ORDERS
    code, output, errors = await ended(command(channels, "import", "purchases", str(some), "--program", program))
    assert (code, errors) == (0, "")
    found = figures(output)
    assert (found["orders new"], found["orders already there"]) == (f"{ORDERS:,}", "0")
    assert await recorded(program) == expected(some)
    await assert_whole()


async def test_ctrl_c_ends_an_import_after_its_batch(channels: Settings, program: str, some: Path) -> None:
    process = await interrupted(channels, program, some, signal.SIGINT)
    code, output, errors = await ended(process)
    assert code == 130, errors
    done = (await recorded(program))[0]
    assert figures(output)["orders new"] == f"{done:,}"
    assert f"Ended after {done:,} rows" in errors
    assert "same command goes on" in " ".join(errors.split())
    assert done % 1000 == 0
    assert await db.fetch_value("SELECT count(*) FROM outbox WHERE cancel_asked_at IS NOT NULL") == 1
    code, output, errors = await ended(command(channels, "import", "purchases", str(some), "--program", program))
    assert (code, figures(output)["orders already there"]) == (0, f"{done:,}"), errors
    assert await recorded(program) == expected(some)


async def test_in_the_background_it_is_left_to_a_worker(channels: Settings, program: str, tmp_path: Path) -> None:
    file = a_file(tmp_path, "1,background,2024-05-01,1,10", "2,background,2024-05-01,1,bad")
    words = ("import", "purchases", str(file), "--program", program, "--background")
    code, output, errors = await ended(command(channels, *words))
    assert (code, errors) == (0, "")
    [job_id] = set(re.findall(r"[0-9a-f-]{36}", output))
    assert f"engage jobs watch {job_id}" in output
    code, again, errors = await ended(command(channels, *words))
    assert (code, errors) == (0, "")
    assert "not done yet" in again
    assert job_id in again
    assert (await recorded(program))[0] == 0
    async with a_worker(channels):
        await until(is_done, "the end of the import", seconds=60)
    assert (await recorded(program))[0] == 1
    results = await db.fetch("SELECT row, code, detail ->> 'reason' FROM job_results WHERE job_id = $1", job_id)
    assert [(row, code) for row, code, _ in results] == [(3, "INVALID_INPUT")]
    assert "'bad' is no amount" in results[0][2]
    assert not (tmp_path / "orders.rejected.csv").exists()


async def test_what_no_attempt_can_do_is_given_up(channels: Settings, program: str, tmp_path: Path) -> None:
    """The stored file is damaged after it was asked for."""
    file = a_file(tmp_path, "1,damaged,2024-05-01,1,10")
    words = ("import", "purchases", str(file), "--program", program)
    assert (await ended(command(channels, *words, "--background")))[0] == 0
    await db.execute(
        "UPDATE job_file_parts SET content = content || 'x'"
        " WHERE id = (SELECT id FROM job_file_parts ORDER BY id DESC LIMIT 1)"
    )
    code, _, errors = await ended(command(channels, *words))
    assert code == 1
    assert "The import was given up: The stored file is damaged" in errors
    assert await db.fetch_value("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL") == 1
    assert (await ended(command(channels, *words)))[0] == 0
    assert (await recorded(program))[0] == 1
