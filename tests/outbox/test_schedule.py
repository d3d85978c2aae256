from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.outbox.schedule import Daily, Every

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- bounds
DAILY = st.builds(
    Daily, st.times().map(lambda t: t.replace(second=0, microsecond=0)), st.sampled_from(ZONES).map(ZoneInfo)
)
EVERY = st.integers(1, 20_000).map(Every.parse)


@given(st.one_of(DAILY, EVERY), MOMENTS)
def test_the_latest_tick_and_the_next_one_enclose_each_moment(schedule: Daily | Every, at: datetime) -> None:
    latest = schedule.latest(at)
    following = next(schedule.ticks(at))
    assert latest <= at < following
    assert next(schedule.ticks(latest)) == following
    assert schedule.latest(following) == following


@given(DAILY, MOMENTS, st.integers(1, 400))
def test_each_calendar_day_of_the_zone_has_one_tick(schedule: Daily, after: datetime, days: int) -> None:
    ticks = list(islice(schedule.ticks(after), days))
    assert ticks == sorted(set(ticks))
    local = [tick.astimezone(schedule.zone).date() for tick in ticks]
    assert local == [local[0] + timedelta(days=n) for n in range(days)]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 3, 28), datetime(2026, 3, 28, 1, 30, tzinfo=UTC)),
        (date(2026, 3, 29), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # 02:30 is skipped: 03:30 on the clocks
        (date(2026, 3, 30), datetime(2026, 3, 30, 0, 30, tzinfo=UTC)),
        (date(2026, 10, 25), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # comes twice: the first
        (date(2026, 10, 26), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)),
    ],
)
def test_half_past_two_in_berlin_around_the_changes_of_the_clocks(day: date, expected: datetime) -> None:
    zone = ZoneInfo("Europe/Berlin")
    schedule = Daily.parse("02:30", "Europe/Berlin")
    midnight = datetime.combine(day, time(), zone).astimezone(UTC)
    assert next(schedule.ticks(midnight)) == expected
    assert schedule.latest(midnight + timedelta(hours=12)) == expected


def test_minutes_are_counted_alike_by_all_workers() -> None:
    ticks = Every.parse(15).ticks(datetime(2026, 1, 1, 0, 7, 9, tzinfo=UTC))
    assert list(islice(ticks, 2)) == [
        datetime(2026, 1, 1, 0, 15, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 30, tzinfo=UTC),
    ]
