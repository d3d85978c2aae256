"""Points, or stored value, set aside until a deadline: then captured, or given back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.enums import HoldState
from engage.api.fields import mutation
from engage.api.ledger.inputs import (
    CauseInput,
    Usual,
    amount_field,
    cause_field,
    deadline_field,
    key_field,
    part_field,
    plain_cause,
    program_field,
    reason_field,
)
from engage.api.ledger.money import currency_of, naming_value, part
from engage.api.ledger.payloads import Moved, PointsMoved, moved, points_moved
from engage.api.ledger.types import Balance, StoredValueBalance, balance, stored_value_balance
from engage.api.ledger_problems import ExceedsHold, HoldNotOpen, InsufficientPoints, InsufficientValue, value_money
from engage.api.purchases import Money
from engage.api.relay import global_id, local_id
from engage.api.scalars import Amount, Points
from engage.domains.ledger import service
from engage.domains.ledger import types as plain

H = TypeVar("H", bound="HoldChanged")


@strawberry.input(description="Points to set aside.")
class HoldPointsInput:
    """See holdPoints."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Points = amount_field()
    idempotency_key: str = key_field()
    program: str = program_field()
    deadline: datetime | None = deadline_field()
    reason: str = reason_field("ORDER")
    cause: CauseInput | None = cause_field("What they are held for.")


@strawberry.input(description="What is held to be spent.")
class CaptureHoldInput:
    """See captureHold."""

    hold_id: strawberry.ID = strawberry.field(description="The hold.")
    idempotency_key: str = key_field()
    amount: Points | None = part_field("How many of its points; all if left out.")
    value: Amount | None = part_field("How much of its stored value; all if left out.")
    keep_rest: bool = strawberry.field(default=False, description="Hold the rest on; else it is given back.")
    reason: str = reason_field("REDEMPTION")
    cause: CauseInput | None = cause_field("What it is spent on.")


@strawberry.input(description="What is held to be given back.")
class ReleaseHoldInput:
    """See releaseHold."""

    hold_id: strawberry.ID = strawberry.field(description="The hold.")
    idempotency_key: str = key_field()
    amount: Points | None = part_field("How many of its points; all if left out.")
    value: Amount | None = part_field("How much of its stored value; all if left out.")
    reason: str = reason_field("RELEASED")
    cause: CauseInput | None = cause_field("Why it is given back.")


@strawberry.type(description="The points are set aside.")
class HoldPointsPayload(PointsMoved):
    """See holdPoints."""

    hold_id: strawberry.ID = strawberry.field(description="Global id of the hold.")
    deadline: datetime = strawberry.field(description="When they are given back by themselves.")


@strawberry.type(description="What a command did to a hold of stored value.")
class HeldValue:
    """The figures of a hold in money."""

    amount: Money = strawberry.field(description="Signed: negative was paid with.")
    still_held: Money = strawberry.field(description="What is still held.")
    balance: StoredValueBalance = strawberry.field(description="The balance right after.")


@strawberry.type
class HoldChanged(Moved):
    """What captureHold and releaseHold answer."""

    hold_id: strawberry.ID = strawberry.field(description="Global id of the hold.")
    hold_state: HoldState = strawberry.field(description="How the hold stands.")
    deadline: datetime = strawberry.field(description="When what is still held is given back by itself.")
    amount: Points | None = strawberry.field(description="Signed: negative was spent. Null of stored value.")
    still_held: Points | None = strawberry.field(description="What is still held. Null of stored value.")
    balance: Balance | None = strawberry.field(description="The balance right after. Null of stored value.")
    value: HeldValue | None = strawberry.field(description="The same of stored value. Null of points.")


@strawberry.type(description="What was held is spent.")
class CaptureHoldPayload(HoldChanged):
    """See captureHold."""


@strawberry.type(description="What was held is given back, to the lots that it came from.")
class ReleaseHoldPayload(HoldChanged):
    """See releaseHold."""


