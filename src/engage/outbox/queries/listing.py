"""Pieces of promised work, one or many."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, Actor, Scope, require
from engage.base.listings import Listing
from engage.base.paging import NEWEST_FIRST, Page, Window
from engage.base.readings import Read, read_alone
from engage.outbox.errors import no_such_job
from engage.outbox.queries.reading import DEAD, FINISHED, JOBS, LANES_MAX, UNDONE, lanes_of, load_records
from engage.outbox.types import JobFilter, JobRecord, JobState

RUNNING_MAX = 50

UNDONE_MAX = 50_000
"""Undone rows of a lane that a list looks at: those due longest, and so those at work."""

_PAST, _PAGE = "id {past} $2", "ORDER BY id {sort} LIMIT $1"

_RUNNING = f"""
    WITH RECURSIVE lanes AS ({lanes_of(UNDONE)})
    SELECT o.id FROM (SELECT * FROM lanes LIMIT $2) l CROSS JOIN LATERAL (
      SELECT id, event_id, due_at, leased_until FROM outbox
       WHERE handler = l.handler AND target = l.target AND {UNDONE} ORDER BY due_at LIMIT $1) o
     WHERE o.event_id IS NULL
     ORDER BY coalesce(o.leased_until > $3, false) DESC, o.due_at, o.id LIMIT $1
"""  # noqa: S608 -- no value is pasted in


async def list_jobs(actor: Actor, wanted: JobFilter, window: Window) -> Page[JobRecord]:
    """Work of these states, kinds and targets, newest first.

    Of a lane with more than UNDONE_MAX undone rows, the undone ones due longest are listed.
    Raises Forbidden, InvalidInput outside of 1..100 rows.
    """
    require(actor, ADMIN_ROLES, Scope.JOBS_READ)
    now = clock.now()
    ask = _Question(wanted, now)
    listing: Listing[UUID] = Listing(
        NEWEST_FIRST,
        ask.sql(),
        row=lambda row: row["id"],
        key=lambda job_id: (job_id,),
        counted=_Question(wanted, now, in_order=False).sql(),
    )
    page = await listing.page(window, *ask.values)
    return page.showing(await load_records(page.rows, now), lambda record: (record.id,))


async def get_job(actor: Actor, job_id: UUID, *, read: Read = read_alone, now: datetime | None = None) -> JobRecord:
    """One piece of work, for an admin or who asked for it. Raises Forbidden, NotFound."""
    record = await read(JOBS, job_id, now or clock.now())
    if record is None or record.asked_by != actor.id:
        require(actor, ADMIN_ROLES, Scope.JOBS_READ)
    if record is None:
        raise no_such_job(job_id, "id")
    return record


async def list_running(actor: Actor) -> list[JobRecord]:
    """Jobs (not events) that are not done, at most RUNNING_MAX: those at work first, then by when they are due.

    Raises Forbidden.
    """
    require(actor, ADMIN_ROLES, Scope.JOBS_READ)
    now = clock.now()
    found = await db.fetch(_RUNNING, RUNNING_MAX, LANES_MAX, now)
    return await load_records([row["id"] for row in found], now)


class _Question:
    """The statement that finds the ids of a page, as `Listing` wants it.

    Each lane is an index range of its own, so it reads one page of each lane and no more, whatever lies between. Not
    `in_order` it is for counting: lanes are read one after another, and no more of them once that is enough.
    """

    def __init__(self, wanted: JobFilter, now: datetime, *, in_order: bool = True) -> None:
        self.values: list[object] = []
        self._wanted = wanted
        self._now = now
        self._together = _PAGE if in_order else "LIMIT $1"
        self._kind = "" if wanted.kind is None else self._value(wanted.kind)
        self._target = "" if wanted.target is None else self._value(wanted.target)

    def sql(self) -> str:
        """SQL of `id`."""
        state = self._wanted.state
        if self._wanted == JobFilter():
            return self._newest("true")
        if state is JobState.CANCELLED:
            return self._newest(f"cancel_asked_at IS NOT NULL AND {FINISHED}{self._chosen()}")
        if state is JobState.DONE:
            return self._of_lanes(f"{FINISHED} AND cancel_asked_at IS NULL", FINISHED)
        if state is JobState.DEAD:
            return self._of_lanes(DEAD, DEAD)
        if state is not None:
            return self._undone(state)
        parts = (self._undone(None), self._of_lanes(DEAD, DEAD), self._of_lanes(FINISHED, FINISHED))
        together = " UNION ALL ".join(f"({part})" for part in parts)
        return f"SELECT id FROM ({together}) a {self._together}"  # noqa: S608 -- no value is pasted in

    def _value(self, value: object) -> str:
        """Where the statement has this value."""
        self.values.append(value)
        return f"${len(self.values) + 2}"

    def _chosen(self) -> str:
        kind = f" AND handler = {self._kind}" if self._kind else ""
        return f"{kind} AND target = {self._target}" if self._target else kind

    def _newest(self, where: str) -> str:
        return f"SELECT id FROM outbox WHERE {where} AND {_PAST} {_PAGE}"  # noqa: S608 -- as above

    def _of_lanes(self, where: str, indexed: str) -> str:
        # Two bounds for an equality: beside that the order would be one of ids alone, which the primary key has, too,
        # and the planner is tempted to read all lanes by it until it has a page of this one.
        return self._lane_by_lane(
            indexed,
            f"SELECT id FROM outbox WHERE {where} AND (handler, target, id) {{past}} (l.handler, l.target, $2)"  # noqa: S608
            " AND (handler, target) >= (l.handler, l.target) AND (handler, target) <= (l.handler, l.target)"
            " ORDER BY handler {sort}, target {sort}, id {sort} LIMIT $1",
        )

    def _undone(self, state: JobState | None) -> str:
        """Those due longest of each lane: at its front is what is at work."""
        due, leased = "true", "true"
        if state is not None:
            now = self._value(self._now)
            due = {JobState.WAITING: f"due_at > {now}", JobState.READY: f"due_at <= {now}"}.get(state, "true")
            held = f"coalesce(leased_until > {now}, false)"
            leased = held if state is JobState.RUNNING else f"NOT {held}"
        return self._lane_by_lane(
            UNDONE,
            f"SELECT id FROM (SELECT id, leased_until FROM outbox WHERE handler = l.handler AND target = l.target"  # noqa: S608
            f" AND {UNDONE} AND {due} ORDER BY due_at LIMIT {self._value(UNDONE_MAX)}) u"
            f" WHERE {leased} AND {_PAST} {_PAGE}",
        )

    def _lane_by_lane(self, indexed: str, ids: str) -> str:
        chosen = f"WHERE target = {self._target}" if self._target else ""
        return (
            f"WITH RECURSIVE lanes AS ({lanes_of(indexed, self._kind)})"  # noqa: S608 -- no value is pasted in
            f" SELECT o.id FROM (SELECT * FROM lanes {chosen} LIMIT {self._value(LANES_MAX)}) l"
            f" CROSS JOIN LATERAL ({ids}) o {self._together}"
        )
