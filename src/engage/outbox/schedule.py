"""When scheduled work is due. Pure: moments in, moments out; all of them aware, ticks in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_FIELDS = 5
_ANY_TIME = datetime(2024, 1, 1)  # noqa: DTZ001 -- what clocks show has no zone


class CatchUp(StrEnum):
    """What a job does about the ticks that passed while no worker ran."""

    LATEST = "LATEST"
    """Run once, for the latest of them. A tick that still waits is moved forward and not doubled."""

    EACH = "EACH"
    """Run once for each of them, in order."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression (minute, hour, day of month, month, day of week) on the clocks of `zone`.

    When clocks change it does as Debian's cron. With a `*` at the beginning of minute or hour it goes by what the
    clocks show: each time they show it, so that `* * * * *` and `0 * * * *` go on evenly. Otherwise it is due once
    for each reading: when the clocks have sprung, if they skip it; the first time, if it comes twice.
    """

    expression: str
    zone: ZoneInfo

    @classmethod
    def parse(cls, expression: str, zone: str) -> Cron:
        """Of a cron expression and an IANA name. Raises ValueError for what is neither, and for what is never due."""
        _check_fields(expression)
        found = cls(expression, zone_of(zone))
        try:
            next(found.ticks(_ANY_TIME.replace(tzinfo=UTC)))
        except (CronSimError, StopIteration) as error:
            raise ValueError(f"{expression!r} is never due: there is no such day.") from error
        return found

    def in_zone(self, zone: str) -> Cron:
        """The same on other clocks. Raises ValueError for what is not an IANA name."""
        return Cron(self.expression, zone_of(zone))

    @property
    def is_even(self) -> bool:
        """Whether it is due each time that the clocks show it, and not once for each reading."""
        minute, hour, *_ = self.expression.split()
        return minute.startswith("*") or hour.startswith("*")

    def offset_s(self, at: datetime) -> int:
        """How many seconds the clocks are ahead of UTC."""
        return int((self._shown(at) - at.astimezone(UTC).replace(tzinfo=None)).total_seconds())

    def latest(self, at: datetime) -> datetime:
        """The last tick that is not after `at`. Raises ValueError for a moment without a zone."""
        # Readings go back from one that is late enough; those that come twice are put in order by going forward.
        for wall in CronSim(self.expression, max(self._readings(at)) + _MINUTE, reverse=True):
            due = self._due(wall)
            if due and due[0] <= at:
                return self._last_until(at, due[0])
        raise ValueError(f"{self.expression!r} was never due.")

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """The ticks after `after`, in order and without end. Raises ValueError for a moment without a zone."""
        last = after
        waiting: list[datetime] = []
        for wall in CronSim(self.expression, min(self._readings(after))):
            due = self._due(wall)
            waiting = sorted([*waiting, *due])
            # The second time of a reading comes after the first time of those that follow it.
            while due and waiting and waiting[0] <= due[0]:
                tick = waiting.pop(0)
                if tick > last:
                    yield tick
                    last = tick

    def goes_on_from(self, last: datetime, offset_s: int) -> datetime:
        """The moment after which ticks are new; `last` was the last, on clocks so many seconds ahead of UTC.

        That is `last`, unless these clocks are others: what those have shown once is then not due once more.
        """
        if self.is_even:
            return last
        wall = last.astimezone(UTC).replace(tzinfo=None) + timedelta(seconds=offset_s)
        return max(last, *self._due(wall))

    def _last_until(self, at: datetime, tick: datetime) -> datetime:
        for later in self.ticks(tick):
            if later > at:
                break
            tick = later
        return tick

    def _due(self, wall: datetime) -> list[datetime]:
        """When it is due for a reading of the clocks that the expression names."""
        moments = self._moments(wall)
        if self.is_even:
            return moments
        while not moments:
            wall += _MINUTE
            moments = self._moments(wall)
        return moments[:1]

    def _moments(self, wall: datetime) -> list[datetime]:
        """When the clocks show `wall`: once; never, if they skip it; twice, if they are put back over it."""
        possible = {wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
        return sorted(moment for moment in possible if self._shown(moment) == wall)

    def _shown(self, at: datetime) -> datetime:
        return at.astimezone(self.zone).replace(tzinfo=None)

    def _readings(self, at: datetime) -> list[datetime]:
        """What the clocks show at a moment, and would show if they had changed or were to change within a day."""
        if at.tzinfo is None:
            raise ValueError("A schedule needs moments with a time zone.")
        return [self._shown(at + shift) - shift for shift in (-_DAY, timedelta(), _DAY)]


Schedule = Cron


def zone_of(name: str) -> ZoneInfo:
    """The clocks of an IANA name. Raises ValueError when there are none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: it is a folder of them
        raise ValueError(f"{name!r} is not a time zone; take an IANA name such as Europe/Berlin.") from error


def _check_fields(expression: str) -> None:
    """Raise ValueError unless there are five fields, each right by itself."""
    fields = expression.split()
    if len(fields) != _FIELDS:
        raise ValueError(
            f"{expression!r} is no cron expression: it has {_FIELDS} fields, minute, hour, day of month, month and"
            " day of week. 30 2 * * * is daily at 02:30."
        )
    for place, field in enumerate(fields):
        alone = ["*"] * _FIELDS
        alone[place] = field
        try:
            CronSim(" ".join(alone), _ANY_TIME)
        except CronSimError as error:
            raise ValueError(f"{expression!r} is no cron expression: {field!r} is a {str(error).lower()}.") from error
