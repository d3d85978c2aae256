"""The states of an outbox row and the statements that move it from one to the next.

READY → LEASED (`claim`) → DONE (`begin` or `finish`); back to READY by `release` (unused) or `fail` (due later);
`fail` and `bury` make it DEAD. A row counts as leased until `leased_until`, then it may be claimed again. Each lease
has a number, the fencing token: who comes with an old one changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from engage.base import db

_UNDONE = "finished_at IS NULL AND dead_at IS NULL"
_LEASED = f"leased_until IS NOT NULL AND {_UNDONE}"

# A row of an ordered handler is passed over while an earlier one of its stream is undone. That one was committed
# before, since positions are taken in order of commit. Names of other releases are left to workers who know them.
_CLAIM = f"""
    WITH due AS (
      SELECT o.id FROM outbox o
       WHERE o.finished_at IS NULL AND o.dead_at IS NULL AND o.due_at <= $1
         AND (o.leased_until IS NULL OR o.leased_until <= $1)
         AND o.handler = ANY ($2::text[])
         AND (o.handler <> ALL ($3::text[]) OR NOT EXISTS (
               SELECT FROM outbox e
                WHERE e.handler = o.handler AND e.stream = o.stream AND {_UNDONE}
                  AND (e.payload ->> 'position')::bigint < (o.payload ->> 'position')::bigint))
       ORDER BY o.due_at LIMIT $4
       FOR UPDATE OF o SKIP LOCKED
    )
    UPDATE outbox o SET leased_until = $5, lease = o.lease + 1, attempts = o.attempts + 1
      FROM due WHERE o.id = due.id
    RETURNING o.id, o.lease, o.handler, o.attempts
"""  # noqa: S608 -- no value is pasted in

# Completion is written before the effect, in one transaction: this locks the row and saves a statement. Work begins
# within a lease alone: Redis may hand out a killed worker's message again, and that is for the next lease to do.
_BEGIN = f"""
    UPDATE outbox SET finished_at = $3, leased_until = NULL
     WHERE id = $1 AND lease = $2 AND leased_until > $3 AND {_UNDONE}
    RETURNING id, handler, event_id, stream, payload, created_at, attempts
"""  # noqa: S608 -- no value is pasted in

_TAKE_OVER = f"""
    UPDATE outbox SET lease = lease + 1, leased_until = $4
     WHERE id = $1 AND lease = $2 AND leased_until > $3 AND {_UNDONE}
    RETURNING lease, id, handler, event_id, stream, payload, created_at, attempts
"""  # noqa: S608 -- no value is pasted in

# A row that is locked is at work in a transaction, here or elsewhere: it needs no longer lease and counts as kept.
_EXTEND = f"""
    WITH held AS (
      SELECT * FROM unnest($1::uuid[], $2::int[]) AS h (id, lease)
    ), ours AS MATERIALIZED (
      SELECT o.id FROM outbox o JOIN held h ON h.id = o.id AND h.lease = o.lease
       WHERE {_LEASED} ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
    ), extended AS (
      UPDATE outbox o SET leased_until = $3 FROM ours WHERE o.id = ours.id
    )
    SELECT h.id, h.lease FROM held h
     WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.id = h.id AND o.lease = h.lease AND {_LEASED})
"""  # noqa: S608 -- no value is pasted in

_FINISH = f"""
    UPDATE outbox SET finished_at = $3, leased_until = NULL WHERE id = $1 AND lease = $2 AND {_LEASED}
"""  # noqa: S608 -- no value is pasted in

_FAIL = f"""
    UPDATE outbox SET leased_until = NULL, last_error = $3, due_at = coalesce($4, due_at), dead_at = $5
     WHERE id = $1 AND lease = $2 AND {_LEASED}
"""  # noqa: S608 -- no value is pasted in

_RELEASE = f"""
    UPDATE outbox o SET leased_until = NULL, attempts = greatest(o.attempts - 1, 0)
      FROM unnest($1::uuid[], $2::int[]) AS held (id, lease)
     WHERE o.id = held.id AND o.lease = held.lease AND {_LEASED}
"""  # noqa: S608 -- no value is pasted in


@dataclass(frozen=True, slots=True)
class Claim:
    """A row that is leased to us."""

    id: UUID
    lease: int
    handler: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row whose work has begun."""

    id: UUID
    lease: int
    handler: str
    event_id: UUID | None
    stream: str
    payload: dict[str, Any]
    created_at: datetime
    attempts: int


def _row(record: asyncpg.Record | None, lease: int) -> Row | None:
    if record is None:
        return None
    return Row(
        id=record["id"],
        lease=lease,
        handler=record["handler"],
        event_id=record["event_id"],
        stream=record["stream"] or "",
        payload=orjson.loads(record["payload"]),
        created_at=record["created_at"],
        attempts=record["attempts"],
    )


async def claim(
    names: Sequence[str], ordered: Sequence[str], *, now: datetime, until: datetime, limit: int
) -> list[Claim]:
    """Lease up to `limit` due rows of the handlers `names` until a moment, those due longest first."""
    found = await db.fetch(_CLAIM, now, names, ordered, limit, until)
    return [Claim(row["id"], row["lease"], row["handler"], row["attempts"]) for row in found]


async def begin(row_id: UUID, lease: int, now: datetime) -> Row | None:
    """Mark a row done in the transaction of its effect; None when the lease is not ours or over."""
    return _row(await db.fetch_row(_BEGIN, row_id, lease, now), lease)


async def take_over(row_id: UUID, lease: int, now: datetime, until: datetime) -> Row | None:
    """Begin long work: a new lease, so that a second message for the old one finds nothing to do."""
    found = await db.fetch_row(_TAKE_OVER, row_id, lease, now, until)
    return _row(found, found["lease"] if found is not None else lease)


async def extend(held: Sequence[tuple[UUID, int]], until: datetime) -> list[tuple[UUID, int]]:
    """Keep leases until a moment; answers those that are not ours any more."""
    found = await db.fetch(_EXTEND, [row_id for row_id, _ in held], [lease for _, lease in held], until)
    return [(row["id"], row["lease"]) for row in found]


async def finish(row_id: UUID, lease: int, now: datetime) -> bool:
    """Mark a row done; False when the lease is not ours any more."""
    return db.rows_affected(await db.execute(_FINISH, row_id, lease, now)) == 1


async def find_undone(row_id: UUID, lease: int) -> Claim | None:
    """Handler and attempts of a row that is leased to us and not done."""
    row = await db.fetch_row(
        f"SELECT handler, attempts FROM outbox WHERE id = $1 AND lease = $2 AND {_LEASED}",  # noqa: S608
        row_id,
        lease,
    )
    return None if row is None else Claim(row_id, lease, row["handler"], row["attempts"])


async def fail(row_id: UUID, lease: int, error: str, due_at: datetime) -> None:
    """Give a row back to be tried again at `due_at`."""
    await db.execute(_FAIL, row_id, lease, error, due_at, None)


async def bury(row_id: UUID, lease: int, error: str, now: datetime) -> None:
    """Give a row up: DEAD, kept with its error until somebody decides."""
    await db.execute(_FAIL, row_id, lease, error, None, now)


async def release(claims: Sequence[tuple[UUID, int]]) -> None:
    """Give rows back that were not run: due again at once, the attempt not counted."""
    await db.execute(_RELEASE, [row_id for row_id, _ in claims], [lease for _, lease in claims])
