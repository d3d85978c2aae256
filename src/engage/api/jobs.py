"""Promised work for those who run engage: what waits, runs and has failed, how far it is, and when more is due."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import orjson
import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.enums import JobState
from engage.api.fields import field, subscription
from engage.api.node_kinds import Node, by_id
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from engage.api.scalars import Amount
from engage.base.paging import window
from engage.domains.members.queries import list_programs
from engage.outbox import queries, watching
from engage.outbox import types as plain

INT_MAX = 2**31 - 1
"""GraphQL's largest Int: a job that has hardly begun may have longer to go than that."""

FOUR_DECIMALS = Decimal("0.0001")


@strawberry.type(description="A named value of a job: one of its arguments, or something told of a row.")
class JobValue:
    """Which there are is for the kind of job to say."""

    name: str = strawberry.field(description="What it is called.")
    value: str | None = strawberry.field(description="A text as it is; anything else as JSON.")


def _values(given: Mapping[str, Any]) -> list[JobValue]:
    return [JobValue(name=name, value=_text(value)) for name, value in sorted(given.items())]


def _text(value: object) -> str | None:
    return value if isinstance(value, str | None) else orjson.dumps(value).decode()


@strawberry.type(description="How far a job is, as of its last checkpoint.")
class JobProgress:
    """A job works in steps; each is committed with its checkpoint."""

    steps: int = strawberry.field(description="Steps that were committed.")
    rows_done: int = strawberry.field(description="Rows that came out well.")
    rows_failed: int = strawberry.field(description="Rows that did not; see the job's results.")
    rows_total: int | None = strawberry.field(description="Rows in all, done or not; null while it is unknown.")
    rows_per_second: Amount | None = strawberry.field(description="While at work; null before the first row.")
    remaining_seconds: int | None = strawberry.field(
        description="Work that is left at this rate; null while total or rate are unknown."
    )
    fraction: Amount | None = strawberry.field(description="From 0 to 1; null while the total is unknown.")
    worked_seconds: int = strawberry.field(description="Time at work, in all attempts.")
    began_at: datetime | None = strawberry.field(description="When the first step was committed.")
    told_at: datetime | None = strawberry.field(description="When the last step was committed.")


def _amount(value: float | None) -> Amount | None:
    return None if value is None else Amount(Decimal(value).quantize(FOUR_DECIMALS))


def _progress(value: plain.Progress) -> JobProgress:
    remaining = value.remaining_s
    return JobProgress(
        steps=value.steps,
        rows_done=value.rows_done,
        rows_failed=value.rows_failed,
        rows_total=value.rows_total,
        rows_per_second=_amount(value.rows_per_s),
        remaining_seconds=None if remaining is None else min(round(remaining), INT_MAX),
        fraction=_amount(value.fraction),
        worked_seconds=value.worked_ms // 1000,
        began_at=value.began_at,
        told_at=value.told_at,
    )


@strawberry.type(description="What became of one row of a job's input.")
class JobRowResult:
    """A code for programs, and what explains it."""

    row: int = strawberry.field(description="Number of the row, from 1.")
    code: str = strawberry.field(description="What became of it; which codes there are is for the kind to say.")
    detail: list[JobValue] = strawberry.field(description="What explains it.")


def _result(row: plain.ResultRecord) -> JobRowResult:
    return JobRowResult(row=row.row, code=row.code, detail=_values(row.detail))


