from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from structlog.testing import capture_logs

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox import CatchUp, Run
from engage.outbox.registry import EACH_PROGRAM_NAME_LENGTH_MAX, Registry
from engage.outbox.scheduler import EACH_MAX, Scheduler
from tests.outbox.working import undone, work_off

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HOURLY, DAILY = "0 * * * *", "30 2 * * *"


def new_scheduler(registry: Registry, zones: Mapping[str, str] | None = None) -> Scheduler:
    async def read_zones() -> Mapping[str, str]:
        return zones or {}

    return Scheduler(registry, lambda: None, read_zones)


async def tick_at(registry: Registry, moment: datetime, zones: Mapping[str, str] | None = None) -> int:
    """What a worker does that has just started at a moment; answers how many ticks it made."""
    with clock.frozen(moment):
        return await new_scheduler(registry, zones).tick()


async def promised() -> list[datetime]:
    """The ticks of all outbox rows, in order."""
    found = await db.fetch("SELECT payload FROM outbox")
    return sorted(datetime.fromisoformat(orjson.loads(row["payload"])["at"]) for row in found)


def with_job(registry: Registry, catch_up: CatchUp = CatchUp.LATEST, **schedule: Any) -> list[Run]:
    """Register a job; answers the list in which its runs are noted."""
    ran: list[Run] = []

    @registry.job("tests.tick", catch_up=catch_up, **schedule)
    async def note(run: Run) -> None:
        ran.append(run)

    return ran


async def test_the_first_start_waits_for_the_next_tick(clean: Registry) -> None:
    ran = with_job(clean, cron=HOURLY)
    assert await tick_at(clean, NOON + 10 * MINUTE) == 0
    assert await tick_at(clean, NOON + 61 * MINUTE) == 1
    assert await tick_at(clean, NOON + 61 * MINUTE) == 0
    with clock.frozen(NOON + 61 * MINUTE):
        await work_off(clean)
    assert [(run.at, run.args, run.asked_by) for run in ran] == [(NOON + HOUR, {}, None)]
    assert await undone() == 0


async def test_a_scheduler_goes_on_from_tick_to_tick_and_wakes_the_relay(clean: Registry) -> None:
    ran, woken = with_job(clean, cron=HOURLY), []

    async def no_programs() -> Mapping[str, str]:
        raise AssertionError("No job is for each program.")

    scheduler = Scheduler(clean, lambda: woken.append(clock.now()), no_programs)
    for half_hours in range(6):
        with clock.frozen(NOON + 30 * half_hours * MINUTE):
            await scheduler.tick()
            await work_off(clean)
    assert [run.at for run in ran] == woken == [NOON + HOUR, NOON + 2 * HOUR]


async def test_schedulers_that_run_at_once_make_one_row_a_tick(clean: Registry) -> None:
    with_job(clean, CatchUp.EACH, cron="* * * * *")
    with clock.frozen(NOON):
        assert sum(await asyncio.gather(*[new_scheduler(clean).tick() for _ in range(4)])) == 0
    with clock.frozen(NOON + 20 * MINUTE):
        assert sum(await asyncio.gather(*[new_scheduler(clean).tick() for _ in range(4)])) == 20
    assert await promised() == [NOON + n * MINUTE for n in range(1, 21)]
    assert await db.fetch_value("SELECT count(*) FROM schedule_ticks") == 21


async def test_a_job_without_a_schedule_has_no_ticks(clean: Registry) -> None:
    with_job(clean)
    assert await tick_at(clean, NOON) == await tick_at(clean, NOON + DAY) == 0
    assert await db.fetch_value("SELECT count(*) FROM schedule_ticks") == 0


async def test_after_downtime_the_latest_tick_stands_for_all(clean: Registry) -> None:
    with_job(clean, cron=HOURLY)
    await tick_at(clean, NOON)
    assert await tick_at(clean, NOON + 9.5 * HOUR) == 1
    assert await promised() == [NOON + 9 * HOUR]


async def test_after_downtime_each_tick_is_run_in_order_where_it_matters(clean: Registry) -> None:
    ran = with_job(clean, CatchUp.EACH, cron=HOURLY)
    await tick_at(clean, NOON)
    assert await tick_at(clean, NOON + 4.5 * HOUR) == 4
    with clock.frozen(NOON + 4.5 * HOUR):
        while await work_off(clean):
            pass
    assert [run.at for run in ran] == [NOON + n * HOUR for n in (1, 2, 3, 4)]


async def test_a_long_downtime_is_caught_up_in_several_passes(clean: Registry) -> None:
    with_job(clean, CatchUp.EACH, cron="* * * * *")
    scheduler = new_scheduler(clean)
    with clock.frozen(NOON):
        await scheduler.tick()
    with clock.frozen(NOON + (EACH_MAX + 2) * MINUTE):
        assert [await scheduler.tick() for _ in range(3)] == [EACH_MAX, 2, 0]


