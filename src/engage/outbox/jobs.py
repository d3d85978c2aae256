"""Forgetting: finished rows, old ticks, answers, events, audit rows; in bounded batches that nobody waits for."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from engage.base import clock, db
from engage.base.settings import settings
from engage.outbox.kinds import KEEP_DONE, Bounds, Priority
from engage.outbox.limits import JOB_TIMEOUT_S
from engage.outbox.registry import job, present
from engage.realtime.log import prune_events

KEEP_TICKS = timedelta(days=30)
"""The latest tick of a schedule stays for ever: the next one counts from it."""

KEEP_DEAD = timedelta(days=90)
"""Dead rows that nobody has decided about go after this."""

KEEP_ORPHANED = timedelta(days=1)
"""A file that was begun and never given to a job."""

BATCH = 2_000
JOBS_BATCH = 10  # each may have a million results

# A job goes with its progress, its results and its files.
WITH_THEIR_RUNS = """
    , runs AS (
      DELETE FROM job_runs WHERE id = ANY (ARRAY(SELECT id FROM gone)) RETURNING id
    ), results AS (
      DELETE FROM job_results WHERE job_id = ANY (ARRAY(SELECT id FROM runs))
    ), files AS (
      DELETE FROM job_files WHERE job_id = ANY (ARRAY(SELECT id FROM runs)) RETURNING id
    ), parts AS (
      DELETE FROM job_file_parts WHERE file_id = ANY (ARRAY(SELECT id FROM files))
    )
    SELECT count(*) FROM gone
"""

_DONE = f"""
    WITH gone AS (
      DELETE FROM outbox WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE finished_at < $1 AND handler <> ALL ($3::text[])
         ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))
      RETURNING id
    ){WITH_THEIR_RUNS}
"""  # noqa: S608 -- no value is pasted in

_DONE_OF_KIND = f"""
    WITH gone AS (
      DELETE FROM outbox WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE finished_at < $1 AND handler = $3
         ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))
      RETURNING id
    ){WITH_THEIR_RUNS}
"""  # noqa: S608 -- no value is pasted in

_DEAD = f"""
    WITH gone AS (
      DELETE FROM outbox WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE dead_at < $1 ORDER BY dead_at LIMIT $2 FOR UPDATE SKIP LOCKED))
      RETURNING id
    ){WITH_THEIR_RUNS}
"""  # noqa: S608 -- no value is pasted in

_TICKS = """
    WITH gone AS (
      DELETE FROM schedule_ticks WHERE id = ANY (ARRAY(
        SELECT id FROM schedule_ticks t
         WHERE tick < $1 AND EXISTS (SELECT FROM schedule_ticks n WHERE n.name = t.name AND n.tick > t.tick)
         LIMIT $2 FOR UPDATE SKIP LOCKED))
      RETURNING id
    ) SELECT count(*) FROM gone
"""

_ANSWERS = """
    WITH gone AS (
      DELETE FROM idempotency_answers WHERE id = ANY (ARRAY(
        SELECT id FROM idempotency_answers WHERE keep_until < $1 ORDER BY keep_until LIMIT $2
           FOR UPDATE SKIP LOCKED))
      RETURNING id
    ) SELECT count(*) FROM gone
"""

# The role of workers may not DELETE here; the function forgets what is old enough, and no more.
_AUDIT = "SELECT engage.audit_prune($1, $2)"

_ORPHANED_FILES = """
    WITH gone AS (
      DELETE FROM job_files WHERE id = ANY (ARRAY(
        SELECT id FROM job_files WHERE created_at < $1 AND job_id IS NULL LIMIT $2))
      RETURNING id
    ), parts AS (
      DELETE FROM job_file_parts WHERE file_id = ANY (ARRAY(SELECT id FROM gone))
    ) SELECT count(*) FROM gone
"""

logger = structlog.get_logger(__name__)


@job("outbox.prune", cron="*/10 * * * *", bounds=Bounds(timeout_s=JOB_TIMEOUT_S, priority=Priority.LOW))
async def prune() -> None:
    """Remove what is past its time, each batch in a transaction of its own."""
    now = clock.now()
    kept = {kind.name: kind.bounds.keep for kind in present().kinds() if kind.bounds.keep != KEEP_DONE}
    gone = {
        "done": await prune_all(_DONE, now - KEEP_DONE, BATCH, list(kept)),
        "dead": await prune_all(_DEAD, now - KEEP_DEAD, BATCH),
        "ticks": await prune_all(_TICKS, now - KEEP_TICKS, BATCH),
        "answers": await prune_all(_ANSWERS, now, BATCH),
        "files": await prune_all(_ORPHANED_FILES, now - KEEP_ORPHANED, BATCH),
        "audit": await prune_all(_AUDIT, now - timedelta(days=settings().audit_keep_days), BATCH),
        "events": await _prune_log(now - timedelta(days=settings().event_keep_days)),
    }
    for name, keep in kept.items():
        gone["done"] += await prune_all(_DONE_OF_KIND, now - keep, JOBS_BATCH, name)
    if any(gone.values()):
        logger.info("outbox.pruned", **gone)


async def _prune_log(before: datetime) -> int:
    """Forget old events; subscribers who come back from before that get a reset."""
    total = 0
    while True:
        gone = await prune_events(before, BATCH)
        total += gone
        if gone < BATCH:
            return total


async def prune_all(sql: str, before: datetime, batch: int, *values: object) -> int:
    """Repeat one bounded DELETE until it finds less than a batch; answers how many rows went."""
    total = 0
    while True:
        gone: int = await db.fetch_value(sql, before, batch, *values)
        total += gone
        if gone < batch:
            return total
