"""Bulk points: many rows posted by a job, and the second person who approves large corrections."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import AdjustmentState, describe
from engage.api.errors import (
    AdjustmentDecided,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    SecondPersonNeeded,
)
from engage.api.fields import field, mutation
from engage.api.ledger import DEFAULT_PROGRAM, CauseInput
from engage.api.ledger import Program as ProgramCode
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from engage.api.scalars import Points
from engage.base.paging import window
from engage.domains.earning import bulk
from engage.domains.earning.bulk import BulkOperation, queries
from engage.domains.ledger.types import Cause

strawberry.enum(BulkOperation, description="What is done with the points of rows.")
describe(
    BulkOperation,
    {
        BulkOperation.EARN: "They are given: every amount is 1 or more.",
        BulkOperation.ADJUST: "Balances are corrected: an amount below zero takes points away.",
    },
)


@strawberry.input(description="One row: whose balance is changed, and by how much.")
class BulkPointsRowInput:
    """See requestBulkPoints."""

    row_key: str = strawberry.field(description="1 to 80 characters; counts once in its request. No names.")
    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Points = strawberry.field(description="How many; below zero takes them away, where that is asked for.")
    reason: str | None = strawberry.field(default=None, description="A code of A-Z, 0-9 and _; else the request's.")
    cause: CauseInput | None = strawberry.field(default=None, description="What it is for; else the job.")
    usable_at: datetime | None = strawberry.field(default=None, description="Of EARN: pending until then.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="Of points that are given: lost from then on; by the program's policy if left out."
    )
    note: str | None = strawberry.field(default=None, description="Words for colleagues, kept beside the transfer.")


@strawberry.input(description="Rows to be posted by a job.")
class RequestBulkPointsInput:
    """See requestBulkPoints."""

    operation: BulkOperation = strawberry.field(description="What is done with them.")
    rows: list[BulkPointsRowInput] = strawberry.field(description="1 to 1,000; more of them come as a file.")
    idempotency_key: str = strawberry.field(description="Repeat with the same key to get the first answer again.")
    program: str = strawberry.field(default=DEFAULT_PROGRAM, description="Code of the program.")
    reason: str = strawberry.field(default="CORRECTION", description="Of rows that name none.")


@strawberry.input(description="A bulk correction that may begin.")
class ApproveBulkPointsInput:
    """See approveBulkPoints."""

    id: strawberry.ID = strawberry.field(description="Of its job.")


@strawberry.input(description="A bulk correction that is not to be.")
class RejectBulkPointsInput:
    """See rejectBulkPoints."""

    id: strawberry.ID = strawberry.field(description="Of its job.")


@strawberry.type(description="A bulk correction that waits for a second person, or was decided.")
class BulkCorrection:
    """Of more points than one person may move alone."""

    job_id: strawberry.ID = strawberry.field(description="Global id of its job, which begins once it is approved.")
    program: str = strawberry.field(description="Code of the program.")
    reason: str = strawberry.field(description="Of rows that name none.")
    rows: int = strawberry.field(description="How many there are.")
    added: Points = strawberry.field(description="Points that they give, all together.")
    removed: Points = strawberry.field(description="Points that they take away, all together.")
    state: AdjustmentState = strawberry.field(description="How it stands.")
    asked_by: str = strawberry.field(description="Who asked for it, and so cannot approve it.")
    asked_at: datetime = strawberry.field(description="When.")
    decided_by: str | None = strawberry.field(description="Who approved or rejected it.")
    decided_at: datetime | None = strawberry.field(description="When.")


def _correction(row: bulk.BulkRecord) -> BulkCorrection:
    return BulkCorrection(
        job_id=global_id("Job", row.job_id),
        program=row.program,
        reason=row.reason,
        rows=row.rows,
        added=Points(row.added),
        removed=Points(row.removed),
        state=row.state,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )


@strawberry.type(description="The rows are stored, and a job posts them.")
class RequestBulkPointsPayload:
    """See requestBulkPoints."""

    job_id: strawberry.ID = strawberry.field(description="Global id of the job; `job` tells how far it is.")
    waits: bool = strawberry.field(description="Whether it begins only once a second person has approved it.")
    replayed: bool = strawberry.field(description="Whether the key was used before and this is the same job.")


@strawberry.type(description="The correction's job begins.")
class ApproveBulkPointsPayload:
    """See approveBulkPoints."""

    correction: BulkCorrection = strawberry.field(description="As it stands now.")


@strawberry.type(description="The correction's job is cancelled.")
class RejectBulkPointsPayload:
    """See rejectBulkPoints."""

    correction: BulkCorrection = strawberry.field(description="As it stands now.")


RequestBulkPointsResult = Annotated[
    RequestBulkPointsPayload | InvalidInput | NotFound | Forbidden | IdempotencyConflict | OutcomeUnknown,
    strawberry.union("RequestBulkPointsResult", description="What requestBulkPoints answers."),
]
ApproveBulkPointsResult = Annotated[
    ApproveBulkPointsPayload
    | InvalidInput
    | NotFound
    | Forbidden
    | SecondPersonNeeded
    | AdjustmentDecided
    | OutcomeUnknown,
    strawberry.union("ApproveBulkPointsResult", description="What approveBulkPoints answers."),
]
RejectBulkPointsResult = Annotated[
    RejectBulkPointsPayload | InvalidInput | NotFound | Forbidden | AdjustmentDecided | OutcomeUnknown,
    strawberry.union("RejectBulkPointsResult", description="What rejectBulkPoints answers."),
]


def _row(number: int, given: BulkPointsRowInput, reason: str) -> bulk.PointsRow:
    return bulk.PointsRow(
        row_key=given.row_key,
        member=local_id("Member", given.member_id, path=["rows", str(number), "memberId"]),
        amount=given.amount,
        reason=reason if given.reason is None else given.reason,
        cause=None if given.cause is None else Cause(given.cause.type, given.cause.id),
        usable_at=given.usable_at,
        expires_at=given.expires_at,
        note=given.note,
    )


@strawberry.type
class BulkPointsQuery:
    """Reads of bulk points; the jobs themselves are in `job`."""

    @field(
        "Bulk corrections of a program that wait for a second person, the oldest first. Roles: STAFF, ADMIN, SERVICE."
        " Scope: points:read."
    )
    async def waiting_bulk_corrections(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        program: ProgramCode = DEFAULT_PROGRAM,
    ) -> Connection[BulkCorrection]:
        """See engage.domains.earning.bulk.queries.list_waiting."""
        asked = window(first, last, after, before)
        return connection(await queries.list_waiting(context_of(info).actor, program, asked), _correction)


@strawberry.type
class BulkPointsMutation:
    """Commands of bulk points."""

    @mutation(
        "Give points to many members or correct their balances, by a job; each row has its own outcome, and what "
        "is refused is a result of the job. Corrections of more points than the program's policy lets one person "
        "move wait for approveBulkPoints. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def request_bulk_points(
        self,
        info: Info,
        data: Annotated[RequestBulkPointsInput, strawberry.argument(name="input", description="The rows.")],
    ) -> RequestBulkPointsResult:
        """See engage.domains.earning.bulk.asking.request_rows."""
        asked = await bulk.request_rows(
            context_of(info).actor,
            program=data.program,
            operation=data.operation,
            rows=[_row(number, one, data.reason) for number, one in enumerate(data.rows)],
            idempotency_key=data.idempotency_key,
            reason=data.reason,
        )
        return RequestBulkPointsPayload(
            job_id=global_id("Job", asked.job_id), waits=asked.waits, replayed=not asked.new
        )

    @mutation(
        "Let a bulk correction that waits begin. Not by the person who asked for it. Roles: STAFF, ADMIN, SERVICE."
        " Scope: points:write."
    )
    async def approve_bulk_points(
        self,
        info: Info,
        data: Annotated[ApproveBulkPointsInput, strawberry.argument(name="input", description="Which one.")],
    ) -> ApproveBulkPointsResult:
        """See engage.domains.earning.bulk.deciding.approve_bulk_points."""
        done = await bulk.approve_bulk_points(context_of(info).actor, job_id=local_id("Job", data.id, path=["id"]))
        return ApproveBulkPointsPayload(correction=_correction(done))

    @mutation(
        "Turn down a bulk correction that waits; its job is cancelled. Roles: STAFF, ADMIN, SERVICE."
        " Scope: points:write."
    )
    async def reject_bulk_points(
        self,
        info: Info,
        data: Annotated[RejectBulkPointsInput, strawberry.argument(name="input", description="Which one.")],
    ) -> RejectBulkPointsResult:
        """See engage.domains.earning.bulk.deciding.reject_bulk_points."""
        done = await bulk.reject_bulk_points(context_of(info).actor, job_id=local_id("Job", data.id, path=["id"]))
        return RejectBulkPointsPayload(correction=_correction(done))
