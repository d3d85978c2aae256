"""What admins do with promised work: retry, discard, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, Actor, Scope, require
from engage.base.audit import named
from engage.base.errors import InvalidInput
from engage.outbox import lanes
from engage.outbox.errors import JobNotCancellable, JobNotRetryable, no_such_job
from engage.outbox.jobs import WITH_THEIR_RUNS
from engage.outbox.queries.reading import check_kind, find_records, state_of
from engage.outbox.record import CHANNEL
from engage.outbox.types import JobRecord, JobState
from engage.realtime.bell import knock

RETRY_MAX = 100
"""Jobs that are named at once."""

BATCH = 1_000
"""Dead rows that are retried or discarded in one transaction."""

_WAIT_AND_LOCK = """
    SELECT id, finished_at, dead_at, cancel_asked_at, leased_until, due_at FROM outbox
     WHERE id = ANY ($1) ORDER BY id FOR UPDATE
"""

_LOCK = f"{_WAIT_AND_LOCK} SKIP LOCKED"
"""A row that is locked is at work, or somebody decides about it right now: there is nothing to wait for."""

# What waits behind a row of its stream is due when that is; see `rows.fail`.
_RETRY = """
    WITH behind AS (
      UPDATE outbox o SET due_at = $2
        FROM outbox f
       WHERE f.id = ANY ($1) AND f.dead_at IS NULL AND f.due_at > $2
         AND o.handler = f.handler AND o.target = f.target AND o.stream = f.stream AND o.due_at = f.due_at
         AND o.id <> ALL ($1) AND o.leased_until IS NULL AND o.finished_at IS NULL AND o.dead_at IS NULL
    )
    UPDATE outbox SET dead_at = NULL, cancel_asked_at = NULL, leased_until = NULL, attempts = 0,
           due_at = CASE WHEN dead_at IS NULL THEN least(due_at, $2) ELSE $2 END
     WHERE id = ANY ($1)
"""

# The order is that of the index, which would else be left for a scan of all that there is.
# Of several dead jobs with one key one is retried, and none while another with it is undone.
_RETRY_DEAD = """
    WITH found AS (
      SELECT d.id, d.key FROM outbox d
       WHERE d.handler = $1 AND d.dead_at <= $2
         AND (d.key IS NULL OR NOT EXISTS (
               SELECT FROM outbox o
                WHERE o.handler = d.handler AND o.key = d.key AND o.finished_at IS NULL AND o.dead_at IS NULL))
       ORDER BY d.handler, d.target, d.id LIMIT $3 FOR UPDATE OF d SKIP LOCKED
    ), chosen AS (
      SELECT DISTINCT ON (coalesce(key, id::text)) id FROM found ORDER BY coalesce(key, id::text), id DESC
    )
    UPDATE outbox o SET dead_at = NULL, cancel_asked_at = NULL, attempts = 0, due_at = $2
      FROM chosen WHERE o.id = chosen.id
"""

_DISCARD_DEAD = f"""
    WITH gone AS (
      DELETE FROM outbox WHERE id = ANY (ARRAY(
        SELECT d.id FROM outbox d WHERE d.handler = $1 AND d.dead_at <= $2
         ORDER BY d.handler, d.target, d.id LIMIT $3 FOR UPDATE SKIP LOCKED))
      RETURNING id
    ){WITH_THEIR_RUNS}
"""  # noqa: S608 -- no value is pasted in

_CANCEL = """
    UPDATE outbox SET cancel_asked_at = coalesce(cancel_asked_at, $2), finished_at = $3::timestamptz,
           leased_until = CASE WHEN $3::timestamptz IS NULL THEN leased_until END
     WHERE id = $1
