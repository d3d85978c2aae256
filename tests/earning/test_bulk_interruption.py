"""Bulk points that are killed, cancelled or asked for twice at once: nothing is lost or counted twice."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from engage.base import db
from engage.base.settings import Settings
from engage.domains.earning.bulk.types import JOB
from engage.outbox.types import JobState
from tests.earning.bulk import (
    ADJUST,
    EARN,
    available,
    new_members,
    numbered,
    points,
    post,
    results,
    transfers,
)
from tests.earning.commands import command, ended, figures, latest_run
from tests.earning.test_killed import a_worker, is_done
from tests.ledger.soundness import assert_sound
from tests.outbox.working import until

ROWS = 8_000
BATCH = 200


@pytest.fixture
async def some(channels: Settings, tmp_path: Path) -> Path:
    """A row for each of many members."""
    assert channels.database_url
    return points(tmp_path, *numbered(await new_members(ROWS)))


async def killed(config: Settings, program: str, file: Path, *words: str) -> int:
    """Have a bulk job killed in its middle; answers how many rows are on file. Its lease counts as over."""
    process = command(config, "import", "points", str(file), "--program", program, "--batch-size", str(BATCH), *words)

    async def is_halfway() -> bool:
        assert process.poll() is None, process.communicate()
        return await transfers(program) >= ROWS // 8

    try:
        await until(is_halfway, "some of the rows", seconds=60)
    finally:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    await db.execute("UPDATE outbox SET leased_until = now() WHERE finished_at IS NULL")
    return await transfers(program)


@pytest.mark.parametrize("operation", ["earn", "adjust"])
async def test_a_killed_job_is_ended_by_a_worker(
    channels: Settings, program: str, some: Path, operation: str
) -> None:
    done = await killed(channels, program, some, "--operation", operation)
    assert done % BATCH == 0
    assert done < ROWS
    await asyncio.to_thread(some.rename, some.with_suffix(".aside"))  # the worker's machine has never had it
    async with a_worker(channels):
        await until(is_done, "the end of the job", seconds=120)
    assert await transfers(program) == ROWS
    kept = await latest_run(
        JOB, "rows_done, rows_failed, rows_total, (state ->> 'new')::int, (state ->> 'added')::int"
    )
    assert kept == (ROWS, 0, ROWS, ROWS, ROWS * 10)
    await assert_sound()


async def test_a_killed_job_is_gone_on_with_by_the_same_command(channels: Settings, program: str, some: Path) -> None:
    words = ("--operation", "earn")
    done = await killed(channels, program, some, *words)
    assert done < ROWS
    same = ("import", "points", str(some), "--program", program, "--batch-size", str(BATCH), *words)
    code, output, errors = await ended(command(channels, *same))
    assert (code, errors) == (0, "")
    assert (figures(output)["rows new"], figures(output)["rows already there"]) == (f"{ROWS:,}", "0")
    assert await transfers(program) == ROWS


async def test_cancelled_after_a_batch_and_sent_again(program: str, some: Path) -> None:
    stop = asyncio.Event()
    first = await post(
        program, some, stop=stop, batch_size=BATCH,
        told=lambda seen: stop.set() if seen.progress.rows_done >= BATCH else None,
    )  # fmt: skip
    assert first.state is JobState.CANCELLED
    assert first.rows_new == await transfers(program)
    assert 0 < first.rows < ROWS
    second = await post(program, some, batch_size=BATCH)
    assert (second.state, second.rows_known, second.rows_new) == (JobState.DONE, first.rows, ROWS - first.rows)
    assert (first.added + second.added, await transfers(program)) == (ROWS * 10, ROWS)
    await assert_sound()


async def test_the_same_file_twice_at_once_is_one_job(program: str, some: Path) -> None:
    before = await _jobs()
    for summary in await asyncio.gather(post(program, some), post(program, some)):
        assert (summary.rows_new, summary.rows_known) == (ROWS, 0)
    assert await _jobs() == before + 1
    assert await db.fetch_value("SELECT count(*) FROM job_files WHERE job_id IS NULL") == 0


@pytest.mark.parametrize("operation", [EARN, ADJUST])
async def test_two_jobs_with_the_same_rows_in_other_orders_count_them_once(
    program: str, tmp_path: Path, operation: Any
) -> None:
    members = await new_members(60)
    rows = [f"r{number},{member},10" for number, member in enumerate(itertools.chain(members, members))]
    files = [points(tmp_path, *rows, name="a.csv"), points(tmp_path, *rows[::-1], name="b.csv")]
    done = await asyncio.gather(*(post(program, file, operation, key="shared", batch_size=7) for file in files))
    assert sum(one.rows_new for one in done) == sum(one.rows_known for one in done) == len(rows)
    assert await available(members, program) == [20] * 60
    await assert_sound()


async def test_one_key_for_two_members_at_once_is_taken_by_one(program: str, tmp_path: Path) -> None:
    members = await new_members(200)
    files = [
        points(tmp_path, *numbered(members), name="a.csv"),
        points(tmp_path, *numbered(members[::-1]), name="b.csv"),
    ]
    done = await asyncio.gather(*(post(program, file, key="shared", batch_size=10) for file in files))
    assert sum(one.rows_new for one in done) == sum(one.rejected for one in done) == 200
    codes = {code for one in done for _, code, _ in await results(one.job_id)}
    assert codes == {"IDEMPOTENCY_CONFLICT"}
    assert sum(await available(members, program)) == 2000


async def test_jobs_of_the_same_members_beside_each_other(program: str, tmp_path: Path) -> None:
    members = await new_members(50)
    await post(program, points(tmp_path, *numbered(members, 100), name="first.csv"))
    works = [
        (points(tmp_path, *numbered(members, 1), name="a.csv"), EARN),
        (points(tmp_path, *numbered(members[::-1], 2), name="b.csv"), EARN),
        (points(tmp_path, *numbered(members, -10), name="c.csv"), ADJUST),
        (points(tmp_path, *numbered(members[::-1], -20), name="d.csv"), ADJUST),
    ]
    done = await asyncio.gather(*(post(program, file, operation, batch_size=9) for file, operation in works))
    assert [one.rows_new for one in done] == [50] * 4
    assert await available(members, program) == [73] * 50
    await assert_sound()


async def test_in_the_background_it_is_left_to_a_worker(channels: Settings, program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    file = points(tmp_path, f"1,{member},10", "2,nobody,10")
    words = ("import", "points", str(file), "--program", program, "--operation", "earn", "--background")
    code, output, errors = await ended(command(channels, *words))
    assert (code, errors) == (0, "")
    [job_id] = set(re.findall(r"[0-9a-f-]{36}", output))
    assert await transfers(program) == 0
    async with a_worker(channels):
        await until(is_done, "the end of the job", seconds=60)
    assert await available([member], program) == [10]
    assert await results(UUID(job_id)) == [(3, "INVALID_INPUT", "2")]


async def _jobs() -> int:
    return int(await db.fetch_value("SELECT count(*) FROM outbox WHERE handler = $1", JOB))
