"""Checkpoints: what a step has done, written in the step's own transaction and fenced by the lease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from engage.base import db
from engage.base.ids import new_id

# The checkpoint comes last in a step, so that the row is locked only while it commits. `steps` tells a step that was
# repeated because the answer to its COMMIT was lost.
_WRITE = """
    WITH fenced AS (
      SELECT id, cancel_asked_at IS NOT NULL AS cancelled FROM outbox
       WHERE id = $1 AND lease = $2 AND leased_until IS NOT NULL AND finished_at IS NULL AND dead_at IS NULL
         FOR UPDATE
    ), saved AS (
      INSERT INTO job_runs AS r (id, steps, state, rows_done, rows_failed, rows_total, worked_ms, began_at, told_at)
        SELECT id, 1, $4::jsonb, $5, $6, $7, $8, $9, $9 FROM fenced WHERE $3 = 0 OR EXISTS (
               SELECT FROM job_runs WHERE id = $1)
        ON CONFLICT (id) DO UPDATE SET
          steps = r.steps + 1, state = coalesce($10::jsonb, r.state), rows_done = r.rows_done + $5,
          rows_failed = r.rows_failed + $6, rows_total = coalesce($7, r.rows_total), worked_ms = r.worked_ms + $8,
          began_at = coalesce(r.began_at, $9), told_at = $9
          WHERE r.steps = $3
        RETURNING id
    ), kept AS (
      INSERT INTO job_results (id, job_id, row, code, detail)
        SELECT v.id, saved.id, v.row, v.code, v.detail
          FROM saved, unnest($11::uuid[], $12::bigint[], $13::text[], $14::jsonb[]) AS v (id, row, code, detail)
        ON CONFLICT (job_id, row) DO NOTHING
    )
    SELECT (SELECT cancelled FROM fenced) AS cancelled, EXISTS (SELECT FROM saved) AS saved
"""

_FENCE = """
    SELECT cancel_asked_at IS NOT NULL AS cancelled, true AS saved FROM outbox
     WHERE id = $1 AND lease = $2 AND leased_until IS NOT NULL AND finished_at IS NULL AND dead_at IS NULL
       FOR UPDATE
"""

_READ = """
    SELECT r.steps, r.state, r.asked_by FROM job_runs r WHERE r.id = $1
"""


_RESULTS = "SELECT row, code, detail FROM job_results WHERE job_id = $1 AND row > $2 ORDER BY row LIMIT $3"


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row of a job's input: its number from 1, a code, and details as JSON."""

    row: int
    code: str
    detail: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step has done. `done` and `failed` count rows of this step; `total` is for the whole job, once known.

    `state` is where to go on from; None leaves it as it is.
    """

    state: dict[str, Any] | None = None
    done: int = 0
    failed: int = 0
    total: int | None = None
    results: Sequence[RowResult] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be remembered of it."""
        return self.state is None and self.total is None and not (self.done or self.failed or self.results)


class Written(Enum):
    """What became of a checkpoint."""

    GO_ON = "GO_ON"
    CANCEL = "CANCEL"
    """Written, and somebody has asked to cancel the job."""
    REPEATED = "REPEATED"
    """This very step had committed before: the repetition has to be undone."""
    LOST = "LOST"
    """The lease is not ours any more."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the last checkpoint of a job says."""

    steps: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    asked_by: str | None = None


async def read(job_id: UUID) -> Kept:
    """The last checkpoint, or an empty one at the beginning."""
    row = await db.fetch_row(_READ, job_id)
    return Kept() if row is None else Kept(row["steps"], orjson.loads(row["state"]), row["asked_by"])


async def read_results(job_id: UUID, after: int, limit: int) -> list[RowResult]:
    """The first results of the rows after row `after` (0 for the beginning), in order."""
    found = await db.fetch(_RESULTS, job_id, after, limit)
    return [RowResult(row, code, orjson.loads(detail)) for row, code, detail in found]


async def write(job_id: UUID, lease: int, steps: int, step: Step, now: datetime, worked_ms: int) -> Written:
    """Write what a step has done after `steps` earlier ones, in the present transaction."""
    row = await (
        db.fetch_row(_FENCE, job_id, lease) if step.is_empty else _save(job_id, lease, steps, step, now, worked_ms)
    )
    if row is None or row["cancelled"] is None:
        return Written.LOST
    if not row["saved"]:
        return Written.REPEATED
    return Written.CANCEL if row["cancelled"] else Written.GO_ON


async def _save(
    job_id: UUID, lease: int, steps: int, step: Step, now: datetime, worked_ms: int
) -> asyncpg.Record | None:
    state = None if step.state is None else orjson.dumps(step.state).decode()
    return await db.fetch_row(
        _WRITE,
        job_id,
        lease,
        steps,
        state or "{}",
        step.done,
        step.failed,
        step.total,
        worked_ms,
        now,
        state,
        [new_id() for _ in step.results],
        [one.row for one in step.results],
        [one.code for one in step.results],
        [orjson.dumps(one.detail).decode() for one in step.results],
    )
