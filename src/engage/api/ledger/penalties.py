"""Points are taken away as a penalty, and given back when that is overturned."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import Shortfall
from engage.api.fields import mutation
from engage.api.ledger.inputs import (
    CauseInput,
    Usual,
    cause_field,
    key_field,
    part_field,
    plain_cause,
    program_field,
    reason_field,
)
from engage.api.ledger.payloads import PointsMoved, PointsTaken, points_moved, points_taken
from engage.api.ledger_problems import BalanceLimit, ExceedsReversible, InsufficientPoints, NotReversible
from engage.api.relay import local_id
from engage.api.scalars import Points
from engage.domains.ledger import service


@strawberry.input(description="Points to take away.")
class DeductPointsInput:
    """See deductPoints."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    idempotency_key: str = key_field()
    amount: Points | None = part_field("How many, 1 or more; all that are there if left out.")
    program: str = program_field()
    from_pending: bool = strawberry.field(default=False, description="Take pending points, too, after the available.")
    from_held: bool = strawberry.field(default=False, description="Take held points, too, last.")
    shortfall: Shortfall = strawberry.field(
        default=Shortfall.FORGO, description="What becomes of those that are not there."
    )
    reason: str = reason_field("PENALTY")
    cause: CauseInput | None = cause_field("The decision behind it.")


@strawberry.input(description="A deduction or a clawback to give back.")
class RestorePointsInput:
    """See restorePoints."""

    transfer_id: strawberry.ID = strawberry.field(description="The deduction, or the clawback.")
    idempotency_key: str = key_field()
    amount: Points | None = part_field("How many of its points; all that are left if left out.")
    reason: str = reason_field("OVERTURNED")
    cause: CauseInput | None = cause_field("The decision behind it.")


@strawberry.type(description="The points were taken away.")
class DeductPointsPayload(PointsTaken):
    """See deductPoints."""


@strawberry.type(description="The points were given back, and the debt was taken off.")
class RestorePointsPayload(PointsMoved):
    """See restorePoints."""

    left_to_reverse: Points = strawberry.field(description="What is left of the transfer to give back.")


DeductPointsResult = Annotated[
    DeductPointsPayload | InsufficientPoints | BalanceLimit | Usual,
    strawberry.union("DeductPointsResult", description="What deductPoints answers."),
]
RestorePointsResult = Annotated[
    RestorePointsPayload | NotReversible | ExceedsReversible | BalanceLimit | Usual,
    strawberry.union("RestorePointsResult", description="What restorePoints answers."),
]


@strawberry.type
class PenaltiesMutation:
    """Commands of penalties."""

    @mutation(
        "Take points away as a penalty, of a frozen or suspended member, too: what is available, then pending and "
        "held where asked. Roles: MODERATOR, ADMIN. Scope: penalties:write."
    )
    async def deduct_points(
        self,
        info: Info,
        data: Annotated[DeductPointsInput, strawberry.argument(name="input", description="What to take away.")],
    ) -> DeductPointsResult:
        """See engage.domains.ledger.service.deduct_points."""
        posted = await service.deduct_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            from_pending=data.from_pending,
            from_held=data.from_held,
            shortfall=data.shortfall,
            reason=data.reason,
            cause=plain_cause(data.cause),
        )
        return points_taken(DeductPointsPayload, posted)

    @mutation(
        "Give back what a deduction or a clawback took, all or some of it: the debt first, then the same lots. What "
        "reverseTransfer has given back already is not given twice. Roles: MODERATOR, ADMIN. Scope: penalties:write."
    )
    async def restore_points(
        self,
        info: Info,
        data: Annotated[RestorePointsInput, strawberry.argument(name="input", description="What to give back.")],
    ) -> RestorePointsResult:
        """See engage.domains.ledger.service.restore_points."""
        posted = await service.restore_points(
            context_of(info).actor,
            transfer_id=local_id("Transfer", data.transfer_id, path=["transferId"]),
            idempotency_key=data.idempotency_key,
            amount=data.amount,
            reason=data.reason,
            cause=plain_cause(data.cause),
        )
        return points_moved(RestorePointsPayload, posted, left_to_reverse=Points(posted.remaining))
