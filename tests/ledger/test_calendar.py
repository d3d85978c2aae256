"""Calendar arithmetic of every kind of expiry, told by earnings and by the schedule of what expires when.

Times are written with the offset that holds in the program's zone at that moment, so that both can be checked.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from engage.base import clock, db
from engage.domains.ledger.policy.types import ExpiryKind, ExpiryPeriod, ExpiryRound, PolicyTerms
from engage.domains.ledger.service import post_earnings
from engage.domains.ledger.types import Balance, Cause, Earning, ExpiryLine, ExpirySchedule
from engage.domains.members.service import lock_members
from tests.ledger.books import NOON, STAFF, amounts, assert_whole, balance, earn, new_program, schedule, statement
from tests.ledger.publishing import program_with, publish, rolling

INSTANT = timedelta(microseconds=1)
DAY, MONTH, QUARTER, YEAR = ExpiryRound.DAY, ExpiryRound.MONTH, ExpiryRound.QUARTER, ExpiryRound.YEAR

NEW_YORK, BERLIN, SHANGHAI, SANTIAGO = "America/New_York", "Europe/Berlin", "Asia/Shanghai", "America/Santiago"

Case = tuple[str, PolicyTerms, str, str]


def idle(after: str, round_up: ExpiryRound = ExpiryRound.NONE) -> PolicyTerms:
    return PolicyTerms(ExpiryKind.INACTIVITY, after, round_up)


def fixed(month: int, day: int) -> PolicyTerms:
    return PolicyTerms(ExpiryKind.FIXED, expiry_month=month, expiry_day=day)


def calendar(period: ExpiryPeriod, count: int) -> PolicyTerms:
    return PolicyTerms(ExpiryKind.CALENDAR, expiry_period=period, expiry_count=count)


MONTH_ENDS: list[Case] = [
    ("UTC", rolling("P1M"), "2026-01-31T09:00+00:00", "2026-02-28T09:00+00:00"),
    ("UTC", rolling("P1M"), "2028-01-31T09:00+00:00", "2028-02-29T09:00+00:00"),
    ("UTC", rolling("P1M"), "2026-02-28T09:00+00:00", "2026-03-28T09:00+00:00"),
    ("UTC", rolling("P3M"), "2026-08-31T09:00+00:00", "2026-11-30T09:00+00:00"),
    ("UTC", rolling("P1M1D"), "2026-01-31T09:00+00:00", "2026-03-01T09:00+00:00"),
    ("UTC", rolling("P1M", expiry_round=MONTH), "2026-01-31T09:00+00:00", "2026-03-01T00:00+00:00"),
    # It is the last day of a month in Shanghai and not yet in London.
    (SHANGHAI, rolling("P1M"), "2026-01-31T01:00+08:00", "2026-02-28T01:00+08:00"),
    (SHANGHAI, rolling("P1M", expiry_round=DAY), "2026-01-31T01:00+08:00", "2026-03-01T00:00+08:00"),
    (SHANGHAI, calendar(ExpiryPeriod.MONTH, 0), "2026-03-31T23:59:59.999999+08:00", "2026-04-01T00:00+08:00"),
    (SHANGHAI, calendar(ExpiryPeriod.MONTH, 0), "2026-04-01T00:00+08:00", "2026-05-01T00:00+08:00"),
    (SHANGHAI, calendar(ExpiryPeriod.MONTH, 1), "2026-01-31T12:00+08:00", "2026-03-01T00:00+08:00"),
]

LEAP_DAYS: list[Case] = [
    ("UTC", rolling("P1Y"), "2028-02-29T09:00+00:00", "2029-02-28T09:00+00:00"),
    ("UTC", rolling("P4Y"), "2028-02-29T09:00+00:00", "2032-02-29T09:00+00:00"),
    ("UTC", rolling("P12M", expiry_round=DAY), "2027-02-28T09:00+00:00", "2028-02-29T00:00+00:00"),
    ("UTC", fixed(2, 29), "2027-01-05T09:00+00:00", "2027-03-01T00:00+00:00"),
    ("UTC", fixed(2, 29), "2027-02-28T23:59:59.999999+00:00", "2027-03-01T00:00+00:00"),
    ("UTC", fixed(2, 29), "2027-03-01T00:00+00:00", "2028-03-01T00:00+00:00"),
    ("UTC", fixed(2, 29), "2028-02-29T12:00+00:00", "2028-03-01T00:00+00:00"),
    ("UTC", fixed(2, 28), "2028-02-28T12:00+00:00", "2028-02-29T00:00+00:00"),
    ("UTC", fixed(2, 28), "2028-02-29T12:00+00:00", "2029-03-01T00:00+00:00"),
]

DAYLIGHT_SAVING: list[Case] = [
    # Half past two is skipped on 8 March: an hour later on the clock, the same moment.
    (NEW_YORK, rolling("P1D"), "2026-03-07T02:30-05:00", "2026-03-08T03:30-04:00"),
    (NEW_YORK, rolling("P1D"), "2026-03-07T12:00-05:00", "2026-03-08T12:00-04:00"),
    (NEW_YORK, rolling("P1D", expiry_round=DAY), "2026-03-07T12:00-05:00", "2026-03-09T00:00-04:00"),
    # Half past one comes twice on 1 November: the second one counts.
    (NEW_YORK, rolling("P1D"), "2026-10-31T01:30-04:00", "2026-11-01T01:30-05:00"),
    (NEW_YORK, rolling("P6M", expiry_round=MONTH), "2026-05-01T00:00-04:00", "2026-12-01T00:00-05:00"),
    (BERLIN, rolling("P1D"), "2026-03-28T02:30+01:00", "2026-03-29T03:30+02:00"),
    (BERLIN, rolling("P1D"), "2026-10-24T02:30+02:00", "2026-10-25T02:30+01:00"),
    (BERLIN, calendar(ExpiryPeriod.MONTH, 0), "2026-03-29T01:59+01:00", "2026-04-01T00:00+02:00"),
    (BERLIN, calendar(ExpiryPeriod.MONTH, 0), "2026-10-25T02:30+01:00", "2026-11-01T00:00+01:00"),
    (SHANGHAI, rolling("P6M"), "2026-03-08T02:30+08:00", "2026-09-08T02:30+08:00"),
    # Clocks in Santiago go from midnight to one on 6 September, and from midnight back to eleven on 4 April.
    (SANTIAGO, rolling("P1D", expiry_round=DAY), "2026-09-04T12:00-04:00", "2026-09-06T01:00-03:00"),
    (SANTIAGO, rolling("P1D"), "2026-09-05T00:30-04:00", "2026-09-06T01:30-03:00"),
    (SANTIAGO, rolling("P1D", expiry_round=DAY), "2026-04-03T12:00-03:00", "2026-04-05T00:00-04:00"),
    (SANTIAGO, rolling("P1D"), "2026-04-03T23:30-03:00", "2026-04-04T23:30-04:00"),
    # Midnight comes twice in Havana on 1 November: the day ends with the second one.
    ("America/Havana", rolling("P1D", expiry_round=DAY), "2026-10-30T12:00-04:00", "2026-11-01T00:00-05:00"),
    ("Australia/Lord_Howe", rolling("P1D"), "2026-10-03T02:15+10:30", "2026-10-04T02:45+11:00"),
]

YEAR_AND_QUARTER_ENDS: list[Case] = [
    (NEW_YORK, calendar(ExpiryPeriod.YEAR, 0), "2026-12-31T23:59:59.999999-05:00", "2027-01-01T00:00-05:00"),
    (NEW_YORK, calendar(ExpiryPeriod.YEAR, 0), "2027-01-01T00:00-05:00", "2028-01-01T00:00-05:00"),
    (SHANGHAI, calendar(ExpiryPeriod.YEAR, 2), "2026-01-01T00:00+08:00", "2029-01-01T00:00+08:00"),
    (SHANGHAI, calendar(ExpiryPeriod.YEAR, 2), "2026-12-31T23:00+08:00", "2029-01-01T00:00+08:00"),
    (SHANGHAI, rolling("P1Y", expiry_round=YEAR), "2026-07-01T12:00+08:00", "2028-01-01T00:00+08:00"),
    (BERLIN, calendar(ExpiryPeriod.QUARTER, 0), "2026-03-31T23:59+02:00", "2026-04-01T00:00+02:00"),
    (BERLIN, calendar(ExpiryPeriod.QUARTER, 1), "2026-11-30T12:00+01:00", "2027-04-01T00:00+02:00"),
    (BERLIN, rolling("P1M", expiry_round=QUARTER), "2026-08-31T12:00+02:00", "2026-10-01T00:00+02:00"),
    (BERLIN, rolling("P1M", expiry_round=QUARTER), "2026-09-01T12:00+02:00", "2027-01-01T00:00+01:00"),
    (SANTIAGO, fixed(12, 31), "2026-12-31T23:30-03:00", "2027-01-01T00:00-03:00"),
    (SANTIAGO, fixed(12, 31), "2027-01-01T00:00-03:00", "2028-01-01T00:00-03:00"),
    (SHANGHAI, fixed(6, 30), "2026-06-30T23:59+08:00", "2026-07-01T00:00+08:00"),
    (SHANGHAI, fixed(6, 30), "2026-07-01T00:00+08:00", "2027-07-01T00:00+08:00"),
]

DAYS_AND_ACTIVITY: list[Case] = [
    # All points of a day end together, also those of its first moment.
    ("UTC", rolling("P1D", expiry_round=DAY), "2026-03-10T00:00+00:00", "2026-03-12T00:00+00:00"),
    ("UTC", rolling("P1D", expiry_round=DAY), "2026-03-10T23:59:59.999999+00:00", "2026-03-12T00:00+00:00"),
    ("UTC", rolling("P1Y2M3W4D"), "2026-01-01T00:00+00:00", "2027-03-26T00:00+00:00"),
    (SHANGHAI, idle("P6M"), "2026-03-10T12:00+08:00", "2026-09-11T00:00+08:00"),
    (SHANGHAI, idle("P6M", DAY), "2026-03-10T12:00+08:00", "2026-09-11T00:00+08:00"),
    (SHANGHAI, idle("P6M", MONTH), "2026-03-10T12:00+08:00", "2026-10-01T00:00+08:00"),
    (SANTIAGO, idle("P1D"), "2026-09-04T12:00-04:00", "2026-09-06T01:00-03:00"),
]


@pytest.mark.parametrize(
    ("zone", "terms", "usable", "expires"),
    [*MONTH_ENDS, *LEAP_DAYS, *DAYLIGHT_SAVING, *YEAR_AND_QUARTER_ENDS, *DAYS_AND_ACTIVITY],
)
async def test_points_expire_at_the_moment_that_the_policy_says(
    member: UUID, zone: str, terms: PolicyTerms, usable: str, expires: str
) -> None:
    earned_at, end = datetime.fromisoformat(usable), datetime.fromisoformat(expires)
    for moment in (earned_at, end):
        assert moment.astimezone(ZoneInfo(zone)).utcoffset() == moment.utcoffset(), "not an offset of this zone"
    program = await program_with(terms, zone)
    line = ExpirySchedule((ExpiryLine(end.date(), 5),), 0, 0)
    with clock.frozen(earned_at):
        assert (await earn(member, program, 5)).balance == Balance(available=5)
        assert await schedule(member, program) == line
    assert await expiries(member) == [end]
    with clock.frozen(end - INSTANT):
        assert await balance(member, program) == Balance(available=5)
        assert await schedule(member, program) == line
    with clock.frozen(end):
        assert await balance(member, program) == Balance()
        assert await schedule(member, program) == ExpirySchedule((), 0, 0)
        await earn(member, program, 1)
    assert amounts(await statement(member, program)) == [1, -5, 5]


async def expiries(member: UUID) -> list[datetime | None]:
    """When the member's lots expire, in the order in which they came."""
    rows = await db.fetch(
        "SELECT l.expires_at FROM lots l JOIN transfers t ON t.id = l.source_id WHERE l.member_id = $1"
        " ORDER BY t.version_after",
        member,
    )
    return [row["expires_at"] for row in rows]


