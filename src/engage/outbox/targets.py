"""One target of a routed handler: what waits for it, in figures; having it tried, or discarded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engage.base import clock, db
from engage.base.readings import Reading, moment_of

COUNT_MAX = 10_000
"""Rows of a target that are counted; of those beyond it is only known that there are more."""

_UNDONE = "finished_at IS NULL AND dead_at IS NULL"

_FIGURES = f"""
    SELECT t.target, json_build_array(coalesce(l.failures, 0), l.failing_since, l.not_before,
           (SELECT count(*) FROM (
              SELECT FROM outbox o WHERE o.handler = $2 AND o.target = t.target AND {_UNDONE} LIMIT {COUNT_MAX}) w),
           (SELECT count(*) FROM (
              SELECT FROM outbox o WHERE o.handler = $2 AND o.target = t.target AND o.dead_at IS NOT NULL
               LIMIT {COUNT_MAX}) d))
      FROM (SELECT id::text AS target FROM unnest($1::uuid[]) AS u (id)) t
      LEFT JOIN outbox_lanes l ON l.handler = $2 AND l.target = t.target
"""  # noqa: S608 -- no value is pasted in

_HASTEN = f"""
    UPDATE outbox SET due_at = $3
     WHERE id = ANY (ARRAY(
       SELECT id FROM outbox
        WHERE handler = $1 AND target = $2 AND due_at > $3 AND {_UNDONE} AND leased_until IS NULL
        ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED))
"""  # noqa: S608 -- no value is pasted in

_DISCARD = f"""
    DELETE FROM outbox
     WHERE id = ANY (ARRAY(
       SELECT id FROM outbox
        WHERE handler = $1 AND target = $2 AND {_UNDONE} AND (leased_until IS NULL OR leased_until <= $3)
        ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) || ARRAY(
       SELECT id FROM outbox WHERE handler = $1 AND target = $2 AND dead_at IS NOT NULL
        LIMIT $4 FOR UPDATE SKIP LOCKED))
"""  # noqa: S608 -- no value is pasted in

_FORGET = f"""
    DELETE FROM outbox_lanes l
     WHERE handler = $1 AND target = $2 AND paused_at < $3
       AND NOT EXISTS (SELECT FROM outbox o WHERE o.handler = l.handler AND o.target = l.target AND {_UNDONE})
"""  # noqa: S608 -- no value is pasted in


@dataclass(frozen=True, slots=True)
class TargetFigures:
    """How a target does. `failures` are those in a row; nothing is tried before `not_before`.

    `waiting` and `dead` are counted up to COUNT_MAX.
    """

    failures: int = 0
    failing_since: datetime | None = None
    not_before: datetime | None = None
    waiting: int = 0
    dead: int = 0


def _figures(value: list[Any]) -> TargetFigures:
    failures, failing_since, not_before, waiting, dead = value
    return TargetFigures(failures, moment_of(failing_since), moment_of(not_before), waiting, dead)


FIGURES: Reading[TargetFigures] = Reading(_FIGURES, _figures, TargetFigures())
"""The figures of targets that are ids; argument: name of their handler."""


async def list_targets(handler: str) -> list[str]:
    """The targets of a handler that have a lane."""
    rows = await db.fetch("SELECT target FROM outbox_lanes WHERE handler = $1 AND target <> ''", handler)
    return [row["target"] for row in rows]


async def hasten(handler: str, target: str, limit: int) -> int:
    """Have up to `limit` rows that wait to be tried again tried now; answers how many they were."""
    return db.rows_affected(await db.execute(_HASTEN, handler, target, clock.now(), limit))


async def discard(handler: str, target: str, limit: int) -> int:
    """Remove up to `limit` rows each of those that wait and of those that are dead; answers how many went."""
    return db.rows_affected(await db.execute(_DISCARD, handler, target, clock.now(), limit))


async def forget_lane(handler: str, target: str, before: datetime) -> bool:
    """Remove a lane that was paused before a moment and in which nothing is undone; whether it went.

    A row that came later would never be claimed: nothing may be routed to the target any more.
    """
    return bool(db.rows_affected(await db.execute(_FORGET, handler, target, before)))
