"""The scheduler: writes a tick and its outbox row in one statement, so that many workers make one row of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

import orjson
import structlog

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox.kinds import Job
from engage.outbox.loop import Loop
from engage.outbox.registry import Registry
from engage.outbox.schedule import CatchUp, Schedule, zone_of

EACH_MAX = 500
"""Ticks that are caught up in one pass; more follow in the next."""

REST_MAX_S = 15.0
"""The scheduler looks at the clock this often, whatever the next tick."""

_LAST = """
    SELECT n.name, t.tick, t.offset_s
      FROM unnest($1::text[]) AS n (name)
      LEFT JOIN LATERAL (
        SELECT tick, offset_s FROM schedule_ticks t WHERE t.name = n.name ORDER BY tick DESC LIMIT 1
      ) t ON true
"""

_NOTE = """
    INSERT INTO schedule_ticks (id, name, tick, created_at, offset_s) VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT DO NOTHING
"""

# With `$8`, a tick that still waits is moved forward to this one instead of having it wait behind.
_PROMISE = """
    WITH ticked AS (
      INSERT INTO schedule_ticks (id, name, tick, created_at, offset_s) VALUES ($1, $2, $3, $4, $10)
        ON CONFLICT DO NOTHING RETURNING id
    ), moved AS (
      UPDATE outbox SET payload = $7::jsonb
       WHERE $8 AND handler = $9 AND stream = $6 AND finished_at IS NULL AND dead_at IS NULL
         AND leased_until IS NULL AND EXISTS (SELECT FROM ticked)
      RETURNING id
    ), promised AS (
      INSERT INTO outbox (id, handler, stream, payload, created_at, due_at)
        SELECT $5, $9, $6, $7::jsonb, $4, $4 FROM ticked WHERE NOT EXISTS (SELECT FROM moved)
    )
    SELECT count(*) FROM ticked
"""

logger = structlog.get_logger(__name__)

Zones = Callable[[], Awaitable[Mapping[str, str]]]
"""Answers the IANA zone of each program, by the program's code."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A schedule to keep: a job's own, or a job's on the clocks of one program."""

    job: Job
    schedule: Schedule
    program: str | None = None

    @property
    def name(self) -> str:
        """Of its ticks. Its runs are the stream `job:<name>`, so they never overlap."""
        return self.job.name if self.program is None else f"{self.job.name}/{self.program}"

    def due(self, since: datetime, now: datetime) -> list[datetime]:
        """The ticks to run, of those after `since`."""
        if self.job.catch_up is CatchUp.LATEST:
            latest = self.schedule.latest(now)
            return [latest] if latest > since else []
        return list(takewhile(lambda tick: tick <= now, islice(self.schedule.ticks(since), EACH_MAX)))


class Scheduler:
    """Makes outbox rows of ticks that are due. `on_tick` wakes the relay."""

    def __init__(self, registry: Registry, on_tick: Callable[[], None], zones: Zones) -> None:
        self._registry = registry
        self._on_tick = on_tick
        self._zones = zones
        self._unknown: set[tuple[str, str]] = set()
        self._next: dict[_Line, datetime] = {}
        """Nothing is due of a line before this moment, so it need not be looked at."""
        self._loop = Loop("scheduler", self._look)
        self.run = self._loop.run
        self.stop = self._loop.stop

    async def _look(self) -> float:
        await self.tick()
        now = clock.now()
        rest = min(((tick - now).total_seconds() for tick in self._next.values()), default=REST_MAX_S)
        return min(max(rest, 0.01), REST_MAX_S)

    async def tick(self) -> int:
        """Promise what is due by now; answers how many ticks this call made."""
        now = clock.now()
        lines = await self._lines()
        self._next = {line: self._next[line] for line in lines if line in self._next}
        due = {line.name: line for line in lines if self._next.get(line, now) <= now}
        made = 0
        if due:
            for name, last, offset_s in await db.fetch(_LAST, list(due)):
                made += await self._promise_due(due[name], last, offset_s, now)
        if made:
            self._on_tick()
        return made

    async def _lines(self) -> list[_Line]:
        jobs = [(job, job.schedule) for job in self._registry.jobs() if job.schedule is not None]
        programs = await self._programs() if any(job.each_program for job, _ in jobs) else {}
        lines = [_Line(job, schedule) for job, schedule in jobs if not job.each_program]
        for job, schedule in jobs:
            if job.each_program:
                lines += [_Line(job, schedule.in_zone(zone), program) for program, zone in programs.items()]
        return lines

    async def _programs(self) -> dict[str, str]:
        """The programs with their zones. One whose zone is none is logged once, and the others go on."""
        known: dict[str, str] = {}
        unknown: set[tuple[str, str]] = set()
        for program, zone in (await self._zones()).items():
            try:
                zone_of(zone)
            except ValueError:
                unknown.add((program, zone))
            else:
                known[program] = zone
        for program, zone in sorted(unknown - self._unknown):
            logger.error("outbox.unknown_zone", program=program, zone=zone)
        self._unknown = unknown
        return known

    async def _promise_due(self, line: _Line, last: datetime | None, offset_s: int | None, now: datetime) -> int:
        made, schedule = 0, line.schedule
        if last is None:
            # Seen for the first time: history is not run, and the next tick counts from here even after downtime.
            since = schedule.latest(now)
            await db.execute(_NOTE, new_id(), line.name, since, now, schedule.offset_s(since))
        else:
            since = last if offset_s is None else schedule.goes_on_from(last, offset_s)
            for tick in line.due(since, now):
                made += await _promise(line, tick, now)
                since = tick
        self._next[line] = next(schedule.ticks(since))
        return made


async def _promise(line: _Line, tick: datetime, now: datetime) -> int:
    """Write one tick with its row; 0 when another worker was faster."""
    job = line.job
    payload = {
        "name": job.name,
        "version": job.version,
        "position": int(tick.timestamp() * 1000),
        "at": tick.isoformat(),
        "data": {} if line.program is None else {"program": line.program},
    }
    made: int = await db.fetch_value(
        _PROMISE,
        new_id(),
        line.name,
        tick,
        now,
        new_id(),
        f"job:{line.name}",
        orjson.dumps(payload).decode(),
        job.catch_up is CatchUp.LATEST,
        job.name,
        line.schedule.offset_s(tick),
    )
    if made:
        logger.info("outbox.tick", job=job.name, program=line.program, tick=tick.isoformat())
    return made
