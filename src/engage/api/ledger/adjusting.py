"""Corrections by hand: small ones at once, large ones once a second person has agreed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.enums import AdjustmentState
from engage.api.fields import mutation
from engage.api.ledger.inputs import Usual, key_field, part_field, program_field
from engage.api.ledger.payloads import PointsMoved, points_moved
from engage.api.ledger_problems import (
    AdjustmentDecided,
    BalanceLimit,
    InsufficientPoints,
    MemberNotActive,
    SecondPersonNeeded,
)
from engage.api.node_kinds import Node, by_id
from engage.api.problems import Forbidden, InvalidInput, NotFound, OutcomeUnknown
from engage.api.relay import global_id, local_id
from engage.api.scalars import Points
from engage.domains.ledger import queries, service
from engage.domains.ledger import types as plain


@strawberry.input(description="A correction of a balance.")
class AdjustPointsInput:
    """See adjustPoints."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Points = strawberry.field(description="Signed: negative takes points from the member; not 0.")
    reason: str = strawberry.field(description="A code of A-Z, 0-9 and _, such as COUNTED_TWICE.")
    idempotency_key: str = key_field()
    program: str = program_field()
    note: str | None = part_field("Words for staff, up to 500 characters; they can be erased.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="Of points that are added: lost from then on; by the program's policy if left out."
    )


@strawberry.input(description="A correction to approve.")
class ApproveAdjustmentInput:
    """See approveAdjustment."""

    adjustment_id: strawberry.ID = strawberry.field(description="The correction.")


@strawberry.input(description="A correction to turn down.")
class RejectAdjustmentInput:
    """See rejectAdjustment."""

    adjustment_id: strawberry.ID = strawberry.field(description="The correction.")


@strawberry.type(description="A correction that waits for a second person, or was decided.")
class Adjustment(Node):
    """What was asked for, by whom, and what became of it."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    program: str = strawberry.field(description="Code of the program.")
    amount: Points = strawberry.field(description="Signed: negative takes points from the member.")
    reason: str = strawberry.field(description="A code such as COUNTED_TWICE.")
    note: str | None = strawberry.field(description="Words for staff, as long as they are kept.")
    expires_at: datetime | None = strawberry.field(
        description="When points that are added expire, where it was said."
    )
    state: AdjustmentState = strawberry.field(description="How it stands.")
    asked_by: str = strawberry.field(description="Who asked for it: the subject of their token.")
    asked_at: datetime = strawberry.field(description="When.")
    decided_by: str | None = strawberry.field(description="Who approved or rejected it.")
    decided_at: datetime | None = strawberry.field(description="When.")
    transfer_id: strawberry.ID | None = strawberry.field(description="Global id of the transfer that posted it.")


def adjustment(row: plain.AdjustmentRecord) -> Adjustment:
    """A correction for the API."""
    return Adjustment(
        id=global_id("Adjustment", row.id),
        member_id=global_id("Member", row.member_id),
        program=row.program,
        amount=Points(row.amount),
        reason=row.reason,
        note=row.note,
        expires_at=row.expires_at,
        state=row.state,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        transfer_id=None if row.transfer_id is None else global_id("Transfer", row.transfer_id),
    )


@by_id("Adjustment")
async def _adjustment_by_id(context: Context, adjustment_id: UUID) -> Adjustment:
    return adjustment(await queries.get_adjustment(context.actor, adjustment_id, read=context.together.load))


@strawberry.type(description="The correction was posted, or waits for a second person: one of the two is null.")
class AdjustPointsPayload:
    """See adjustPoints."""

    posted: PointsMoved | None = strawberry.field(description="What was posted.")
    adjustment: Adjustment | None = strawberry.field(description="What waits, or has been decided since.")
    replayed: bool = strawberry.field(description="Whether the key was used before.")


@strawberry.type(description="The correction was approved and posted.")
class ApproveAdjustmentPayload:
    """See approveAdjustment."""

    posted: PointsMoved | None = strawberry.field(
        description="What was posted; null where it was approved so long ago that the answer is not kept."
    )
    adjustment: Adjustment = strawberry.field(description="The correction.")


@strawberry.type(description="The correction was turned down.")
class RejectAdjustmentPayload:
    """See rejectAdjustment."""

    adjustment: Adjustment = strawberry.field(description="The correction.")


AdjustPointsResult = Annotated[
    AdjustPointsPayload | InsufficientPoints | BalanceLimit | Usual,
    strawberry.union("AdjustPointsResult", description="What adjustPoints answers."),
]
ApproveAdjustmentResult = Annotated[
    ApproveAdjustmentPayload
    | SecondPersonNeeded
    | AdjustmentDecided
    | InsufficientPoints
    | BalanceLimit
    | InvalidInput
    | NotFound
    | Forbidden
    | MemberNotActive
    | OutcomeUnknown,
    strawberry.union("ApproveAdjustmentResult", description="What approveAdjustment answers."),
]
RejectAdjustmentResult = Annotated[
    RejectAdjustmentPayload | AdjustmentDecided | InvalidInput | NotFound | Forbidden | OutcomeUnknown,
    strawberry.union("RejectAdjustmentResult", description="What rejectAdjustment answers."),
]


def _posted(value: plain.Posted | None) -> PointsMoved | None:
    return None if value is None else points_moved(PointsMoved, value)


def _adjustment_id(given: strawberry.ID) -> UUID:
    return local_id("Adjustment", given, path=["adjustmentId"])


@strawberry.type
class AdjustingMutation:
    """Commands of corrections."""

    @mutation(
        "Correct a balance, up or down. Beyond what the program's policy lets one person do it waits until another "
        "one approves it. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def adjust_points(
        self,
        info: Info,
        data: Annotated[AdjustPointsInput, strawberry.argument(name="input", description="What to correct.")],
    ) -> AdjustPointsResult:
        """See engage.domains.ledger.service.adjust_points."""
        done = await service.adjust_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            reason=data.reason,
            idempotency_key=data.idempotency_key,
            note=data.note,
            expires_at=data.expires_at,
        )
        return AdjustPointsPayload(
            posted=_posted(done.posted),
            adjustment=None if done.adjustment is None else adjustment(done.adjustment),
            replayed=done.replayed,
        )

    @mutation(
        "Post a correction that waits, as another person than the one who asked for it. Approving it again does "
        "nothing more. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def approve_adjustment(
        self,
        info: Info,
        data: Annotated[ApproveAdjustmentInput, strawberry.argument(name="input", description="Which correction.")],
    ) -> ApproveAdjustmentResult:
        """See engage.domains.ledger.service.approve_adjustment."""
        done = await service.approve_adjustment(
            context_of(info).actor, adjustment_id=_adjustment_id(data.adjustment_id)
        )
        return ApproveAdjustmentPayload(posted=_posted(done.posted), adjustment=adjustment(done.adjustment))

    @mutation(
        "Turn down a correction that waits; whoever asked for it may do so, too. Rejecting it again does nothing "
        "more. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def reject_adjustment(
        self,
        info: Info,
        data: Annotated[RejectAdjustmentInput, strawberry.argument(name="input", description="Which correction.")],
    ) -> RejectAdjustmentResult:
        """See engage.domains.ledger.service.reject_adjustment."""
        done = await service.reject_adjustment(
            context_of(info).actor, adjustment_id=_adjustment_id(data.adjustment_id)
        )
        return RejectAdjustmentPayload(adjustment=adjustment(done))
