"""How rows of the outbox are read by those who look at them from outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base import clock, db
from engage.base.errors import NotFound
from engage.base.readings import Fetch, Reading, fetch_together, moment_of
from engage.outbox.kinds import Handler, Job
from engage.outbox.registry import present
from engage.outbox.types import JobRecord, JobState, Progress

UNDONE = "finished_at IS NULL AND dead_at IS NULL"
FINISHED = "finished_at IS NOT NULL"
DEAD = "dead_at IS NOT NULL"
"""The classes that have an index by lane."""

LANES_MAX = 1_000
"""Lanes that are looked into at once: every kind, and every target of the routed ones."""

_ROWS = """
    SELECT w.id::text, to_json(w) FROM (
    SELECT o.id, o.handler, o.target, o.event_id, o.stream, o.key, o.attempts, o.created_at, o.due_at, o.leased_until,
           o.finished_at, o.dead_at, o.cancel_asked_at, o.last_error, o.payload ->> 'name' AS name,
           (o.payload ->> 'position')::bigint AS position, coalesce((o.payload ->> 'version')::int, 1) AS version,
           CASE WHEN o.event_id IS NULL THEN o.payload -> 'data' END AS args, $2::timestamptz AS seen_at,
           r.id AS run_id, r.asked_by, r.steps, r.rows_done, r.rows_failed, r.rows_total, r.worked_ms, r.began_at,
           r.told_at
      FROM outbox o LEFT JOIN job_runs r ON r.id = o.id WHERE o.id = ANY ($1)) w
"""

_MOMENTS = (
    "created_at", "due_at", "leased_until", "finished_at", "dead_at", "cancel_asked_at", "began_at", "told_at",
    "seen_at",
)  # fmt: skip

# The order is that of the indexes, which would else be left for a scan of all that there is.
_IS_KNOWN = f"""
    (SELECT true FROM outbox_lanes WHERE handler = $1 LIMIT 1) UNION ALL
    (SELECT true FROM outbox WHERE handler = $1 AND {UNDONE} ORDER BY handler, target, due_at LIMIT 1) UNION ALL
    (SELECT true FROM outbox WHERE handler = $1 AND {DEAD} ORDER BY handler, target, id LIMIT 1) UNION ALL
    (SELECT true FROM outbox WHERE handler = $1 AND {FINISHED} ORDER BY handler, target, id LIMIT 1)
    LIMIT 1
"""  # noqa: S608 -- no value is pasted in

_IS_TARGET = _IS_KNOWN.replace("handler = $1", "handler = $1 AND target = $2")


async def load_records(job_ids: Sequence[UUID], now: datetime) -> list[JobRecord]:
    """Those of the rows that are there, in the order given."""
    [found] = await fetch_together([Fetch(JOBS, tuple(job_ids), (now,))])
    return [found[str(one)] for one in job_ids if str(one) in found]


async def find_records(job_ids: Collection[UUID]) -> dict[UUID, JobRecord]:
    """Those of the rows that are there, by id, for callers that have checked who asks."""
    return {record.id: record for record in await load_records(list(job_ids), clock.now())}


async def check_kind(kind: str, target: str = "") -> None:
    """Raise NotFound for a kind that is neither of this release nor has any row, and for such a target of one."""
    if target:
        if not await db.fetch_value(_IS_TARGET, kind, target):
            raise NotFound(f"There is no {kind!r} for the target {target!r}.", path=["target"])
    elif present().find(kind) is None and not await db.fetch_value(_IS_KNOWN, kind):
        known = ", ".join(sorted(present().names()))
        raise NotFound(f"There is no kind {kind!r}. Kinds of this release: {known}.", path=["kind"])


def lanes_of(where: str, kind: str = "") -> str:
    """SQL of (handler, target) of the rows of one class, by one step in its index for each, never a scan.

    `kind` is the parameter, such as `$3`, of the handler that is meant; without one it is all of them.
    """
    # Beside an equality the comparison of rows would not lead the scan, which would begin with the kind's first row.
    first = f"{where} AND handler = {kind}::text" if kind else where
    further = f"{first} AND target > l.target" if kind else f"{where} AND (handler, target) > (l.handler, l.target)"
    return f"""
      (SELECT handler, target FROM outbox WHERE {first} ORDER BY handler, target LIMIT 1)
      UNION ALL
      SELECT n.handler, n.target FROM lanes l CROSS JOIN LATERAL (
        SELECT handler, target FROM outbox WHERE {further} ORDER BY handler, target LIMIT 1) n
    """  # noqa: S608 -- no value is pasted in


def state_of(row: Mapping[str, Any], now: datetime) -> JobState:
    """The state that the columns of a row tell."""
    if row["finished_at"] is not None:
        return JobState.DONE if row["cancel_asked_at"] is None else JobState.CANCELLED
    if row["dead_at"] is not None:
        return JobState.DEAD
    if row["leased_until"] is not None and row["leased_until"] > now:
        return JobState.RUNNING
    return JobState.READY if row["due_at"] <= now else JobState.WAITING


def _record(value: dict[str, Any]) -> JobRecord:
    moments = {name: moment_of(value[name]) for name in _MOMENTS}
    row, is_event = value | moments, value["event_id"] is not None
    return JobRecord(
        id=UUID(row["id"]),
        kind=row["handler"],
        target=row["target"],
        state=state_of(row, row["seen_at"]),
        stream=row["stream"],
        event=row["name"] if is_event else None,
        position=row["position"] if is_event else None,
        key=row["key"],
        args=row["args"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        leased_until=row["leased_until"],
        finished_at=row["finished_at"],
        dead_at=row["dead_at"],
        cancel_asked_at=row["cancel_asked_at"],
        last_error=row["last_error"],
        asked_by=row["asked_by"],
        progress=_progress(row),
        known=_is_known(row["handler"], row["version"], is_event=is_event),
    )


def _progress(row: Mapping[str, Any]) -> Progress | None:
    if row["run_id"] is None:
        return None
    return Progress(
        steps=row["steps"],
        rows_done=row["rows_done"],
        rows_failed=row["rows_failed"],
        rows_total=row["rows_total"],
        worked_ms=row["worked_ms"],
        began_at=row["began_at"],
        told_at=row["told_at"],
    )


def _is_known(kind: str, version: int, *, is_event: bool) -> bool:
    found = present().find(kind)
    if is_event:
        return isinstance(found, Handler)
    return isinstance(found, Job) and (
        version == found.version or (version < found.version and found.upgrade is not None)
    )


JOBS: Reading[JobRecord | None] = Reading(_ROWS, _record, None)
"""Rows by their ids; argument: now, by which their state is told."""