@strawberry.type(description="A piece of promised work: an event to be carried out by its handler, or a job.")
class Job(Node):
    """One row of the outbox."""

    record: strawberry.Private[plain.JobRecord]
    kind: str = strawberry.field(description="Name of the handler or job.")
    target: str = strawberry.field(description="Whom it is for, where its kind has targets; else empty.")
    state: JobState = strawberry.field(description="Where it stands.")
    known: bool = strawberry.field(description="Whether this release can carry it out.")
    event: str | None = strawberry.field(description="Name of the event; null for a job.")
    stream: str | None = strawberry.field(description="Stream of the event; of a job, what runs one after another.")
    position: int | None = strawberry.field(description="Position of the event in its stream; null for a job.")
    key: str | None = strawberry.field(description="One undone job of a kind has it at a time.")
    args: list[JobValue] = strawberry.field(description="Arguments of a job; empty for an event.")
    attempts: int = strawberry.field(description="How often it was begun.")
    last_error: str | None = strawberry.field(description="Kind and place of the last failure.")
    asked_by: str | None = strawberry.field(description="Who asked for the job; null for an event or a schedule.")
    created_at: datetime = strawberry.field(description="When it was promised.")
    due_at: datetime = strawberry.field(description="When it may begin, or begin again.")
    leased_until: datetime | None = strawberry.field(description="A worker has it until then, or longer.")
    finished_at: datetime | None = strawberry.field(description="When it was done or cancelled.")
    dead_at: datetime | None = strawberry.field(description="When it was given up.")
    cancel_asked_at: datetime | None = strawberry.field(description="When somebody asked to cancel it.")
    progress: JobProgress | None = strawberry.field(description="How far it is; null for an event.")

    @field("What became of the rows of its input, by row. Role: ADMIN. Scope: jobs:read.")
    async def results(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        code: Annotated[str | None, strawberry.argument(description="Only those with this code.")] = None,
    ) -> Connection[JobRowResult]:
        """Those that the job's committed steps have told."""
        asked = window(first, last, after, before)
        return connection(await queries.list_results(context_of(info).actor, self.record.id, asked, code), _result)


def job_node(record: plain.JobRecord) -> Job:
    """A piece of work for the API."""
    return Job(
        record=record,
        id=global_id("Job", record.id),
        kind=record.kind,
        target=record.target,
        state=record.state,
        known=record.known,
        event=record.event,
        stream=record.stream,
        position=record.position,
        key=record.key,
        args=_values(record.args or {}),
        attempts=record.attempts,
        last_error=record.last_error,
        asked_by=record.asked_by,
        created_at=record.created_at,
        due_at=record.due_at,
        leased_until=record.leased_until,
        finished_at=record.finished_at,
        dead_at=record.dead_at,
        cancel_asked_at=record.cancel_asked_at,
        progress=None if record.progress is None else _progress(record.progress),
    )


@by_id("Job")
async def _job_by_id(context: Context, job_id: UUID) -> Job:
    read, now = context.together.load, context.now
    return job_node(await queries.get_job(context.actor, job_id, read=read, now=now))


@strawberry.type(description="The work of one kind for one target, in figures.")
class JobKind:
    """A lane of the outbox."""

    kind: str = strawberry.field(description="Name of the handler or job.")
    target: str = strawberry.field(description="Whom it is for, where the kind has targets; else empty.")
    known: bool = strawberry.field(description="Whether this release can carry it out.")
    is_job: bool = strawberry.field(description="Whether it is a job, and not a handler of events.")
    waiting: int = strawberry.field(description="Due later.")
    ready: int = strawberry.field(description="Due, and taken by the next worker with room.")
    running: int = strawberry.field(description="At work.")
    dead: int = strawberry.field(description="Given up, and kept until somebody retries or discards it.")
    capped: bool = strawberry.field(description="One of these four was not counted to its end: there is more.")
    oldest_due_at: datetime | None = strawberry.field(description="Since when the oldest of what is ready is due.")
    done_per_minute: int = strawberry.field(description="At the rate of the last ten seconds.")
    paused_at: datetime | None = strawberry.field(description="When it was paused; null while it is not.")
    paused_by: str | None = strawberry.field(description="Who paused it.")
    failures: int = strawberry.field(description="Failures in a row of what it calls.")
    failing_since: datetime | None = strawberry.field(description="When the first of them was.")
    not_before: datetime | None = strawberry.field(description="Nothing of it is begun until then.")


def _kind(row: plain.LaneFigures) -> JobKind:
    return JobKind(
        kind=row.kind,
        target=row.target,
        known=row.known,
        is_job=row.is_job,
        waiting=row.waiting,
        ready=row.ready,
        running=row.running,
        dead=row.dead,
        capped=row.capped,
        oldest_due_at=row.oldest_due_at,
        done_per_minute=round(row.done_per_minute),
        paused_at=row.paused_at,
        paused_by=row.paused_by,
        failures=row.failures,
        failing_since=row.failing_since,
        not_before=row.not_before,
    )