"""

logger = structlog.get_logger(__name__)


@db.command
async def retry_jobs(actor: Actor, job_ids: Sequence[UUID]) -> list[UUID]:
    """Have dead or waiting work done at once, its attempts counted anew: all of it or nothing; answers the ids.

    What waits in a stream behind it is due at once too. Raises Forbidden, InvalidInput for none or more than 100,
    NotFound, JobNotRetryable.
    """
    require(actor, ADMIN_ROLES, Scope.JOBS_WRITE)
    wanted = list(dict.fromkeys(job_ids))
    if not 1 <= len(wanted) <= RETRY_MAX:
        raise InvalidInput(f"Name 1 to {RETRY_MAX} jobs at once.", path=["ids"])
    now = clock.now()
    rows = {row["id"]: row for row in await db.fetch(_LOCK, wanted)}
    await _check_there([job_id for job_id in wanted if job_id not in rows])
    for job_id in wanted:
        state = state_of(rows[job_id], now) if job_id in rows else JobState.RUNNING
        if state not in (JobState.DEAD, JobState.WAITING, JobState.READY):
            raise JobNotRetryable(
                f"Job {job_id} is {state}: what is dead or waits can be retried.", path=["ids"], state=state
            )
    try:
        async with db.savepoint():
            await db.execute(_RETRY, wanted, now)
    except asyncpg.UniqueViolationError as error:
        raise JobNotRetryable(
            "Another job with the same key is not done yet: one of a key is at work at a time.",
            path=["ids"],
            state=JobState.DEAD,
        ) from error
    knock(CHANNEL)
    logger.info("jobs.retried", by=actor.id, jobs=[str(job_id) for job_id in wanted])
    return wanted


@db.recorded
@named("retry_dead_jobs")
async def retry_dead(actor: Actor, kind: str, target: str | None = None) -> int:
    """Have all that is dead of a kind by now done at once; answers how much that was. Raises Forbidden.

    Of several jobs with the same key one is retried, and none while another with it is undone; the rest stays dead.
    """
    require(actor, ADMIN_ROLES, Scope.JOBS_WRITE)
    return await _in_batches(_retry_batch, "jobs.dead_retried", actor, kind, target)


@db.recorded
@named("discard_dead_jobs")
async def discard_dead(actor: Actor, kind: str, target: str | None = None) -> int:
    """Forget all that is dead of a kind by now, with results and files; answers how much. Raises Forbidden."""
    require(actor, ADMIN_ROLES, Scope.JOBS_WRITE)
    return await _in_batches(_discard_batch, "jobs.dead_discarded", actor, kind, target)


@db.command
@named("pause_job_kind")
async def pause_kind(actor: Actor, kind: str, target: str = "") -> None:
    """Have nothing of a kind begun any more, for one target or for all; what is at work ends as usual.

    One that is paused already stays as it is. Raises Forbidden, NotFound.
    """
    require(actor, ADMIN_ROLES, Scope.JOBS_WRITE)
    await check_kind(kind, target)
    lane = await lanes.find(kind, target)
    if lane is None or lane.paused_at is None:
        await lanes.pause(kind, target, by=actor.id)
        logger.info("jobs.paused", by=actor.id, kind=kind, target=target)


@db.command
@named("resume_job_kind")
async def resume_kind(actor: Actor, kind: str, target: str = "") -> None:
    """Go on with a kind, and call what has failed as if it never had. Raises Forbidden, NotFound."""
    require(actor, ADMIN_ROLES, Scope.JOBS_WRITE)
    await check_kind(kind, target)
    await lanes.resume(kind, target)
    knock(CHANNEL)
    logger.info("jobs.resumed", by=actor.id, kind=kind, target=target)


@db.command
async def cancel_job(actor: Actor, job_id: UUID) -> JobRecord:
    """Have work not done: at once, or, for a job that is at work, from its next step on; what is committed stays.

    Asking again changes nothing. Raises Forbidden, NotFound, JobNotCancellable.
    """
    require(actor, ADMIN_ROLES, Scope.JOBS_WRITE)
    state = await _lock_to_cancel(job_id, clock.now())
    if state in (JobState.WAITING, JobState.READY, JobState.RUNNING):
        now = clock.now()
        await db.execute(_CANCEL, job_id, now, None if state is JobState.RUNNING else now)
        knock(CHANNEL)
        logger.info("jobs.cancelled", by=actor.id, job=str(job_id), state=state)
        return (await find_records([job_id]))[job_id]
    words = "is dead: discard it, or leave it" if state is JobState.DEAD else f"is {state} already"
    raise JobNotCancellable(f"Job {job_id} {words}.", path=["id"], state=state)


async def _lock_to_cancel(job_id: UUID, now: datetime) -> JobState:
    """Lock a row and answer its state. Raises NotFound, JobNotCancellable for an event at work."""
    is_job: bool | None = await db.fetch_value("SELECT event_id IS NULL FROM outbox WHERE id = $1", job_id)
    if is_job is None:
        raise no_such_job(job_id, "id")
    # The locks of a job are those of its checkpoints, and short; an event's lasts as long as its work.
    row = await db.fetch_row(_WAIT_AND_LOCK if is_job else _LOCK, [job_id])
    if row is None and is_job:
        raise no_such_job(job_id, "id")
    state = JobState.RUNNING if row is None else state_of(row, now)
    if state is JobState.RUNNING and not is_job:
        raise JobNotCancellable(
            f"{job_id} is an event at work, which cannot be stopped. It takes seconds; if it fails, cancel it then.",
            path=["id"],
            state=state,
        )
    return state


async def _check_there(job_ids: Sequence[UUID]) -> None:
    """Raise NotFound unless each of these rows is there."""
    there = {row["id"] for row in await db.fetch("SELECT id FROM outbox WHERE id = ANY ($1)", list(job_ids))}
    for job_id in job_ids:
        if job_id not in there:
            raise no_such_job(job_id, "ids")


Batch = Callable[[str, str | None, datetime], Coroutine[Any, Any, int]]


async def _in_batches(batch: Batch, told_as: str, actor: Actor, kind: str, target: str | None) -> int:
    """Do one batch after another until one finds nothing; answers how many rows they were."""
    now, total = clock.now(), 0
    while done := await batch(kind, target, now):
        total += done
    if total:
        logger.info(told_as, by=actor.id, kind=kind, target=target, rows=total)
    return total


@db.command
async def _retry_batch(kind: str, target: str | None, dead_by: datetime) -> int:
    sql, values = _of_target(_RETRY_DEAD, target)
    try:
        done = db.rows_affected(await db.execute(sql, kind, dead_by, BATCH, *values))
    except asyncpg.UniqueViolationError as error:  # another job with the key has been asked for meanwhile
        raise db.Retry from error
    if done:
        knock(CHANNEL)
    return done


@db.command
async def _discard_batch(kind: str, target: str | None, dead_by: datetime) -> int:
    sql, values = _of_target(_DISCARD_DEAD, target)
    gone: int = await db.fetch_value(sql, kind, dead_by, BATCH, *values)
    return gone


def _of_target(sql: str, target: str | None) -> tuple[str, list[str]]:
    """The statement for one target alone, if that is meant."""
    if target is None:
        return sql, []
    return sql.replace("d.handler = $1", "d.handler = $1 AND d.target = $4"), [target]
