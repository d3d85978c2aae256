"""The scheduler: writes a tick and its outbox row in one statement, so that many workers make one row of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import islice

import orjson
import structlog

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox.loop import Loop
from engage.outbox.registry import Job, Registry
from engage.outbox.schedule import CatchUp

EACH_MAX = 500
"""Ticks that are caught up in one pass; more follow in the next."""

REST_MAX_S = 15.0
"""The scheduler looks at the clock this often, whatever the next tick."""

_LAST = """
    SELECT n.name, (SELECT max(tick) FROM schedule_ticks t WHERE t.name = n.name) AS tick
      FROM unnest($1::text[]) AS n (name)
"""

_NOTE = "INSERT INTO schedule_ticks (id, name, tick, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"

# With `$8`, a tick that still waits is moved forward to this one instead of having it wait behind.
_PROMISE = """
    WITH ticked AS (
      INSERT INTO schedule_ticks (id, name, tick, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING RETURNING id
    ), moved AS (
      UPDATE outbox SET payload = $7::jsonb
       WHERE $8 AND handler = $2 AND stream = $6 AND finished_at IS NULL AND dead_at IS NULL
         AND leased_until IS NULL AND EXISTS (SELECT FROM ticked)
      RETURNING id
    ), promised AS (
      INSERT INTO outbox (id, handler, stream, payload, created_at, due_at)
        SELECT $5, $2, $6, $7::jsonb, $4, $4 FROM ticked WHERE NOT EXISTS (SELECT FROM moved)
    )
    SELECT count(*) FROM ticked
"""

logger = structlog.get_logger(__name__)


class Scheduler:
    """Makes outbox rows of ticks that are due. `on_tick` wakes the relay."""

    def __init__(self, registry: Registry, on_tick: Callable[[], None]) -> None:
        self._registry = registry
        self._on_tick = on_tick
        self._loop = Loop("scheduler", self._look)
        self.run = self._loop.run
        self.stop = self._loop.stop

    async def _look(self) -> float:
        await self.tick()
        now = clock.now()
        nexts = [next(job.schedule.ticks(now)) for job in self._registry.jobs()]
        rest = min(((tick - now).total_seconds() for tick in nexts), default=REST_MAX_S)
        return min(max(rest, 0.01), REST_MAX_S)

    async def tick(self) -> int:
        """Promise what is due by now; answers how many ticks this call made."""
        now = clock.now()
        jobs = {job.name: job for job in self._registry.jobs()}
        made = 0
        for name, last in await db.fetch(_LAST, list(jobs)):
            made += await self._promise_due(jobs[name], last, now)
        if made:
            self._on_tick()
        return made

    async def _promise_due(self, job: Job, last: datetime | None, now: datetime) -> int:
        latest = job.schedule.latest(now)
        if last is None:
            # Seen for the first time: history is not run, and the next tick counts from here even after downtime.
            await db.execute(_NOTE, new_id(), job.name, latest, now)
            return 0
        if latest <= last:
            return 0
        if job.catch_up is CatchUp.LATEST:
            return await _promise(job, latest, now)
        made = 0
        for tick in islice(job.schedule.ticks(last), EACH_MAX):
            if tick > now:
                break
            made += await _promise(job, tick, now)
        return made


async def _promise(job: Job, tick: datetime, now: datetime) -> int:
    """Write one tick with its row; 0 when another worker was faster."""
    position = int(tick.timestamp() * 1000)
    payload = orjson.dumps({"name": job.name, "position": position, "data": {"at": tick.isoformat()}}).decode()
    made: int = await db.fetch_value(
        _PROMISE,
        new_id(),
        job.name,
        tick,
        now,
        new_id(),
        f"job:{job.name}",
        payload,
        job.catch_up is CatchUp.LATEST,
    )
    if made:
        logger.info("outbox.tick", job=job.name, tick=tick.isoformat())
    return made