async def job_kinds(info: Info, name: str | None = None) -> list[JobKind]:
    """The figures of all kinds or of one, a line for each target."""
    found = await queries.list_lanes(context_of(info).actor)
    return [_kind(one) for one in found if name in (None, one.kind)]


@strawberry.type(description="When a job is due by itself.")
class JobSchedule:
    """One schedule; of a job for each program, one for each of them."""

    name: str = strawberry.field(description="Kind of the job.")
    program: str | None = strawberry.field(description="Code of the program that it is for; null for all.")
    cron: str = strawberry.field(description="Minute, hour, day of month, month and day of week, as cron has them.")
    zone: str = strawberry.field(description="IANA name of the time zone that this is in.")
    last_at: datetime | None = strawberry.field(description="When it was due last; null before the first time.")
    next_at: datetime = strawberry.field(description="When it is due next.")
    late: bool = strawberry.field(description="It was due minutes ago and no worker has seen to it.")


@strawberry.input(description="Which work is wanted. What is left out is not looked at.")
class JobFilterInput:
    """See jobs."""

    state: JobState | None = strawberry.field(default=None, description="Where it stands.")
    kind: str | None = strawberry.field(default=None, description="Name of the handler or job.")
    target: str | None = strawberry.field(
        default=None, description="Whom it is for; empty where there are no targets."
    )


def _wanted(given: JobFilterInput | None) -> plain.JobFilter:
    return plain.JobFilter() if given is None else plain.JobFilter(given.state, given.kind, given.target)


@strawberry.type
class JobsQuery:
    """Reads of promised work."""

    @field("Promised work, newest first. Role: ADMIN. Scope: jobs:read.")
    async def jobs(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        wanted: Annotated[
            JobFilterInput | None, strawberry.argument(name="filter", description="Which; all if left out.")
        ] = None,
    ) -> Connection[Job]:
        """Done work is there as long as its kind keeps it."""
        asked = window(first, last, after, before)
        return connection(await queries.list_jobs(context_of(info).actor, _wanted(wanted), asked), job_node)

    @field(
        "A piece of work by id. Errors: NOT_FOUND, FORBIDDEN. Roles: ADMIN, or who asked for it. Scope: jobs:read."
    )
    async def job(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Global id.")],  # noqa: A002 -- the API's word
    ) -> Job | None:
        """Whatever its state."""
        return await _job_by_id(info, id)

    @field("All kinds of work in figures, one line for each kind and target. Role: ADMIN. Scope: jobs:read.")
    async def job_kinds(self, info: Info) -> list[JobKind]:
        """Also those of another release that have work left."""
        return await job_kinds(info)

    @field(
        "Jobs at work, and those that were asked for and have not begun; at most 50. Role: ADMIN. Scope: jobs:read."
    )
    async def running_jobs(self, info: Info) -> list[Job]:
        """Events are too many and too short to be listed."""
        return [job_node(one) for one in await queries.list_running(context_of(info).actor)]

    @field("When which job is due by itself. Role: ADMIN. Scope: jobs:read.")
    async def job_schedules(self, info: Info) -> list[JobSchedule]:
        """A job for each program has a line for each of them, in its time zone."""
        actor = context_of(info).actor
        zones = {program.code: program.time_zone for program in await list_programs()}
        return [
            JobSchedule(
                name=one.name,
                program=one.program,
                cron=one.cron,
                zone=one.zone,
                last_at=one.last_at,
                next_at=one.next_at,
                late=one.late,
            )
            for one in await queries.list_schedules(actor, zones)
        ]


@strawberry.type
class JobsSubscription:
    """Live progress of jobs."""

    @subscription(
        "A piece of work as it stands, then whenever that has changed, at most once a second; it completes when the "
        "work is done, cancelled or dead. A state, not a log: newer replaces older, and there is nothing to resume. "
        "Errors: NOT_FOUND, TOO_MANY_SUBSCRIBERS. Roles: ADMIN, or who asked for it. Scope: jobs:read."
    )
    async def job_changed(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Global id.")],  # noqa: A002 -- the API's word
    ) -> AsyncGenerator[Job, None]:
        """See engage.outbox.watching.watch_job."""
        actor = context_of(info).actor
        async with aclosing(watching.watch_job(actor, local_id("Job", id, path=["id"]))) as records:
            async for record in records:
                yield job_node(record)