HoldPointsResult = Annotated[
    HoldPointsPayload | InsufficientPoints | Usual,
    strawberry.union("HoldPointsResult", description="What holdPoints answers."),
]
CaptureHoldResult = Annotated[
    CaptureHoldPayload | HoldNotOpen | ExceedsHold | InsufficientValue | Usual,
    strawberry.union("CaptureHoldResult", description="What captureHold answers."),
]
ReleaseHoldResult = Annotated[
    ReleaseHoldPayload | HoldNotOpen | ExceedsHold | InsufficientValue | Usual,
    strawberry.union("ReleaseHoldResult", description="What releaseHold answers."),
]


async def _changed(kind: type[H], posted: plain.HoldPosted, ended: HoldState) -> H:
    of_points = posted.currency is plain.CurrencyKind.POINTS
    value = None
    if not of_points:
        currency = await currency_of(posted.program)
        value = HeldValue(
            amount=value_money(posted.amount, currency),
            still_held=value_money(posted.remaining, currency),
            balance=stored_value_balance(posted.balance, currency),
        )
    return moved(
        kind,
        posted,
        hold_id=global_id("Hold", posted.hold_id),
        hold_state=HoldState.OPEN if posted.remaining else ended,
        deadline=posted.deadline,
        amount=Points(posted.amount) if of_points else None,
        still_held=Points(posted.remaining) if of_points else None,
        balance=balance(posted.balance) if of_points else None,
        value=value,
    )


@strawberry.type
class HoldsMutation:
    """Commands on holds."""

    @mutation(
        "Set points aside for an order in progress, those that expire first. Roles: the member, STAFF, ADMIN, "
        "SERVICE. Scope: points:write."
    )
    async def hold_points(
        self,
        info: Info,
        data: Annotated[HoldPointsInput, strawberry.argument(name="input", description="What to set aside.")],
    ) -> HoldPointsResult:
        """See engage.domains.ledger.service.hold_points."""
        posted = await service.hold_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            deadline=data.deadline,
            reason=data.reason,
            cause=plain_cause(data.cause),
        )
        return points_moved(
            HoldPointsPayload, posted, hold_id=global_id("Hold", posted.hold_id), deadline=posted.deadline
        )

    @mutation(
        "Spend what is held, points or stored value, all or some of it, before its deadline. Roles: STAFF, ADMIN, "
        "SERVICE. Scope: points:write."
    )
    async def capture_hold(
        self,
        info: Info,
        data: Annotated[CaptureHoldInput, strawberry.argument(name="input", description="What to spend.")],
    ) -> CaptureHoldResult:
        """See engage.domains.ledger.service.capture_hold."""
        actor = context_of(info).actor
        hold_id = local_id("Hold", data.hold_id, path=["holdId"])
        with naming_value(data.value):
            posted = await service.capture_hold(
                actor,
                hold_id=hold_id,
                idempotency_key=data.idempotency_key,
                amount=await part(actor, hold_id, data.amount, data.value, "holdId"),
                keep_rest=data.keep_rest,
                reason=data.reason,
                cause=plain_cause(data.cause),
            )
        return await _changed(CaptureHoldPayload, posted, HoldState.CAPTURED)

    @mutation(
        "Give back what is held, points or stored value, all or some of it. What has expired meanwhile is lost or "
        "reissued, as the program's policy says. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def release_hold(
        self,
        info: Info,
        data: Annotated[ReleaseHoldInput, strawberry.argument(name="input", description="What to give back.")],
    ) -> ReleaseHoldResult:
        """See engage.domains.ledger.service.release_hold."""
        actor = context_of(info).actor
        hold_id = local_id("Hold", data.hold_id, path=["holdId"])
        with naming_value(data.value):
            posted = await service.release_hold(
                actor,
                hold_id=hold_id,
                idempotency_key=data.idempotency_key,
                amount=await part(actor, hold_id, data.amount, data.value, "holdId"),
                reason=data.reason,
                cause=plain_cause(data.cause),
            )
        return await _changed(ReleaseHoldPayload, posted, HoldState.RELEASED)