async def test_a_tick_that_still_waits_is_moved_forward_and_keeps_its_attempts(clean: Registry) -> None:
    with_job(clean, cron=HOURLY)
    for hour in range(3):
        await tick_at(clean, NOON + hour * HOUR)
        await db.execute("UPDATE outbox SET attempts = 2")
    assert await promised() == [NOON + 2 * HOUR]
    assert await db.fetch_value("SELECT attempts FROM outbox") == 2


async def test_a_tick_while_the_last_run_goes_on_waits_behind_it(clean: Registry) -> None:
    with_job(clean, cron=HOURLY)
    await tick_at(clean, NOON)
    await tick_at(clean, NOON + HOUR)
    await db.execute("UPDATE outbox SET leased_until = $1, lease = 1", NOON + 5 * HOUR)
    await tick_at(clean, NOON + 2 * HOUR)
    with clock.frozen(NOON + 2 * HOUR):
        assert await promised() == [NOON + HOUR, NOON + 2 * HOUR]
        assert await work_off(clean) == 0
        await db.execute("UPDATE outbox SET finished_at = $1 WHERE lease = 1", clock.now())
        assert await work_off(clean) == 1


async def test_half_past_two_runs_once_on_both_days_when_clocks_change(clean: Registry) -> None:
    ran = with_job(clean, CatchUp.EACH, cron=DAILY, zone="Europe/Berlin")
    for first in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)):
        await db.execute("TRUNCATE outbox, schedule_ticks")
        scheduler = new_scheduler(clean)
        for half_hours in range(49):
            with clock.frozen(first + 30 * half_hours * MINUTE):
                await scheduler.tick()
                await work_off(clean)
    assert [run.at for run in ran] == [
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    ]


async def test_a_first_tick_missed_by_downtime_is_caught_up(clean: Registry) -> None:
    with_job(clean, cron=DAILY, zone="Europe/Berlin")
    await tick_at(clean, datetime(2026, 6, 1, 0, 0, tzinfo=UTC))
    assert await tick_at(clean, datetime(2026, 6, 1, 9, 0, tzinfo=UTC)) == 1
    assert await promised() == [datetime(2026, 6, 1, 0, 30, tzinfo=UTC)]


async def test_a_tick_of_the_former_release_is_still_run_and_counted_from(clean: Registry) -> None:
    ran = with_job(clean, cron=HOURLY)
    await db.execute(
        "INSERT INTO schedule_ticks (id, name, tick, created_at) VALUES ($1, 'tests.tick', $2, $2)", new_id(), NOON
    )
    await db.execute(
        """INSERT INTO outbox (id, handler, stream, payload, created_at, due_at)
           VALUES ($1, 'tests.tick', 'job:tests.tick', $2, $3, $3)""",
        new_id(),
        orjson.dumps({"name": "tests.tick", "position": 1, "data": {"at": NOON.isoformat()}}).decode(),
        NOON,
    )
    with clock.frozen(NOON):
        await work_off(clean)
    assert [run.at for run in ran] == [NOON]
    assert await tick_at(clean, NOON + HOUR) == 1


# For each program


def by_program(ran: list[Run]) -> Counter[str]:
    return Counter(run.args["program"] for run in ran)


async def test_each_program_has_its_ticks_in_its_own_zone(clean: Registry) -> None:
    ran = with_job(clean, cron=DAILY, each_program=True)
    zones = {"oak": "Europe/Berlin", "palm": "Asia/Kolkata"}
    await tick_at(clean, NOON, zones)
    assert await tick_at(clean, NOON + DAY, zones) == 2
    with clock.frozen(NOON + DAY):
        await work_off(clean)
    assert {run.args["program"]: f"{run.at:%d %H:%M}" for run in ran} == {"oak": "02 00:30", "palm": "01 21:00"}
    names = await db.fetch("SELECT DISTINCT name FROM schedule_ticks ORDER BY name")
    assert [row["name"] for row in names] == ["tests.tick/oak", "tests.tick/palm"]


async def test_schedulers_that_run_at_once_make_one_row_a_program_and_tick(clean: Registry) -> None:
    with_job(clean, CatchUp.EACH, cron=HOURLY, each_program=True)
    zones = {"oak": "UTC", "palm": "Asia/Kolkata", "pine": "America/New_York"}
    await tick_at(clean, NOON, zones)
    with clock.frozen(NOON + 5 * HOUR):
        made = await asyncio.gather(*[new_scheduler(clean, zones).tick() for _ in range(4)])
    assert sum(made) == await undone() == 15


