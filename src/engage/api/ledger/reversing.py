"""Points go back: a transfer is taken back, or points that should never have been given."""

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
    amount_field,
    cause_field,
    key_field,
    part_field,
    plain_cause,
    program_field,
    reason_field,
)
from engage.api.ledger.money import currency_of, naming_value, part
from engage.api.ledger.payloads import Moved, PointsTaken, moved, points_taken
from engage.api.ledger.types import Balance, StoredValueBalance, balance, stored_value_balance
from engage.api.ledger_problems import (
    BalanceLimit,
    ExceedsReversible,
    InsufficientPoints,
    InsufficientValue,
    NotReversible,
    ValueLimit,
    value_money,
)
from engage.api.purchases import Money
from engage.api.relay import local_id
from engage.api.scalars import Amount, Points
from engage.domains.ledger import service
from engage.domains.ledger import types as plain


@strawberry.input(description="A transfer to take back.")
class ReverseTransferInput:
    """See reverseTransfer."""

    transfer_id: strawberry.ID = strawberry.field(description="The transfer.")
    idempotency_key: str = key_field()
    amount: Points | None = part_field("How many of its points; all that are left if left out.")
    value: Amount | None = part_field("How much of its stored value; all that is left if left out.")
    shortfall: Shortfall = strawberry.field(
        default=Shortfall.DEBT, description="What becomes of points that it gave and that are not there any more."
    )
    reason: str = reason_field("REVERSAL")
    cause: CauseInput | None = cause_field("Why it is taken back.")


@strawberry.input(description="Points to take back that should never have been given.")
class ClawbackPointsInput:
    """See clawbackPoints."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Points = amount_field()
    idempotency_key: str = key_field()
    program: str = program_field()
    shortfall: Shortfall = strawberry.field(
        default=Shortfall.DEBT, description="What becomes of those that are not there any more."
    )
    reason: str = reason_field("CLAWBACK")
    cause: CauseInput | None = cause_field("Why they are taken back.")


@strawberry.type(description="What taking back a transfer of stored value did.")
class ReversedValue:
    """The figures of a reversal in money."""

    amount: Money = strawberry.field(description="Signed: negative took stored value from the member.")
    left_to_reverse: Money = strawberry.field(description="What is left of the transfer to take back.")
    shortfall: Money = strawberry.field(description="What was not there to be taken back.")
    debt: Money = strawberry.field(description="How much of that is debt now.")
    balance: StoredValueBalance = strawberry.field(description="The balance right after.")


@strawberry.type(description="The transfer is taken back, all or some of it.")
class ReverseTransferPayload(Moved):
    """See reverseTransfer."""

    amount: Points | None = strawberry.field(
        description="Signed: negative took points from the member. Null of stored value."
    )
    left_to_reverse: Points | None = strawberry.field(
        description="What is left of the transfer to take back. Null of stored value."
    )
    shortfall: Points | None = strawberry.field(
        description="What was not there to be taken back. Null of stored value."
    )
    debt: Points | None = strawberry.field(description="How much of that is debt now. Null of stored value.")
    balance: Balance | None = strawberry.field(description="The balance right after. Null of stored value.")
    value: ReversedValue | None = strawberry.field(description="The same of stored value. Null of points.")


@strawberry.type(description="The points were taken back.")
class ClawbackPointsPayload(PointsTaken):
    """See clawbackPoints."""


ReverseTransferResult = Annotated[
    ReverseTransferPayload
    | NotReversible
    | ExceedsReversible
    | InsufficientPoints
    | InsufficientValue
    | BalanceLimit
    | ValueLimit
    | Usual,
    strawberry.union("ReverseTransferResult", description="What reverseTransfer answers."),
]
ClawbackPointsResult = Annotated[
    ClawbackPointsPayload | InsufficientPoints | BalanceLimit | Usual,
    strawberry.union("ClawbackPointsResult", description="What clawbackPoints answers."),
]


async def _reversed(posted: plain.ReturnPosted | plain.TakenPosted) -> ReverseTransferPayload:
    taken = posted if isinstance(posted, plain.TakenPosted) else None
    figures = {
        "amount": posted.amount,
        "left_to_reverse": posted.remaining or 0,
        "shortfall": 0 if taken is None else taken.shortfall,
        "debt": 0 if taken is None else taken.debt,
    }
    if posted.currency is plain.CurrencyKind.POINTS:
        points = {name: Points(figure) for name, figure in figures.items()}
        return moved(ReverseTransferPayload, posted, **points, balance=balance(posted.balance), value=None)
    currency = await currency_of(posted.program)
    money = {name: value_money(figure, currency) for name, figure in figures.items()}
    value = ReversedValue(**money, balance=stored_value_balance(posted.balance, currency))
    return moved(ReverseTransferPayload, posted, **dict.fromkeys(figures), balance=None, value=value)


@strawberry.type
class ReversingMutation:
    """Commands by which points go back."""

    @mutation(
        "Take a transfer back, all or some of it. A spending, capture, donation, fee, deduction or correction "
        "downwards gives back exactly the lots that it took. An earning or correction upwards is taken from its own "
        "lot, whoever holds that now, then from the member's others. Stored value that was paid with comes back in "
        "the same way. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def reverse_transfer(
        self,
        info: Info,
        data: Annotated[ReverseTransferInput, strawberry.argument(name="input", description="What to take back.")],
    ) -> ReverseTransferResult:
        """See engage.domains.ledger.service.reverse_transfer."""
        actor = context_of(info).actor
        transfer_id = local_id("Transfer", data.transfer_id, path=["transferId"])
        with naming_value(data.value):
            posted = await service.reverse_transfer(
                actor,
                transfer_id=transfer_id,
                idempotency_key=data.idempotency_key,
                amount=await part(actor, transfer_id, data.amount, data.value, "transferId"),
                shortfall=data.shortfall,
                reason=data.reason,
                cause=plain_cause(data.cause),
            )
        return await _reversed(posted)

    @mutation(
        "Take back points that should never have been given; one earning is taken back by reverseTransfer. Those "
        "that are spent already become debt, unless asked otherwise. Roles: STAFF, ADMIN, SERVICE."
        " Scope: points:write."
    )
    async def clawback_points(
        self,
        info: Info,
        data: Annotated[ClawbackPointsInput, strawberry.argument(name="input", description="What to take back.")],
    ) -> ClawbackPointsResult:
        """See engage.domains.ledger.service.clawback_points."""
        posted = await service.clawback_points(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=data.amount,
            idempotency_key=data.idempotency_key,
            shortfall=data.shortfall,
            reason=data.reason,
            cause=plain_cause(data.cause),
        )
        return points_taken(ClawbackPointsPayload, posted)
