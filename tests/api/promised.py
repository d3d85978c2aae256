"""Promised work for tests that try every operation: a piece in each state that matters, under known ids."""

from __future__ import annotations

from uuid import UUID

from engage.api.relay import global_id
from engage.base import db
from engage.base.ids import new_id

KIND = "outbox.prune"
DEAD, WAITING, DONE = new_id(), new_id(), new_id()

_PUT = """
    INSERT INTO outbox (id, handler, stream, payload, created_at, due_at, finished_at, dead_at)
      SELECT v.id, $2::text, 'job:' || v.id, jsonb_build_object('name', $2::text, 'position', 0, 'data', '{}'::jsonb),
             now(), now() + v.late * interval '1 day', CASE WHEN v.done THEN now() END,
             CASE WHEN v.dead THEN now() END
        FROM unnest($1::uuid[], $3::int[], $4::bool[], $5::bool[]) AS v (id, late, done, dead)
      ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at, finished_at = excluded.finished_at,
         dead_at = excluded.dead_at, cancel_asked_at = NULL
"""


def job_gid(id_: UUID) -> str:
    """The id as the API has it."""
    return global_id("Job", id_)


async def put_jobs() -> None:
    """Have the three there as their names say, whatever became of them."""
    await db.execute(_PUT, [DEAD, WAITING, DONE], KIND, [0, 1, 0], [False, False, True], [True, False, False])
