"""What claiming, listing and forgetting read depends on what they are asked for, and not on how much has gathered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.paging import COUNT_MAX, Page, Window
from engage.base.settings import Settings
from engage.outbox import Bounds, Priority, lanes, queries
from engage.outbox.jobs import BATCH, prune
from engage.outbox.kinds import KEEP_DONE
from engage.outbox.registry import Registry
from engage.outbox.types import JobFilter, JobRecord, JobState
from tests.outbox.working import claim, forget_all, leave_effect

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FINISHED, FINISHED_LONG = 300_000, 10_000_000
CHUNK = 100_000
UNDONE_EACH = 3_000
DEAD = 5_000
HANDLERS = ("plain", "ordered", "bounded", "paused", "urgent")
READ_MAX = 5_000
"""Rows that one claim may read: some for each lane, looked at twice."""

LISTED_MAX = 1_000
"""Rows that two pages of ten may read: some for each lane, with what is told of them."""

COUNTED_MAX = 15 * COUNT_MAX
"""Rows that are read to count as far as COUNT_MAX: a lane that has some times as many is cheaper read whole."""

READ_EACH_GONE_MAX = 5
"""Rows that are read for each one that is forgotten."""

# Ids in order, as those are that are made one after another.
_FINISHED = """
    INSERT INTO outbox (id, handler, event_id, stream, payload, created_at, due_at, attempts, lease, finished_at)
      SELECT lpad(to_hex(n), 32, '0')::uuid, ($2::text[])[1 + n % 5],
             lpad(to_hex(n), 32, '0')::uuid, 'test:' || n % 1000,
             '{"name": "n.v1", "position": 1, "data": {}}', $1, $1, 1, 1, $1::timestamptz - n * interval '1 second'
        FROM generate_series($3::int, $4::int) n
"""

_UNDONE = """
    INSERT INTO outbox (id, handler, event_id, stream, payload, created_at, due_at)
      SELECT engage.uuid7($1), ($2::text[])[1 + n % 5], gen_random_uuid(), 'test:' || n % 1000,
             jsonb_build_object('name', 'n.v1', 'position', n, 'data', '{}'::jsonb), $1, $1 + n * interval '1 ms'
        FROM generate_series(1, $3::int) n
"""

_DEAD = """
    INSERT INTO outbox (id, handler, event_id, payload, created_at, due_at, dead_at)
      SELECT engage.uuid7($1), ($2::text[])[1 + n % 5], gen_random_uuid(), '{}', $1, $1,
             $1::timestamptz - n * interval '1 hour'
        FROM generate_series(1, $3::int) n
"""

_JOBS = """
    WITH done AS (
      INSERT INTO outbox (id, handler, payload, created_at, due_at, finished_at)
        SELECT gen_random_uuid(), 'asked', '{}', $1, $1, $1::timestamptz - n * interval '24 minutes'
          FROM generate_series(1, 5000) n RETURNING id
    ), runs AS (
      INSERT INTO job_runs (id) SELECT id FROM done
    )
    INSERT INTO job_results (id, job_id, row, code, detail)
      SELECT gen_random_uuid(), done.id, n, 'OK', '{}' FROM done, generate_series(1, 10) n
