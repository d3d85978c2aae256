"""Events for one target alone: one that is not in the log, or those of the log once more, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox.events import Event
from engage.outbox.record import CHANNEL
from engage.realtime.bell import knock

_PROMISE = """
    INSERT INTO outbox (id, handler, target, event_id, stream, payload, created_at, due_at)
      VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $7)
"""

# What is undone keeps its place; what was finished or given up begins again, unless it was promised since the replay
# was asked for, by the replay itself or because it has just happened.
_AGAIN = """
    INSERT INTO outbox AS o (id, handler, target, event_id, stream, payload, created_at, due_at)
      SELECT engage.uuid7($1), $2, $3, w.id, w.stream,
             jsonb_build_object('name', w.name, 'position', w.position, 'data', w.data, 'at', w.recorded_at), $1, $1
        FROM whole w WHERE w.name = ANY ($4::text[]) OR '*' = ANY ($4::text[])
      ON CONFLICT (event_id, handler, target) DO UPDATE SET
        payload = excluded.payload, created_at = excluded.created_at, due_at = excluded.due_at, attempts = 0,
        leased_until = NULL, cancel_asked_at = NULL, last_error = NULL, finished_at = NULL, dead_at = NULL
        WHERE (o.finished_at IS NOT NULL OR o.dead_at IS NOT NULL) AND o.created_at < $6
      RETURNING 1
"""

_OF_STREAM = f"""
    WITH whole AS MATERIALIZED (
      SELECT id, stream, position, name, data, recorded_at FROM events
       WHERE stream = $7 AND position > $8 ORDER BY position LIMIT $5
    ), again AS ({_AGAIN})
    SELECT (SELECT count(*) FROM again) AS promised, count(*) AS seen, max(position) AS last FROM whole
"""  # noqa: S608 -- no value is pasted in

# A stream's events are in order by position, and nearly so by time: a moment is taken before the stream's head is
# waited for. So what comes before an event of the batch in its stream, and would be in a later batch, is drawn in.
# LATERAL with LIMIT keeps each look-up on its index, whatever the plan.
_SINCE = f"""
    WITH RECURSIVE batch AS MATERIALIZED (
      SELECT id, stream, position, name, data, recorded_at FROM events
       WHERE recorded_at BETWEEN $7 AND $6 AND (recorded_at, stream, position) > ($7, $8, $9)
       ORDER BY recorded_at, stream, position LIMIT $5
    ), last AS MATERIALIZED (
      SELECT recorded_at, stream, position FROM batch ORDER BY recorded_at DESC, stream DESC, position DESC LIMIT 1
    ), whole AS (
      SELECT * FROM batch
      UNION ALL
      SELECT e.id, e.stream, e.position, e.name, e.data, e.recorded_at
        FROM whole w
       CROSS JOIN LATERAL (SELECT * FROM events WHERE stream = w.stream AND position = w.position - 1 LIMIT 1) e
       WHERE (e.recorded_at, e.stream, e.position) > (SELECT recorded_at, stream, position FROM last)
    ), again AS ({_AGAIN})
    SELECT (SELECT count(*) FROM again) AS promised, (SELECT count(*) FROM batch) AS seen,
           recorded_at, stream, position
      FROM last
"""  # noqa: S608 -- no value is pasted in


@dataclass(frozen=True, slots=True)
class InLog:
    """A place in the log of all streams, by time."""

    at: datetime
    stream: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events were promised again; `last` is where to go on, None at the end."""

    promised: int
    last: int | InLog | None


async def promise_to(handler: str, target: str, event: Event) -> UUID:
    """Promise one event to a single target, in the present transaction if there is one; answers the event's id.

    It is not in the log and has no position there: 0.
    """
    now, event_id = clock.now(), new_id()
    payload = orjson.dumps({"name": event.NAME, "position": 0, "data": event.data(), "at": now}).decode()
    await db.execute(_PROMISE, new_id(), handler, target, event_id, event.stream, payload, now)
    knock(CHANNEL)
    return event_id


async def promise_stream(
    handler: str, target: str, events: Sequence[str], *, stream: str, after: int, asked_at: datetime, limit: int
) -> Replayed:
    """Promise events of one stream again, of these names (`*` is every one): up to `limit` of it after a position."""
    row = await db.fetch_row(_OF_STREAM, clock.now(), handler, target, list(events), limit, asked_at, stream, after)
    knock(CHANNEL)
    if row is None or row["seen"] < limit:
        return Replayed(0 if row is None else row["promised"], None)
    return Replayed(row["promised"], row["last"])


async def promise_since(
    handler: str, target: str, events: Sequence[str], *, after: InLog, asked_at: datetime, limit: int
) -> Replayed:
    """Promise events of all streams again: the next `limit` of the log after a place, up to when it was asked for."""
    row = await db.fetch_row(
        _SINCE, clock.now(), handler, target, list(events), limit, asked_at, after.at, after.stream, after.position
    )
    knock(CHANNEL)
    if row is None or row["seen"] < limit:
        return Replayed(0 if row is None else row["promised"], None)
    return Replayed(row["promised"], InLog(row["recorded_at"], row["stream"], row["position"]))
