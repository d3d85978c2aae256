"""Promised work in any state, as admins find it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox.types import JobState

EVENT, JOB = "tests.leave", "tests.job"

_PUT = """
    INSERT INTO outbox (id, handler, target, event_id, stream, key, payload, created_at, due_at, attempts,
                        leased_until, finished_at, dead_at, cancel_asked_at, last_error)
    VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11, $12, $13, $14, $15)
"""

_PROGRESS = """
    INSERT INTO job_runs (id, asked_by, steps, rows_done, rows_failed, rows_total, worked_ms, began_at, told_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
"""


async def put(
    kind: str = EVENT,
    state: JobState = JobState.READY,
    *,
    target: str = "",
    is_job: bool | None = None,
    key: str | None = None,
    stream: str | None = None,
    args: dict[str, Any] | None = None,
    version: int = 1,
) -> UUID:
    """Write one row; what is `tests.job` is a job unless said otherwise."""
    now, row_id = clock.now(), new_id()
    job = kind == JOB if is_job is None else is_job
    payload = (
        {"name": kind, "version": version, "position": 0} if job else {"name": "tests.happened.v1", "position": 7}
    )
    ended = now if state in (JobState.DONE, JobState.CANCELLED) else None
    await db.execute(
        _PUT,
        row_id,
        kind,
        target,
        None if job else new_id(),
        stream or (f"job:{row_id}" if job else f"test:{row_id}"),
        key,
        orjson.dumps(payload | {"data": args or {}}).decode(),
        now,
        now + timedelta(minutes=5 if state is JobState.WAITING else 0),
        0 if state is JobState.READY else 3,
        now + timedelta(minutes=1) if state is JobState.RUNNING else None,
        ended,
        now if state is JobState.DEAD else None,
        ended if state is JobState.CANCELLED else None,
        "OSError: full disk" if state in (JobState.WAITING, JobState.DEAD) else None,
    )
    return row_id


async def put_progress(
    job_id: UUID, done: int, total: int | None, *, failed: int = 0, worked_ms: int = 2_000
) -> None:
    """Say how far a job is."""
    await db.execute(_PROGRESS, job_id, "alice", 3, done, failed, total, worked_ms, clock.now())


async def put_results(job_id: UUID, count: int) -> None:
    """Results of the rows 1 to `count`: every third is refused."""
    await db.execute(
        "INSERT INTO job_results (id, job_id, row, code, detail)"
        " SELECT gen_random_uuid(), $1, n, CASE WHEN n % 3 = 0 THEN 'REFUSED' ELSE 'NEW' END,"
        " jsonb_build_object('order', 'A-' || n) FROM generate_series(1, $2::int) n",
        job_id,
        count,
    )


async def row_of(row_id: UUID) -> dict[str, Any]:
    """The row as it stands."""
    found = await db.fetch_row("SELECT * FROM outbox WHERE id = $1", row_id)
    assert found is not None
    return dict(found)
