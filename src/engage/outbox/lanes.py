"""Lanes: the rows of one handler and target. They can be paused, slowed down by failures, and routed to.

A lane has a row in `outbox_lanes` when its kind has bounds, when it is a target's, or when it was paused once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox.kinds import Kind

_MAKE = """
    INSERT INTO outbox_lanes (id, handler, target) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
      ON CONFLICT (handler, target) DO NOTHING
"""

_PAUSE = "UPDATE outbox_lanes SET paused_at = $3, paused_by = $4 WHERE handler = $1 AND target = $2"

# Calls that fail together are one failure: only what was begun after the last pause counts.
_SLOW_DOWN = """
    UPDATE outbox_lanes
       SET failures = failures + CASE WHEN not_before > $3 THEN 0 ELSE 1 END,
           failing_since = coalesce(failing_since, $3), not_before = greatest(not_before, $4)
     WHERE handler = $1 AND target = $2
"""

_REST = """
    INSERT INTO outbox_lanes AS l (id, handler, target, not_before) VALUES ($1, $2, $3, $4)
      ON CONFLICT (handler, target) DO UPDATE SET not_before = greatest(l.not_before, excluded.not_before)
"""

_ROUTE = """
    WITH gone AS (
      DELETE FROM outbox_routes WHERE handler = $1 AND target = $2 AND event <> ALL ($4::text[])
    )
    INSERT INTO outbox_routes (id, handler, target, event)
      SELECT v.id, $1, $2, v.event FROM unnest($3::uuid[], $4::text[]) AS v (id, event)
      ON CONFLICT (event, handler, target) DO NOTHING
"""

# Bounded, so that nobody waits for the locks of a long backlog.
_BURY = """
    UPDATE outbox SET dead_at = $3, last_error = $4
     WHERE id = ANY (ARRAY(
       SELECT id FROM outbox
        WHERE handler = $1 AND target = $2 AND finished_at IS NULL AND dead_at IS NULL AND leased_until IS NULL
        ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED))
"""


@dataclass(frozen=True, slots=True)
class Lane:
    """What is known of a lane. `failures` are those in a row."""

    handler: str
    target: str
    paused_at: datetime | None = None
    paused_by: str | None = None
    failures: int = 0
    failing_since: datetime | None = None
    not_before: datetime | None = None


async def ensure(kinds: Iterable[Kind]) -> None:
    """Have a lane for each kind with bounds, so that workers can share those."""
    bounded = [one.name for one in kinds if one.bounds.in_flight_max or one.bounds.per_minute]
    await db.execute(_MAKE, [new_id() for _ in bounded], bounded, [""] * len(bounded))


async def pause(handler: str, target: str = "", *, by: str) -> None:
    """Have nothing of a lane claimed any more. What runs ends as usual. Without a target: all of the handler's."""
    await db.execute(_MAKE, [new_id()], [handler], [target])
    await db.execute(_PAUSE, handler, target, clock.now(), by)


async def resume(handler: str, target: str = "") -> None:
    """Have a lane claimed again, from the beginning of what waits."""
    await db.execute(_PAUSE, handler, target, None, None)
    await forget_failures(handler, target)


async def forget_failures(handler: str, target: str) -> None:
    """Call a target as if it had never failed."""
    await db.execute(
        "UPDATE outbox_lanes SET failures = 0, failing_since = NULL, not_before = NULL"
        " WHERE handler = $1 AND target = $2",
        handler,
        target,
    )


async def slow_down(handler: str, target: str, until: datetime) -> None:
    """Count a failure of what the lane calls: nothing is claimed until a moment, then one row at a time."""
    await db.execute(_SLOW_DOWN, handler, target, clock.now(), until)


async def rest(handler: str, target: str, until: datetime) -> None:
    """Have nothing of a lane claimed before a moment; then it goes on as before."""
    await db.execute(_REST, new_id(), handler, target, until)


async def find(handler: str, target: str = "") -> Lane | None:
    """The lane, if it has a row."""
    row = await db.fetch_row(
        "SELECT handler, target, paused_at, paused_by, failures, failing_since, not_before"
        " FROM outbox_lanes WHERE handler = $1 AND target = $2",
        handler,
        target,
    )
    return None if row is None else Lane(*row)


async def list_failing(handler: str, since: datetime) -> list[Lane]:
    """Lanes of a handler that have failed without a success since before a moment and are not paused."""
    found = await db.fetch(
        "SELECT handler, target, paused_at, paused_by, failures, failing_since, not_before"
        " FROM outbox_lanes WHERE handler = $1 AND failing_since < $2 AND paused_at IS NULL ORDER BY failing_since",
        handler,
        since,
    )
    return [Lane(*row) for row in found]


async def route(handler: str, target: str, events: Sequence[str]) -> None:
    """Have exactly these events (`*` is every one) carried to `target` from now on, in the present transaction."""
    await db.execute(_MAKE, [new_id()], [handler], [target])
    await db.execute(_ROUTE, handler, target, [new_id() for _ in events], list(events))


async def bury_waiting(handler: str, target: str, error: str, limit: int) -> int:
    """Give up to `limit` rows of a lane up that nobody runs; answers how many they were."""
    tag = await db.execute(_BURY, handler, target, clock.now(), error, limit)
    return db.rows_affected(tag)
