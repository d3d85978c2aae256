"""Schedules: when each was due last, and is due next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, Actor, Scope, require
from engage.outbox.registry import present
from engage.outbox.schedule import Schedule, zone_of
from engage.outbox.types import ScheduleRecord

LATE_AFTER = timedelta(minutes=2)

_LAST = """
    SELECT n.name, t.tick, t.offset_s
      FROM unnest($1::text[]) AS n (name)
      JOIN LATERAL (
        SELECT tick, offset_s FROM schedule_ticks t WHERE t.name = n.name ORDER BY tick DESC LIMIT 1
      ) t ON true
"""


async def list_schedules(actor: Actor, zones: Mapping[str, str]) -> list[ScheduleRecord]:
    """The schedules of this release, by name; `zones` are the IANA zones of the programs by code.

    A program whose zone is none has no schedules, since no worker could keep them. Raises Forbidden.
    """
    require(actor, ADMIN_ROLES, Scope.JOBS_READ)
    now, lines = clock.now(), sorted(_lines(zones), key=lambda line: (line[0], line[1] or ""))
    ticks = {
        name: (tick, offset_s)
        for name, tick, offset_s in await db.fetch(_LAST, [_tick_name(job, code) for job, code, _ in lines])
    }
    return [
        _record(job, program, schedule, ticks.get(_tick_name(job, program)), now) for job, program, schedule in lines
    ]


def _lines(zones: Mapping[str, str]) -> Iterator[tuple[str, str | None, Schedule]]:
    """Job, program and schedule of each line that the scheduler keeps."""
    for job in present().jobs():
        if job.schedule is None:
            continue
        if not job.each_program:
            yield job.name, None, job.schedule
            continue
        for program, zone in zones.items():
            if _is_zone(zone):
                yield job.name, program, job.schedule.in_zone(zone)


def _is_zone(name: str) -> bool:
    try:
        zone_of(name)
    except ValueError:
        return False
    return True


def _tick_name(job: str, program: str | None) -> str:
    """What the scheduler calls its ticks."""
    return job if program is None else f"{job}/{program}"


def _record(
    job: str, program: str | None, schedule: Schedule, last: tuple[datetime, int | None] | None, now: datetime
) -> ScheduleRecord:
    if last is None:
        next_at = next(schedule.ticks(now))
    else:
        tick, offset_s = last
        next_at = next(schedule.ticks(tick if offset_s is None else schedule.goes_on_from(tick, offset_s)))
    return ScheduleRecord(
        name=job,
        program=program,
        cron=schedule.expression,
        zone=schedule.zone.key,
        last_at=None if last is None else last[0],
        next_at=next_at,
        late=next_at < now - LATE_AFTER,
    )