"""


@pytest.fixture(
    scope="module", params=[FINISHED, pytest.param(FINISHED_LONG, marks=pytest.mark.long)], ids=["some", "many"]
)
async def full(request: pytest.FixtureRequest, tables: Settings) -> AsyncIterator[datetime]:
    """An outbox after a long time: most of it is done. Answers when the first of it was."""
    await forget_all()
    filling = await asyncpg.connect(tables.database_url)
    names = list(HANDLERS)
    await filling.execute("ALTER TABLE outbox SET (autovacuum_enabled = false)")
    for first in range(1, request.param, CHUNK):
        await filling.execute(_FINISHED, NOW, names, first, min(first + CHUNK - 1, request.param))
    await filling.execute(_UNDONE, NOW, names, UNDONE_EACH * len(HANDLERS))
    await filling.execute(_DEAD, NOW, names, DEAD)
    await filling.execute(_JOBS, NOW)
    await filling.execute("ANALYZE outbox, job_runs, job_results, outbox_lanes")
    yield NOW - timedelta(seconds=request.param)
    await filling.close()


async def claiming(registry: Registry) -> None:
    """Register who carries out what the outbox is full of."""
    registry.on("n.v1", name="plain")(leave_effect)
    registry.on("n.v1", name="ordered", ordered=True)(leave_effect)
    registry.on("n.v1", name="bounded", bounds=Bounds(in_flight_max=50, per_minute=600))(leave_effect)
    registry.on("n.v1", name="paused")(leave_effect)
    registry.on("n.v1", name="urgent", bounds=Bounds(priority=Priority.HIGH))(leave_effect)
    await lanes.ensure(registry.kinds())
    await lanes.pause("paused", by="admin-7")


class Undone(Exception):  # noqa: N818 -- takes back what was measured
    """Rolls the transaction back."""


async def read_by(work: Callable[[], Awaitable[object]]) -> tuple[dict[str, int], int]:
    """What `work` reads, which is taken back: rows of whole tables by table, and rows found by index."""
    whole, found = {}, 0
    try:
        async with db.transaction():
            before = await _rows_read()
            await work()
            for table, (seq, idx) in (await _rows_read()).items():
                if seq > before[table][0]:
                    whole[table] = seq - before[table][0]
                found += idx - before[table][1]
            raise Undone
    except Undone:
        return whole, found


async def _rows_read() -> dict[str, tuple[int, int]]:
    rows = await db.fetch(
        "SELECT relname, seq_tup_read, coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
        " WHERE schemaname = 'public'"
    )
    return {row[0]: (row[1], row[2]) for row in rows}


@pytest.mark.usefixtures("full")
async def test_a_claim_reads_what_it_takes_and_little_more(registry: Registry) -> None:
    await claiming(registry)
    with clock.frozen(NOW + timedelta(hours=1)):
        taken = []

        async def some() -> None:
            taken.extend(await claim(registry, 100))

        whole, found = await read_by(some)
        assert len(taken) == 100
        assert {one.handler for one in taken} == {"urgent"}
        assert whole.keys() <= {"outbox_lanes"}, whole
        assert found < READ_MAX


@pytest.mark.usefixtures("full")
async def test_a_claim_that_finds_nothing_reads_next_to_nothing(registry: Registry) -> None:
    await claiming(registry)
    with clock.frozen(NOW - timedelta(hours=1)):
        whole, found = await read_by(lambda: claim(registry, 100))
    assert whole.keys() <= {"outbox_lanes"}, whole
    assert found < 100


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(),
        JobFilter(JobState.DONE),
        JobFilter(JobState.DEAD),
        JobFilter(JobState.CANCELLED),
        JobFilter(JobState.DONE, "plain"),
    ],
)
async def test_a_page_of_the_list_reads_no_more_than_its_rows_from_either_end(
    wanted: JobFilter, *, backward: bool
) -> None:
    pages: list[Page[JobRecord]] = []

    async def two() -> None:
        cursor = None
        for _ in range(2):
            page = await queries.list_jobs(SYSTEM, wanted, Window(10, backward, cursor))
            if page.rows:
                cursor = page.cursor(page.rows[0 if backward else -1])
            pages.append(page)

    whole, found = await read_by(two)
    assert whole.keys() <= {"job_runs"}, whole
    assert found < LISTED_MAX
    whole, found = await read_by(pages[0].count)
    assert whole == {}
    assert found < COUNTED_MAX
    if wanted.state in {None, JobState.DONE}:
        assert await pages[0].count() is None


async def test_forgetting_reads_what_goes_and_little_more(registry: Registry, full: datetime) -> None:
    await claiming(registry)

    async def asked() -> None:
        raise AssertionError("nobody works here")

    registry.job("asked", bounds=Bounds(keep=timedelta(days=30)))(asked)
    gone = 0

    async def forget() -> None:
        nonlocal gone
        await prune()
        gone = await db.fetch_value("SELECT n_tup_del FROM pg_stat_xact_user_tables WHERE relname = 'outbox'")

    with clock.frozen(full + KEEP_DONE + timedelta(hours=12)):
        whole, found = await read_by(forget)
    assert whole == {}
    assert gone > 10 * BATCH
    assert found < READ_EACH_GONE_MAX * gone
