from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from engage.outbox.schedule import Cron, zone_of

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # changes at midnight
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # by half an hour
    "Antarctica/Troll",  # by two hours
)
BY_READING = ("30 2 * * *", "0 0 * * *", "0,30 1-3 * * *", "45 1 * * MON", "15 2 L * *", "0 3 29 2 *")
EVENLY = ("* * * * *", "*/10 * * * *", "0 * * * *", "0 */2 * * *", "*/20 1-3 * * SUN", "30 * 25 10 *")

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CHANGES = [  # UTC, of the zones above
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 3, 8, 5, tzinfo=UTC),
    datetime(2026, 11, 1, 5, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
]
MOMENTS = st.one_of(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- bounds
    st.builds(lambda change, s: change + timedelta(seconds=s), st.sampled_from(CHANGES), st.integers(-15000, 15000)),
)
SCHEDULES = st.builds(Cron, st.sampled_from(BY_READING + EVENLY), st.sampled_from(ZONES).map(ZoneInfo))


def ticks_between(schedule: Cron, after: datetime, until: datetime) -> list[datetime]:
    return list(takewhile(lambda tick: tick <= until, schedule.ticks(after)))


@given(SCHEDULES, MOMENTS)
def test_the_latest_tick_and_the_next_one_enclose_each_moment(schedule: Cron, at: datetime) -> None:
    latest = schedule.latest(at)
    following = next(schedule.ticks(at))
    assert latest <= at < following
    assert next(schedule.ticks(latest)) == following
    assert schedule.latest(latest) == latest
    assert schedule.latest(following) == following
    assert schedule.latest(following - MINUTE / 60) == latest


@given(SCHEDULES, MOMENTS)
def test_ticks_are_in_order_whole_minutes_and_the_same_wherever_one_begins(schedule: Cron, after: datetime) -> None:
    ticks = list(islice(schedule.ticks(after), 12))
    assert ticks == sorted(set(ticks))
    assert all(tick.tzinfo is UTC and tick.second == tick.microsecond == 0 for tick in ticks)
    assert list(islice(schedule.ticks(ticks[0]), 11)) == ticks[1:]


@given(st.sampled_from(EVENLY), st.sampled_from(ZONES), st.sampled_from(CHANGES))
def test_with_a_star_it_is_due_in_each_minute_whose_reading_it_names(cron: str, zone: str, change: datetime) -> None:
    schedule, begin = Cron.parse(cron, zone), change - 6 * HOUR
    minutes = [begin + n * MINUTE for n in range(1, 12 * 60 + 1)]
    shown = [minute.astimezone(schedule.zone).replace(tzinfo=None) for minute in minutes]
    named = set(takewhile(lambda wall: wall <= max(shown), CronSim(cron, min(shown) - MINUTE)))
    expected = [minute for minute, wall in zip(minutes, shown, strict=True) if wall in named]
    assert ticks_between(schedule, begin, minutes[-1]) == expected


