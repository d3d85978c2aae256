from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.outbox import Bounds, ask
from engage.outbox.jobs import KEEP_DEAD, KEEP_ORPHANED, KEEP_TICKS, prune, prune_all
from engage.outbox.kinds import KEEP_DONE
from engage.outbox.registry import Registry

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


async def nothing() -> None:
    raise AssertionError("nobody works here")


async def add_row(
    handler: str = "any", *, finished_at: datetime | None = None, dead_at: datetime | None = None
) -> None:
    await db.execute(
        """INSERT INTO outbox (id, handler, payload, created_at, due_at, finished_at, dead_at)
           VALUES ($1, $2, '{}', $3, $3, $4, $5)""",
        new_id(),
        handler,
        NOW - timedelta(days=900),
        finished_at,
        dead_at,
    )


async def add_file(job_id: UUID | None, parts: int) -> None:
    file_id = new_id()
    await db.execute(
        "INSERT INTO job_files (id, job_id, name, created_at) VALUES ($1, $2, 'a.csv', $3)",
        file_id,
        job_id,
        clock.now(),
    )
    await db.execute(
        """INSERT INTO job_file_parts (id, file_id, number, content)
           SELECT gen_random_uuid(), $1, n, 'x' FROM generate_series(1, $2) n""",
        file_id,
        parts,
    )


async def add_tick(name: str, tick: datetime) -> None:
    await db.execute(
        "INSERT INTO schedule_ticks (id, name, tick, created_at) VALUES ($1, $2, $3, $3)", new_id(), name, tick
    )


async def count(table: str) -> int:
    return int(await db.fetch_value(f"SELECT count(*) FROM {table}"))  # noqa: S608


async def test_ended_rows_go_after_their_time_and_others_stay(clean: Registry) -> None:
    assert clean.names() == []
    await add_row()
    for late in (timedelta(seconds=1), timedelta(seconds=-1), timedelta(seconds=-2)):
        await add_row(finished_at=NOW - KEEP_DONE + late)
        await add_row(dead_at=NOW - KEEP_DEAD + late)
    with clock.frozen(NOW):
        await prune()
    assert await count("outbox") == 3


async def test_a_kind_may_keep_its_rows_longer_or_shorter(clean: Registry) -> None:
    for name, keep in (("long", timedelta(days=30)), ("short", timedelta(hours=1))):
        clean.job(name, bounds=Bounds(keep=keep))(nothing)
    for name in ("long", "short", "any"):
        for days in (0.01, 1, 10, 31):
            await add_row(name, finished_at=NOW - timedelta(days=days))
    with clock.frozen(NOW):
        await prune()
    left = await db.fetch("SELECT handler, count(*) FROM outbox GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in left] == [("any", 2), ("long", 3), ("short", 1)]


async def test_a_job_goes_with_its_progress_its_results_and_its_files(clean: Registry) -> None:
    clean.job("imports", bounds=Bounds())(nothing)
    for days in (1, 10):
        with clock.frozen(NOW - timedelta(days=days)):
            asked = await ask(SYSTEM, "imports")
        await add_file(asked.id, parts=2)
        await db.execute("INSERT INTO job_results VALUES (gen_random_uuid(), $1, 1, 'X', '{}')", asked.id)
        await db.execute("UPDATE outbox SET finished_at = created_at WHERE id = $1", asked.id)
    with clock.frozen(NOW):
        await prune()
    tables = ("outbox", "job_runs", "job_results", "job_files", "job_file_parts")
    assert [await count(table) for table in tables] == [1, 1, 1, 1, 2]


async def test_a_file_that_no_job_was_given_goes(clean: Registry) -> None:
    assert clean.names() == []
    for age in (KEEP_ORPHANED - timedelta(seconds=1), KEEP_ORPHANED + timedelta(seconds=1)):
        with clock.frozen(NOW - age):
            await add_file(None, parts=3)
    with clock.frozen(NOW):
        await prune()
    assert (await count("job_files"), await count("job_file_parts")) == (1, 3)


async def test_ticks_go_but_never_the_latest_of_a_schedule(clean: Registry) -> None:
    assert clean.names() == []
    old = NOW - KEEP_TICKS - timedelta(days=1)
    for hours in range(3):
        await add_tick("rare", old - timedelta(hours=hours))
        await add_tick("often", old - timedelta(hours=hours))
    await add_tick("often", NOW)
    with clock.frozen(NOW):
        await prune()
    found = await db.fetch("SELECT name, tick FROM schedule_ticks ORDER BY name")
    assert [tuple(row) for row in found] == [("often", NOW), ("rare", old)]


async def test_answers_go_when_they_need_not_be_kept(clean: Registry) -> None:
    assert clean.names() == []
    for until in (NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)):
        await db.execute(
            "INSERT INTO idempotency_answers (id, input_hash, answer, keep_until) VALUES ($1, '', '{}', $2)",
            new_id(),
            until,
        )
    with clock.frozen(NOW):
        await prune()
    assert await count("idempotency_answers") == 1


async def test_batches_are_bounded_and_repeated_until_all_is_gone(clean: Registry) -> None:
    assert clean.names() == []
    for _ in range(5):
        await add_row(finished_at=NOW)
    sql = """
        WITH gone AS (
          DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE finished_at <= $1 LIMIT $2) RETURNING id
        ) SELECT count(*) FROM gone
    """
    assert await prune_all(sql, NOW, 2) == 5
    assert await count("outbox") == 0
