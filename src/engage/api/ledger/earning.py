"""Points come by hand: at once, later or on confirmation."""

from __future__ import annotations

from datetime import datetime
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
    part_field,
    plain_cause,
    program_field,
    reason_field,
)
from engage.api.ledger.payloads import PointsMoved, points_moved
from engage.api.ledger_problems import BalanceLimit, ExceedsReversible, NotPending, NotReversible
from engage.api.relay import local_id
from engage.api.scalars import Points
from engage.domains.ledger import service


@strawberry.input(description="Points to give by hand. What activities earn is given by their own mutations.")
class EarnPointsInput:
    """See earnPoints."""

    member_id: strawberry.ID = strawberry.field(description="Who gets them.")
    amount: Points = amount_field()
    idempotency_key: str = key_field()
    program: str = program_field()
    reason: str = reason_field("CORRECTION")
    cause: CauseInput | None = cause_field("What they are given for.")
    usable_at: datetime | None = strawberry.field(default=None, description="Pending until then.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="Lost from then on; by the program's policy if left out."
    )
    on_confirmation: bool = strawberry.field(
        default=False, description="Pending until confirmPending, which also says when they expire."
    )


@strawberry.input(description="Pending points to make usable now.")
class ConfirmPendingInput:
    """See confirmPending."""

    transfer_id: strawberry.ID = strawberry.field(description="The earning.")
    idempotency_key: str = key_field()
    expires_at: datetime | None = strawberry.field(
        default=None,
        description="Lost from then on. If left out: as they were given, or by the program's policy, counted from "
        "now, where they were given on confirmation.",
    )
    reason: str = reason_field("CONFIRMED")


@strawberry.input(description="Pending points to take back.")
class CancelPendingInput:
    """See cancelPending."""

    transfer_id: strawberry.ID = strawberry.field(description="The earning.")
    idempotency_key: str = key_field()
    amount: Points | None = part_field("How many of them; all that are left if left out.")
    reason: str = reason_field("CANCELLED")
    cause: CauseInput | None = cause_field("Why they are taken back.")


@strawberry.type(description="The points were given.")
class EarnPointsPayload(PointsMoved):
    """See earnPoints."""


@strawberry.type(description="The points can be used.")
class ConfirmPendingPayload(PointsMoved):
    """See confirmPending."""


@strawberry.type(description="The points were taken back, and were never usable.")
class CancelPendingPayload(PointsMoved):
    """See cancelPending."""


EarnPointsResult = Annotated[
    EarnPointsPayload | BalanceLimit | Usual,
    strawberry.union("EarnPointsResult", description="What earnPoints answers."),
]
ConfirmPendingResult = Annotated[
    ConfirmPendingPayload | NotPending | Usual,
    strawberry.union("ConfirmPendingResult", description="What confirmPending answers."),
]
CancelPendingResult = Annotated[
    CancelPendingPayload | NotPending | NotReversible | ExceedsReversible | Usual,
    strawberry.union("CancelPendingResult", description="What cancelPending answers."),
]


@strawberry.type
class EarningMutation:
    """Commands by which points come."""

    @mutation("Give points by hand, in one lot. Roles: STAFF, ADMIN, SERVICE. Scope: points:write.")
    async def earn_points(
        self,
        info: Info,
        data: Annotated[EarnPointsInput, strawberry.argument(name="input", description="What to give.")],
    ) -> EarnPointsResult:
        """See engage.domains.ledger.service.earn_points."""
        posted = await service.earn_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            reason=data.reason,
            cause=plain_cause(data.cause),
            usable_at=data.usable_at,
            expires_at=data.expires_at,
            on_confirmation=data.on_confirmation,
        )
        return points_moved(EarnPointsPayload, posted)

    @mutation(
        "Make the pending points of an earning usable now, before their time or where they wait for this; whole "
        "earnings only. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def confirm_pending(
        self,
        info: Info,
        data: Annotated[ConfirmPendingInput, strawberry.argument(name="input", description="What to confirm.")],
    ) -> ConfirmPendingResult:
        """See engage.domains.ledger.service.confirm_pending."""
        posted = await service.confirm_pending(
            context_of(info).actor,
            transfer_id=local_id("Transfer", data.transfer_id, path=["transferId"]),
            idempotency_key=data.idempotency_key,
            expires_at=data.expires_at,
            reason=data.reason,
        )
        return points_moved(ConfirmPendingPayload, posted)

    @mutation(
        "Take back pending points of an earning, all or some. What is usable by now is taken back by "
        "reverseTransfer. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def cancel_pending(
        self,
        info: Info,
        data: Annotated[CancelPendingInput, strawberry.argument(name="input", description="What to take back.")],
    ) -> CancelPendingResult:
        """See engage.domains.ledger.service.cancel_pending."""
        posted = await service.cancel_pending(
            context_of(info).actor,
            transfer_id=local_id("Transfer", data.transfer_id, path=["transferId"]),
            idempotency_key=data.idempotency_key,
            amount=data.amount,
            reason=data.reason,
            cause=plain_cause(data.cause),
        )
        return points_moved(CancelPendingPayload, posted)