async def test_points_without_an_end_stay(member: UUID) -> None:
    program = await program_with(PolicyTerms(ExpiryKind.NEVER), BERLIN)
    with clock.frozen(NOON):
        await earn(member, program, 5)
        assert await schedule(member, program) == ExpirySchedule((), 0, 5)
    with clock.frozen(NOON.replace(year=2999)):
        assert await balance(member, program) == Balance(available=5)


async def test_the_end_counts_from_when_points_can_be_used(member: UUID) -> None:
    program = await program_with(calendar(ExpiryPeriod.QUARTER, 0), SHANGHAI)
    with clock.frozen(NOON):
        await earn(member, program, 5, usable_at=datetime.fromisoformat("2026-03-31T23:59+08:00"))
        await earn(member, program, 5, usable_at=datetime.fromisoformat("2026-04-01T00:00+08:00"))
    assert await expiries(member) == [
        datetime.fromisoformat("2026-04-01T00:00+08:00"),
        datetime.fromisoformat("2026-07-01T00:00+08:00"),
    ]


async def test_many_earnings_at_once_end_each_by_its_own_moment(member: UUID) -> None:
    program = await program_with(rolling("P1M", expiry_round=DAY), NEW_YORK)
    moments = [datetime.fromisoformat(f"2026-02-{day:02}T23:30-05:00") for day in range(1, 29)]

    @db.command
    async def post() -> None:
        await lock_members([member])
        lines = [Earning(member, 1, Cause("purchase", str(nth)), at) for nth, at in enumerate(moments)]
        await post_earnings(STAFF, program, lines)

    with clock.frozen(NOON):
        await post()
        assert await balance(member, program) == Balance(available=19)  # NOON is early on 10 March there
    ends = [datetime(2026, 3, at.day + 1, tzinfo=ZoneInfo(NEW_YORK)) for at in moments]
    assert await expiries(member) == ends
    await assert_whole()