async def test_runs_of_one_program_wait_for_each_other_and_not_for_another_program(clean: Registry) -> None:
    ran = with_job(clean, CatchUp.EACH, cron=HOURLY, each_program=True)
    zones = {"oak": "UTC", "palm": "UTC"}
    await tick_at(clean, NOON, zones)
    await tick_at(clean, NOON + 2 * HOUR, zones)
    with clock.frozen(NOON + 2 * HOUR):
        await db.execute(
            "UPDATE outbox SET leased_until = $1, lease = 1"
            " WHERE stream = 'job:tests.tick/oak' AND payload ->> 'at' = $2",
            NOON + 5 * HOUR,
            (NOON + HOUR).isoformat(),
        )
        while await work_off(clean):
            pass
        assert by_program(ran) == {"palm": 2}
        await db.execute("UPDATE outbox SET finished_at = $1 WHERE lease = 1 AND finished_at IS NULL", clock.now())
        await work_off(clean)
    assert by_program(ran) == {"palm": 2, "oak": 1}


async def test_a_tick_that_waits_is_moved_forward_within_its_program(clean: Registry) -> None:
    with_job(clean, cron=HOURLY, each_program=True)
    await tick_at(clean, NOON, {"oak": "UTC", "palm": "UTC"})
    await tick_at(clean, NOON + HOUR, {"oak": "UTC", "palm": "UTC"})
    await tick_at(clean, NOON + 2 * HOUR, {"oak": "UTC"})
    assert await promised() == [NOON + HOUR, NOON + 2 * HOUR]


async def test_a_new_program_begins_with_its_next_tick_and_one_that_is_gone_has_no_more(clean: Registry) -> None:
    with_job(clean, cron=HOURLY, each_program=True)
    zones = {"oak": "UTC"}
    scheduler = new_scheduler(clean, zones)
    made = []
    for hour, added in enumerate([{}, {}, {"palm": "UTC"}, {}]):
        zones |= added
        with clock.frozen(NOON + hour * HOUR):
            made.append(await scheduler.tick())
    assert made == [0, 1, 1, 2]
    del zones["oak"]
    with clock.frozen(NOON + 4 * HOUR):
        assert await scheduler.tick() == 1


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "America/Los_Angeles", "UTC"])
@pytest.mark.parametrize("hours", [1, 9, 19])
async def test_a_program_whose_zone_has_changed_has_one_run_a_day(clean: Registry, zone: str, hours: int) -> None:
    ran = with_job(clean, CatchUp.EACH, cron=DAILY, each_program=True)
    zones = {"oak": "Europe/Berlin"}
    scheduler, restarted = new_scheduler(clean, zones), new_scheduler(clean, zones)
    days: list[int] = []
    for hour in range(5 * 24):
        with clock.frozen(NOON + hour * HOUR):
            if hour == 24 + hours:
                zones["oak"], scheduler = zone, restarted
            await scheduler.tick()
            await work_off(clean)
            days += [run.at.astimezone(ZoneInfo(zones["oak"])).day for run in ran[len(days) :]]
    assert days == list(range(2, 2 + len(days)))
    assert len(days) >= 4


async def test_what_is_often_goes_on_when_a_zone_has_changed(clean: Registry) -> None:
    with_job(clean, CatchUp.EACH, cron=HOURLY, each_program=True)
    await tick_at(clean, NOON, {"oak": "Europe/Berlin"})
    assert await tick_at(clean, NOON + HOUR, {"oak": "Europe/Berlin"}) == 1
    assert await tick_at(clean, NOON + 3 * HOUR, {"oak": "America/New_York"}) == 2


async def test_a_zone_that_is_none_is_logged_once_and_holds_up_nobody_else(clean: Registry) -> None:
    with_job(clean, cron=HOURLY, each_program=True)
    scheduler = new_scheduler(clean, {"oak": "Mars/Olympus", "palm": "UTC"})
    with capture_logs() as logs:
        for hour in range(3):
            with clock.frozen(NOON + hour * HOUR):
                assert await scheduler.tick() == (1 if hour else 0)
    unknown = [log for log in logs if log["event"] == "outbox.unknown_zone"]
    assert [(log["program"], log["zone"]) for log in unknown] == [("oak", "Mars/Olympus")]


async def test_the_longest_names_fit_their_columns(clean: Registry) -> None:
    @clean.job("n" * EACH_PROGRAM_NAME_LENGTH_MAX, cron=HOURLY, each_program=True)
    async def note() -> None:
        pass

    zones = {"p" * 32: "UTC"}
    await tick_at(clean, NOON, zones)
    assert await tick_at(clean, NOON + HOUR, zones) == 1
    with clock.frozen(NOON + HOUR):
        assert await work_off(clean) == 1
    assert await undone() == 0
