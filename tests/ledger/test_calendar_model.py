"""The database's calendar against plain Python: any policy, zone and moment have the same end in both."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.base import db
from engage.base.settings import Settings
from engage.domains.ledger.policy.rules import check_terms
from engage.domains.ledger.policy.types import ExpiryKind, ExpiryPeriod, ExpiryRound, PolicyTerms

ZONES = (
    "UTC", "America/New_York", "Europe/Berlin", "Asia/Shanghai", "America/Santiago", "America/Havana",
    "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Auckland", "Atlantic/Azores",
)  # fmt: skip
MONTHS_OF = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
FIRST, LAST = datetime(2000, 1, 1), datetime(2037, 12, 31)  # noqa: DTZ001 -- Hypothesis adds the zone

durations = st.builds(
    lambda years, months, weeks, days: (years, months, weeks, days),
    st.integers(0, 5), st.integers(0, 30), st.integers(0, 60), st.integers(0, 400),
).filter(any)  # fmt: skip
moments = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
# Where the offset of a zone changes is where mistakes are: the hours around 1 and 2 o'clock of days in question.
changes = st.builds(
    lambda year, month, day, minutes: datetime(year, month, day, tzinfo=UTC) + timedelta(minutes=minutes),
    st.integers(2000, 2037), st.sampled_from([3, 4, 9, 10, 11]), st.integers(1, 30), st.integers(-720, 1560),
)  # fmt: skip

Duration = tuple[int, int, int, int]


@st.composite
def policies(draw: st.DrawFn) -> tuple[PolicyTerms, Duration]:
    """Terms that can be, and their duration in numbers."""
    kind, duration = draw(st.sampled_from(ExpiryKind)), draw(durations)
    text = "P{}Y{}M{}W{}D".format(*duration)
    match kind:
        case ExpiryKind.NEVER:
            terms = PolicyTerms(kind)
        case ExpiryKind.ROLLING | ExpiryKind.INACTIVITY:
            terms = PolicyTerms(kind, text, draw(st.sampled_from(ExpiryRound)))
        case ExpiryKind.FIXED:
            month = draw(st.integers(1, 12))
            day = draw(st.integers(1, monthrange(2000, month)[1]))
            terms = PolicyTerms(kind, expiry_month=month, expiry_day=day)
        case ExpiryKind.CALENDAR:
            period, count = draw(st.sampled_from(ExpiryPeriod)), draw(st.integers(0, 9))
            terms = PolicyTerms(kind, expiry_period=period, expiry_count=count)
    check_terms(terms)
    return terms, duration


def in_months(at: datetime, months: int) -> datetime:
    """The same day and time some months later, or the last day of that month."""
    years, month = divmod(at.month - 1 + months, 12)
    year = at.year + years
    return at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1]))


def end_of(at: datetime, period: str, more: int = 0) -> datetime:
    """The first moment after the period that holds a local moment, or after some more of them."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "DAY":
        return midnight + timedelta(days=1)
    length = MONTHS_OF[period]
    begin = midnight.replace(day=1, month=(at.month - 1) // length * length + 1)
    return in_months(begin, length * (1 + more))


def local_end(terms: PolicyTerms, duration: Duration, at: datetime) -> datetime:
    """When points expire, on the clock of the program."""
    if terms.expiry_kind is ExpiryKind.CALENDAR:
        return end_of(at, str(terms.expiry_period), terms.expiry_count or 0)
    if terms.expiry_kind is ExpiryKind.FIXED:
        month, day = terms.expiry_month or 0, terms.expiry_day or 0
        days = (datetime(y, month, min(day, monthrange(y, month)[1])) for y in (at.year, at.year + 1))  # noqa: DTZ001
        return next(one + timedelta(days=1) for one in days if at < one + timedelta(days=1))
    years, months, weeks, days_more = duration
    end = in_months(at, 12 * years + months) + timedelta(weeks=weeks, days=days_more)
    whole = terms.expiry_round
    if whole is ExpiryRound.NONE:
        return end if terms.expiry_kind is ExpiryKind.ROLLING else end_of(end, "DAY")
    return end_of(end, whole)


def moment_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a local time. One that is skipped, or comes twice, is read by the clock of winter."""
    both = [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    return min(both, key=lambda one: one.utcoffset() or timedelta()).astimezone(UTC)


@pytest.fixture(scope="module", autouse=True)
async def database(connected: Settings) -> None:
    assert connected.database_url


@given(policies(), st.sampled_from(ZONES), st.lists(st.one_of(moments, changes), min_size=1, max_size=50))
async def test_the_database_and_plain_python_agree(
    policy: tuple[PolicyTerms, Duration], zone: str, at: list[datetime]
) -> None:
    terms, duration = policy
    row = {name: getattr(terms, name) for name in PolicyTerms.__dataclass_fields__ if name.startswith("expiry_")}
    found = await db.fetch(
        "SELECT engage.ledger_expiry(p, $2, moment) AS expires_at FROM unnest($3::timestamptz[])"
        " WITH ORDINALITY AS m (moment, nth), jsonb_populate_record(NULL::points_policies, $1) AS p ORDER BY nth",
        orjson.dumps(row).decode(),
        zone,
        at,
    )
    clocks = ZoneInfo(zone)
    expected = [
        None
        if terms.expiry_kind is ExpiryKind.NEVER
        else moment_of(local_end(terms, duration, one.astimezone(clocks).replace(tzinfo=None, fold=0)), clocks)
        for one in at
    ]
    assert [row["expires_at"] for row in found] == expected