@given(
    st.times().map(lambda at: f"{at.minute} {at.hour} * * *"), st.sampled_from(ZONES), MOMENTS, st.integers(1, 400)
)
def test_each_calendar_day_of_the_zone_has_one_tick(cron: str, zone: str, after: datetime, days: int) -> None:
    schedule = Cron.parse(cron, zone)
    local = [tick.astimezone(schedule.zone).date() for tick in islice(schedule.ticks(after), days)]
    assert local == [local[0] + timedelta(days=n) for n in range(days)]


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", date(2026, 3, 28), "2026-03-28T01:30Z"),
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-29T01:00Z"),  # 02:30 is skipped: when they have sprung to 03:00
        ("Europe/Berlin", date(2026, 3, 30), "2026-03-30T00:30Z"),
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-25T00:30Z"),  # comes twice: the first
        ("Europe/Berlin", date(2026, 10, 26), "2026-10-26T01:30Z"),
        ("America/New_York", date(2026, 3, 8), "2026-03-08T07:00Z"),
        ("America/New_York", date(2026, 11, 1), "2026-11-01T07:30Z"),  # 01:00 to 02:00 comes twice, 02:30 once
        ("Australia/Lord_Howe", date(2026, 10, 4), "2026-10-03T15:30Z"),  # sprung from 02:00 to 02:30
        ("Asia/Kolkata", date(2026, 6, 1), "2026-05-31T21:00Z"),
    ],
)
def test_half_past_two_around_the_changes_of_the_clocks(zone: str, day: date, expected: str) -> None:
    schedule = Cron.parse("30 2 * * *", zone)
    midnight = datetime.combine(day, time(), schedule.zone).astimezone(UTC)
    assert next(schedule.ticks(midnight)) == datetime.fromisoformat(expected)
    assert schedule.latest(midnight + 12 * HOUR) == datetime.fromisoformat(expected)
    assert len(ticks_between(schedule, midnight, midnight + DAY - 2 * HOUR)) == 1


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(("cron", "minutes"), [("* * * * *", 1), ("*/10 * * * *", 10), ("0 * * * *", 60)])
def test_what_is_often_goes_on_evenly_through_both_changes(zone: str, cron: str, minutes: int) -> None:
    schedule = Cron.parse(cron, zone)
    for change in CHANGES[:4]:
        begin = change - 3 * HOUR
        ticks = ticks_between(schedule, begin, begin + 6 * HOUR)
        assert ticks == [begin + n * minutes * MINUTE for n in range(1, 360 // minutes + 1)]
        assert all(schedule.latest(tick + 59 * MINUTE / 60) == tick for tick in ticks)


def test_it_is_due_once_a_reading_when_clocks_are_put_back_in_the_middle_of_it() -> None:
    schedule = Cron.parse("50 2 * * *", "Europe/Berlin")
    second_time = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 once more
    assert schedule.latest(second_time) == datetime(2026, 10, 25, 0, 50, tzinfo=UTC)
    assert next(schedule.ticks(second_time)) == datetime(2026, 10, 26, 1, 50, tzinfo=UTC)


def test_readings_that_are_skipped_are_due_together() -> None:
    schedule = Cron.parse("0,30 1-3 * * *", "Europe/Berlin")
    ticks = ticks_between(schedule, datetime(2026, 3, 28, 23, 59, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC))
    assert [f"{tick:%H:%M}" for tick in ticks] == ["00:00", "00:30", "01:00", "01:30"]


def test_other_clocks_do_not_repeat_what_was_shown_already() -> None:
    berlin = Cron.parse("30 2 * * *", "Europe/Berlin")
    ran = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)
    assert berlin.goes_on_from(ran, berlin.offset_s(ran)) == ran
    west = berlin.in_zone("America/New_York")
    assert next(west.ticks(west.goes_on_from(ran, berlin.offset_s(ran)))) == datetime(2026, 6, 2, 6, 30, tzinfo=UTC)
    east = berlin.in_zone("Asia/Tokyo")
    assert next(east.ticks(east.goes_on_from(ran, berlin.offset_s(ran)))) == datetime(2026, 6, 1, 17, 30, tzinfo=UTC)
    often = Cron.parse("0 * * * *", "America/New_York")
    assert often.goes_on_from(ran, berlin.offset_s(ran)) == ran


@given(SCHEDULES, MOMENTS)
def test_clocks_that_stay_the_same_go_on_from_the_last_tick(schedule: Cron, at: datetime) -> None:
    last = schedule.latest(at)
    assert schedule.goes_on_from(last, schedule.offset_s(last)) == last


def test_a_moment_without_a_zone_is_refused() -> None:
    schedule, naive = Cron.parse("* * * * *", "UTC"), datetime(2026, 6, 1)  # noqa: DTZ001 -- the point
    with pytest.raises(ValueError, match="with a time zone"):
        schedule.latest(naive)
    with pytest.raises(ValueError, match="with a time zone"):
        next(schedule.ticks(naive))


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_what_is_never_due_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="is never due"):
        Cron.parse(cron, "UTC")


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("", "has 5 fields"),
        ("@daily", "has 5 fields"),
        ("0 30 2 * * *", "has 5 fields"),  # no seconds
        ("60 * * * *", "'60' is a bad minute"),
        ("0 24 * * *", "'24' is a bad hour"),
        ("0 0 32 * *", "'32' is a bad day-of-month"),
        ("0 0 1 JANUARY *", "'JANUARY' is a bad month"),
        ("0 0 * * 8", "'8' is a bad day-of-week"),
        ("*/0 * * * *", "'\\*/0' is a bad minute"),
    ],
)
def test_what_is_malformed_is_refused_with_the_field(cron: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"is no cron expression: .*{reason}"):
        Cron.parse(cron, "UTC")


@given(st.lists(st.text("*0123456789-,/LW#MONJAN", min_size=1, max_size=6), min_size=5, max_size=5).map(" ".join))
def test_whatever_the_fields_it_is_a_schedule_or_a_value_error(cron: str) -> None:
    try:
        schedule = Cron.parse(cron, "Europe/Berlin")
    except ValueError:
        return
    assert schedule.latest(CHANGES[0]) <= CHANGES[0]


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "Europe/", "a\0b"])
def test_what_is_not_a_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="IANA name"):
        zone_of(name)