async def test_points_keep_the_end_of_the_version_they_were_given_under(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await publish(program, rolling("P1M"))
        await publish(program, calendar(ExpiryPeriod.YEAR, 0), effective_at=NOON + timedelta(days=1))
        await earn(member, program, 1)
    with clock.frozen(NOON + timedelta(days=1) - INSTANT):
        await earn(member, program, 2)
    with clock.frozen(NOON + timedelta(days=1)):
        await earn(member, program, 4)
        await publish(program, PolicyTerms(ExpiryKind.NEVER))
        await earn(member, program, 8)
        lines = [(str(line.expires_on), line.amount) for line in (await schedule(member, program)).lines]
        assert lines == [("2026-04-10", 1), ("2026-04-11", 2), ("2027-01-01", 4)]
        assert (await schedule(member, program)).never == 8


async def test_a_program_that_moves_keeps_the_ends_that_were_given(member: UUID) -> None:
    program = await program_with(rolling("P1M", expiry_round=DAY), SHANGHAI)
    with clock.frozen(NOON):
        await earn(member, program, 1)
        await db.execute("UPDATE programs SET time_zone = $2 WHERE code = $1", program, NEW_YORK)
        await earn(member, program, 2)
        ends = [datetime.fromisoformat(f"2026-04-11T00:00{offset}") for offset in ("+08:00", "-04:00")]
        assert await expiries(member) == ends
        # The older ones end while it is still noon of the tenth in New York.
        lines = [(str(line.expires_on), line.amount) for line in (await schedule(member, program)).lines]
        assert lines == [("2026-04-10", 1), ("2026-04-11", 2)]
    with clock.frozen(ends[0]):
        assert await balance(member, program) == Balance(available=2)
    with clock.frozen(ends[1]):
        assert await balance(member, program) == Balance()


async def test_a_program_that_published_nothing_goes_by_its_own_setting(member: UUID) -> None:
    program = await new_program(zone=BERLIN, valid_for="P1M")
    with clock.frozen(datetime(2026, 2, 28, 12, tzinfo=UTC)):
        await earn(member, program, 1)
    assert await expiries(member) == [datetime.fromisoformat("2026-03-28T13:00+01:00")]
