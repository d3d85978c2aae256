from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox.jobs import KEEP_DONE, KEEP_TICKS, prune, prune_all
from engage.outbox.registry import Registry

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


async def add_row(*, finished_at: datetime | None = None, dead_at: datetime | None = None) -> None:
    await db.execute(
        """INSERT INTO outbox (id, handler, payload, created_at, due_at, finished_at, dead_at)
           VALUES ($1, 'any', '{}', $2, $2, $3, $4)""",
        new_id(),
        NOW - timedelta(days=900),
        finished_at,
        dead_at,
    )


async def add_tick(name: str, tick: datetime) -> None:
    await db.execute(
        "INSERT INTO schedule_ticks (id, name, tick, created_at) VALUES ($1, $2, $3, $3)", new_id(), name, tick
    )


async def count(table: str) -> int:
    return int(await db.fetch_value(f"SELECT count(*) FROM {table}"))  # noqa: S608


async def test_finished_rows_go_after_their_time_and_others_stay(clean: Registry) -> None:
    assert clean.names() == []
    await add_row()
    await add_row(dead_at=NOW - timedelta(days=800))
    await add_row(finished_at=NOW - KEEP_DONE + timedelta(seconds=1))
    for _ in range(3):
        await add_row(finished_at=NOW - KEEP_DONE - timedelta(seconds=1))
    with clock.frozen(NOW):
        await prune()
    assert await count("outbox") == 3


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
    sql = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE finished_at <= $1 LIMIT $2)"
    assert await prune_all(sql, NOW, 2) == 5
    assert await count("outbox") == 0
