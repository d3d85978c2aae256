"""Bulk corrections that wait, for tests that try every operation, under known ids."""

from __future__ import annotations

from uuid import UUID

from engage.base import clock, db
from engage.base.ids import new_id
from engage.domains.earning.bulk.types import JOB

GOOD, BAD, OF_ADMIN, APPROVED, REJECTED = (new_id() for _ in range(5))
ADMIN = "admin-1"
"""The subject of the admin's token."""

_PUT = """
    WITH job AS (
      INSERT INTO outbox (id, handler, stream, payload, created_at, due_at)
        VALUES ($1, $2::text, $6,
                jsonb_build_object('name', $2::text, 'version', 1, 'position', 0, 'data', '{}'::jsonb),
                $3, $3::timestamptz + interval '30 days')
        ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at, finished_at = NULL, cancel_asked_at = NULL
    )
    INSERT INTO bulk_corrections (id, program_code, reason, rows, added, removed, state, asked_by, asked_at)
      VALUES ($1, 'default', 'CORRECTION', 3, 500, 20, $4, $5, $3)
      ON CONFLICT (id) DO UPDATE SET state = excluded.state, decided_by = NULL, decided_at = NULL
"""


async def put_corrections() -> None:
    """Have them there as their names say, whatever became of them."""
    given: tuple[tuple[UUID, str, str], ...] = (
        (GOOD, "WAITING", "somebody"),
        (BAD, "WAITING", "somebody"),
        (OF_ADMIN, "WAITING", ADMIN),
        (APPROVED, "APPROVED", "somebody"),
        (REJECTED, "REJECTED", "somebody"),
    )
    for id_, state, asked_by in given:
        await db.execute(_PUT, id_, JOB, clock.now(), state, asked_by, f"job:{id_}")
