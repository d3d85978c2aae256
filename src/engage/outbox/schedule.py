"""When scheduled work is due. Pure: moments in, moments out; all of them aware, ticks in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
MINUTES_MAX = 366 * 24 * 60


class CatchUp(StrEnum):
    """What a job does about the ticks that passed while no worker ran."""

    LATEST = "LATEST"
    """Run once, for the latest of them. A tick that still waits is moved forward and not doubled."""

    EACH = "EACH"
    """Run once for each of them, in order."""


@dataclass(frozen=True, slots=True)
class Every:
    """Each `interval`, counted from 1970 in UTC, so that all workers agree on the moments."""

    interval: timedelta

    @classmethod
    def parse(cls, minutes: int) -> Every:
        """Of whole minutes. Raises ValueError for less than one or more than a year."""
        if not 1 <= minutes <= MINUTES_MAX:
            raise ValueError(f"A schedule is due every minute at most and every year at least, not each {minutes}.")
        return cls(timedelta(minutes=minutes))

    def latest(self, at: datetime) -> datetime:
        """The last tick that is not after `at`."""
        return _EPOCH + (at - _EPOCH) // self.interval * self.interval

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """The ticks after `after`, without end."""
        tick = self.latest(after)
        while True:
            tick += self.interval
            yield tick


@dataclass(frozen=True, slots=True)
class Daily:
    """Once each calendar day of `zone`, at `at` on its clocks.

    A time that the clocks skip in spring falls an hour later on them; one that comes twice in autumn is the first.
    """

    at: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, at: str, zone: str) -> Daily:
        """Of `HH:MM` and an IANA name. Raises ValueError for what is neither."""
        try:
            moment = datetime.strptime(at, "%H:%M").time()  # noqa: DTZ007 -- a time of day has no zone by itself
        except ValueError as error:
            raise ValueError(f"A daily schedule is at HH:MM, such as 02:30, not {at!r}.") from error
        try:
            return cls(moment, ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{zone!r} is not a time zone; take an IANA name such as Europe/Berlin.") from error

    def latest(self, at: datetime) -> datetime:
        """The last tick that is not after `at`."""
        day = at.astimezone(self.zone).date() + _DAY
        while (tick := datetime.combine(day, self.at, self.zone).astimezone(UTC)) > at:
            day -= _DAY
        return tick

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """The ticks after `after`, without end."""
        day = after.astimezone(self.zone).date() - _DAY
        while True:
            tick = datetime.combine(day, self.at, self.zone).astimezone(UTC)
            if tick > after:
                yield tick
            day += _DAY


Schedule = Every | Daily


def schedule_of(every_minutes: int | None, at: str | None, zone: str) -> Schedule:
    """The schedule that `@job` was given. Raises ValueError unless it is exactly one."""
    if every_minutes is not None and at is None:
        return Every.parse(every_minutes)
    if at is not None and every_minutes is None:
        return Daily.parse(at, zone)
    raise ValueError("A job is due `every_minutes` so many or daily `at` a time: give exactly one of them.")
