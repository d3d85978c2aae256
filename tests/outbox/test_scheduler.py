from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import orjson

from engage.base import clock, db
from engage.outbox import CatchUp, Tick
from engage.outbox.registry import Registry
from engage.outbox.scheduler import Scheduler
from tests.outbox.working import undone, work_off

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def new_scheduler(registry: Registry) -> Scheduler:
    return Scheduler(registry, lambda: None)


async def promised() -> list[datetime]:
    """The ticks of all outbox rows, in order."""
    found = await db.fetch("SELECT payload FROM outbox")
    return sorted(datetime.fromisoformat(orjson.loads(row["payload"])["data"]["at"]) for row in found)


def with_job(registry: Registry, catch_up: CatchUp = CatchUp.LATEST, **schedule: object) -> list[datetime]:
    """Register a job; answers the list in which its runs are noted."""
    ran: list[datetime] = []

    @registry.job("tests.tick", catch_up=catch_up, **schedule)  # type: ignore[arg-type]
    async def note(tick: Tick) -> None:
        ran.append(tick.at)

    return ran


async def test_the_first_start_waits_for_the_next_tick(clean: Registry) -> None:
    ran = with_job(clean, every_minutes=60)
    with clock.frozen(NOON + timedelta(minutes=10)):
        assert await new_scheduler(clean).tick() == 0
    with clock.frozen(NOON + timedelta(minutes=61)):
        assert await new_scheduler(clean).tick() == 1
        assert await new_scheduler(clean).tick() == 0
        await work_off(clean)
    assert ran == [NOON + timedelta(hours=1)]
    assert await undone() == 0


async def test_schedulers_that_run_at_once_make_one_row_a_tick(clean: Registry) -> None:
    with_job(clean, CatchUp.EACH, every_minutes=1)
    with clock.frozen(NOON):
        assert sum(await asyncio.gather(*[new_scheduler(clean).tick() for _ in range(4)])) == 0
    with clock.frozen(NOON + timedelta(minutes=20)):
        assert sum(await asyncio.gather(*[new_scheduler(clean).tick() for _ in range(4)])) == 20
    assert await promised() == [NOON + timedelta(minutes=n) for n in range(1, 21)]
    assert await db.fetch_value("SELECT count(*) FROM schedule_ticks") == 21


async def test_after_downtime_the_latest_tick_stands_for_all(clean: Registry) -> None:
    with_job(clean, every_minutes=60)
    with clock.frozen(NOON):
        await new_scheduler(clean).tick()
    with clock.frozen(NOON + timedelta(hours=9, minutes=30)):
        assert await new_scheduler(clean).tick() == 1
    assert await promised() == [NOON + timedelta(hours=9)]


async def test_after_downtime_each_tick_is_run_in_order_where_it_matters(clean: Registry) -> None:
    ran = with_job(clean, CatchUp.EACH, every_minutes=60)
    with clock.frozen(NOON):
        await new_scheduler(clean).tick()
    with clock.frozen(NOON + timedelta(hours=4, minutes=30)):
        assert await new_scheduler(clean).tick() == 4
        while await work_off(clean):
            pass
    assert ran == [NOON + timedelta(hours=n) for n in (1, 2, 3, 4)]


async def test_a_tick_that_still_waits_is_moved_forward_and_keeps_its_attempts(clean: Registry) -> None:
    with_job(clean, every_minutes=60)
    for hour in range(3):
        with clock.frozen(NOON + timedelta(hours=hour)):
            await new_scheduler(clean).tick()
            await db.execute("UPDATE outbox SET attempts = 2")
    assert await promised() == [NOON + timedelta(hours=2)]
    assert await db.fetch_value("SELECT attempts FROM outbox") == 2


async def test_a_tick_while_the_last_run_goes_on_waits_behind_it(clean: Registry) -> None:
    with_job(clean, every_minutes=60)
    with clock.frozen(NOON):
        await new_scheduler(clean).tick()
    with clock.frozen(NOON + timedelta(hours=1)):
        await new_scheduler(clean).tick()
        await db.execute("UPDATE outbox SET leased_until = $1, lease = 1", NOON + timedelta(hours=5))
    with clock.frozen(NOON + timedelta(hours=2)):
        await new_scheduler(clean).tick()
        assert await promised() == [NOON + timedelta(hours=1), NOON + timedelta(hours=2)]
        assert await work_off(clean) == 0
        await db.execute("UPDATE outbox SET finished_at = $1 WHERE lease = 1", clock.now())
        assert await work_off(clean) == 1


async def test_half_past_two_runs_once_on_both_days_when_clocks_change(clean: Registry) -> None:
    ran = with_job(clean, CatchUp.EACH, at="02:30", zone="Europe/Berlin")
    for first in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)):
        await db.execute("TRUNCATE outbox, schedule_ticks")
        ran.clear()
        for half_hours in range(49):
            with clock.frozen(first + timedelta(minutes=30 * half_hours)):
                await new_scheduler(clean).tick()
                await work_off(clean)
        assert len(ran) == 1
    assert ran == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]


async def test_a_first_tick_missed_by_downtime_is_caught_up(clean: Registry) -> None:
    with_job(clean, at="02:30", zone="Europe/Berlin")
    with clock.frozen(datetime(2026, 6, 1, 0, 0, tzinfo=UTC)):
        await new_scheduler(clean).tick()
    with clock.frozen(datetime(2026, 6, 1, 9, 0, tzinfo=UTC)):
        assert await new_scheduler(clean).tick() == 1
    assert await promised() == [datetime(2026, 6, 1, 0, 30, tzinfo=UTC)]
