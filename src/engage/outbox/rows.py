"""The states of an outbox row and the statements that move it from one to the next.

READY → LEASED (`claim`) → DONE (`begin` or `finish`); back to READY by `release` (unused) or `fail` (due later);
`bury` makes it DEAD. A row counts as leased until `leased_until`, then it may be claimed again. Each lease
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
from engage.outbox.kinds import Kind

_UNDONE = "finished_at IS NULL AND dead_at IS NULL"
_LEASED = f"leased_until IS NOT NULL AND {_UNDONE}"

_CLAIM = """
    SELECT id, lease, handler, target, attempts
      FROM engage.claim_outbox($1::text[], $2::bool[], $3::int[], $4::int[], $5::int[], $6, $7, $8)
"""

_CLAIM_ONE = f"""
    UPDATE outbox SET leased_until = $3, lease = lease + 1, attempts = attempts + 1
     WHERE id = $1 AND {_UNDONE} AND due_at <= $2 AND (leased_until IS NULL OR leased_until <= $2)
    RETURNING id, lease, handler, target, attempts
"""  # noqa: S608 -- no value is pasted in

# Completion is written before the effect, in one transaction: this locks the row and saves a statement. Work begins
# within a lease alone: Redis may hand out a killed worker's message again, and that is for the next lease to do.
_BEGIN = f"""
    UPDATE outbox SET finished_at = $3, leased_until = NULL
     WHERE id = $1 AND lease = $2 AND leased_until > $3 AND {_UNDONE}
    RETURNING id, handler, target, event_id, stream, payload, created_at, attempts
"""  # noqa: S608 -- no value is pasted in

_TAKE_OVER = f"""
    UPDATE outbox SET lease = lease + 1, leased_until = $4
     WHERE id = $1 AND lease = $2 AND leased_until > $3 AND {_UNDONE}
    RETURNING lease, id, handler, target, event_id, stream, payload, created_at, attempts
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
     WHERE NOT EXISTS (
       SELECT FROM outbox o WHERE o.id = h.id AND o.lease = h.lease AND o.cancel_asked_at IS NULL AND {_LEASED})
"""  # noqa: S608 -- no value is pasted in

# A target that answers again is called as before. `cancel_asked_at` stays on what was cancelled alone.
_FINISH = f"""
    WITH finished AS (
      UPDATE outbox SET finished_at = $3, leased_until = NULL, cancel_asked_at = $4::timestamptz
       WHERE id = $1 AND lease = $2 AND {_LEASED}
      RETURNING handler, target
    ), well AS (
      UPDATE outbox_lanes l SET failures = 0, failing_since = NULL, not_before = NULL
        FROM finished f WHERE l.handler = f.handler AND l.target = f.target AND l.failures > 0
    )
    SELECT count(*) FROM finished
"""  # noqa: S608 -- no value is pasted in

# What waits behind a failed row of its stream is due when that is: it would be looked at in vain until then.
_FAIL = f"""
    WITH failed AS (
      UPDATE outbox SET leased_until = NULL, last_error = $3, due_at = coalesce($4, due_at), dead_at = $5
       WHERE id = $1 AND lease = $2 AND {_LEASED}
      RETURNING id, handler, target, stream, due_at
    ), behind AS (
      UPDATE outbox o SET due_at = f.due_at
        FROM failed f
       WHERE $6 AND $5::timestamptz IS NULL AND o.handler = f.handler AND o.target = f.target
         AND o.stream = f.stream AND o.id <> f.id AND o.leased_until IS NULL AND o.due_at < f.due_at
         AND o.finished_at IS NULL AND o.dead_at IS NULL
    )
    SELECT count(*) FROM failed
"""  # noqa: S608 -- no value is pasted in

_RELEASE = f"""
    UPDATE outbox o SET leased_until = NULL, attempts = greatest(o.attempts - 1, 0), due_at = greatest(o.due_at, $3)
      FROM unnest($1::uuid[], $2::int[]) AS held (id, lease)
     WHERE o.id = held.id AND o.lease = held.lease AND {_LEASED}
"""  # noqa: S608 -- no value is pasted in


@dataclass(frozen=True, slots=True)
class Claim:
    """A row that is leased to us."""

    id: UUID
    lease: int
    handler: str
    target: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Undone:
    """A row that has failed."""

    handler: str
    target: str
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A row whose work has begun."""

    id: UUID
    lease: int
    handler: str
    target: str
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
        target=record["target"],
        event_id=record["event_id"],
        stream=record["stream"] or "",
        payload=orjson.loads(record["payload"]),
        created_at=record["created_at"],
        attempts=record["attempts"],
    )


async def claim(kinds: Sequence[Kind], *, now: datetime, until: datetime, limit: int) -> list[Claim]:
    """Lease up to `limit` due rows of these kinds until a moment: by priority, then those due longest."""
    found = await db.fetch(
        _CLAIM,
        [kind.name for kind in kinds],
        [kind.ordered for kind in kinds],
        [int(kind.bounds.priority) for kind in kinds],
        [kind.bounds.in_flight_max for kind in kinds],
        [kind.bounds.per_minute for kind in kinds],
        now,
        until,
        limit,
    )
    return [_claim(row) for row in found]


async def claim_one(row_id: UUID, *, now: datetime, until: datetime) -> Claim | None:
    """Lease one row for this process, whatever the bounds of its kind; None when it is not due or somebody has it."""
    row = await db.fetch_row(_CLAIM_ONE, row_id, now, until)
    return None if row is None else _claim(row)


def _claim(row: asyncpg.Record) -> Claim:
    return Claim(row["id"], row["lease"], row["handler"], row["target"], row["attempts"])


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


async def finish(row_id: UUID, lease: int, now: datetime, *, cancelled: bool = False) -> bool:
    """Mark a row done; False when the lease is not ours any more."""
    return bool(await db.fetch_value(_FINISH, row_id, lease, now, now if cancelled else None))


async def find_undone(row_id: UUID, lease: int) -> Undone | None:
    """What decides about a row that has failed, if it is leased to us and not done."""
    row = await db.fetch_row(
        f"SELECT handler, target, attempts, created_at FROM outbox WHERE id = $1 AND lease = $2 AND {_LEASED}",  # noqa: S608
        row_id,
        lease,
    )
    return None if row is None else Undone(*row)


async def fail(row_id: UUID, lease: int, error: str, due_at: datetime, *, ordered: bool = False) -> None:
    """Give a row back to be tried again at `due_at`; what waits behind it in its stream too, if it is `ordered`."""
    await db.execute(_FAIL, row_id, lease, error, due_at, None, ordered)


async def bury(row_id: UUID, lease: int, error: str, now: datetime) -> None:
    """Give a row up: DEAD, kept with its error until somebody decides."""
    await db.execute(_FAIL, row_id, lease, error, None, now, False)


async def release(claims: Sequence[tuple[UUID, int]], due_at: datetime | None = None) -> None:
    """Give rows back that were not run, the attempt not counted: due at once, or at a moment."""
    await db.execute(_RELEASE, [row_id for row_id, _ in claims], [lease for _, lease in claims], due_at)


async def finish_cancelled(row_id: UUID, lease: int, now: datetime) -> bool:
    """End a row that was stopped, if somebody has asked to cancel it."""
    tag = await db.execute(
        f"UPDATE outbox SET finished_at = $3, leased_until = NULL"  # noqa: S608 -- no value is pasted in
        f" WHERE id = $1 AND lease = $2 AND cancel_asked_at IS NOT NULL AND {_LEASED}",
        row_id,
        lease,
        now,
    )
    return db.rows_affected(tag) == 1
