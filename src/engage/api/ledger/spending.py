"""Points go: spent, or given to a good cause."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.fields import mutation
from engage.api.ledger.inputs import (
    CauseInput,
    Usual,
    amount_field,
    cause_field,
    key_field,
    plain_cause,
    program_field,
    reason_field,
)
from engage.api.ledger.payloads import PointsMoved, points_moved
from engage.api.ledger_problems import InsufficientPoints
from engage.api.relay import local_id
from engage.api.scalars import Points
from engage.domains.ledger import service


@strawberry.input(description="Points to take for something.")
class SpendPointsInput:
    """See spendPoints."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Points = amount_field()
    idempotency_key: str = key_field()
    program: str = program_field()
    reason: str = reason_field("REDEMPTION")
    cause: CauseInput | None = cause_field("What they are spent on.")


@strawberry.input(description="Points to give to a good cause.")
class DonatePointsInput:
    """See donatePoints."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Points = amount_field()
    good_cause: str = strawberry.field(
        description="Its code: 1 to 64 characters of a-z, 0-9, - and _, such as reforestation."
    )
    idempotency_key: str = key_field()
    program: str = program_field()


@strawberry.type(description="The points were taken.")
class SpendPointsPayload(PointsMoved):
    """See spendPoints."""


@strawberry.type(description="The points were given to the good cause.")
class DonatePointsPayload(PointsMoved):
    """See donatePoints."""


SpendPointsResult = Annotated[
    SpendPointsPayload | InsufficientPoints | Usual,
    strawberry.union("SpendPointsResult", description="What spendPoints answers."),
]
DonatePointsResult = Annotated[
    DonatePointsPayload | InsufficientPoints | Usual,
    strawberry.union("DonatePointsResult", description="What donatePoints answers."),
]


@strawberry.type
class SpendingMutation:
    """Commands by which points go."""

    @mutation("Spend points, those that expire first. Roles: the member, STAFF, ADMIN, SERVICE. Scope: points:write.")
    async def spend_points(
        self,
        info: Info,
        data: Annotated[SpendPointsInput, strawberry.argument(name="input", description="What to take.")],
    ) -> SpendPointsResult:
        """See engage.domains.ledger.service.spend_points."""
        posted = await service.spend_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            reason=data.reason,
            cause=plain_cause(data.cause),
        )
        return points_moved(SpendPointsPayload, posted)

    @mutation(
        "Give points to a good cause, those that expire first. The transfer's cause is of the type good_cause. "
        "Roles: the member, STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def donate_points(
        self,
        info: Info,
        data: Annotated[DonatePointsInput, strawberry.argument(name="input", description="What to give.")],
    ) -> DonatePointsResult:
        """See engage.domains.ledger.service.donate_points."""
        posted = await service.donate_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            good_cause=data.good_cause,
            idempotency_key=data.idempotency_key,
        )
        return points_moved(DonatePointsPayload, posted)
