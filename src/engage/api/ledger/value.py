"""Stored value: money that is paid in, paid with by and by, and paid back. Its holds end as those of points do."""

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
    deadline_field,
    key_field,
    part_field,
    plain_cause,
    program_field,
    reason_field,
)
from engage.api.ledger.money import currency_of, minor_units
from engage.api.ledger.payloads import ValueMoved, value_moved
from engage.api.ledger_problems import InsufficientValue, PaymentUsed, ValueLimit, value_money
from engage.api.problems import UnknownChannel
from engage.api.purchases import Money
from engage.api.relay import global_id, local_id
from engage.api.scalars import Amount
from engage.base.errors import NotFound
from engage.domains.ledger import queries, service

MONEY = "How much, above 0, with no more decimals than the program's currency has."


@strawberry.input(description="Money that was paid in.")
class TopUpInput:
    """See topUp."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Amount = amount_field(MONEY)
    channel: str = strawberry.field(description="Code of the channel that it was paid through.")
    payment_reference: str = strawberry.field(description="Of the payment outside, 1 to 80 characters; counts once.")
    paid_at: datetime = strawberry.field(description="When, with its offset from UTC; not in the future.")
    idempotency_key: str = key_field()
    program: str = program_field()
    store: str | None = part_field("Code of a store of the program.")


@strawberry.input(description="A payment out of stored value.")
class PayStoredValueInput:
    """See payStoredValue."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Amount = amount_field(MONEY)
    idempotency_key: str = key_field()
    program: str = program_field()
    reason: str = reason_field("PAYMENT")
    cause: CauseInput | None = cause_field("What is paid for.")


@strawberry.input(description="Stored value to set aside.")
class HoldStoredValueInput:
    """See holdStoredValue."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    amount: Amount = amount_field(MONEY)
    idempotency_key: str = key_field()
    program: str = program_field()
    deadline: datetime | None = deadline_field()
    reason: str = reason_field("ORDER")
    cause: CauseInput | None = cause_field("What it is held for.")


@strawberry.input(description="A top-up to pay back.")
class RefundTopUpInput:
    """See refundTopUp."""

    transfer_id: strawberry.ID = strawberry.field(description="The transfer of the top-up.")
    idempotency_key: str = key_field()
    amount: Amount | None = part_field("How much of what is unspent of it; all if left out.")
    reason: str = reason_field("REFUND")


@strawberry.type(description="The money is in.")
class TopUpPayload(ValueMoved):
    """See topUp."""

    bonus: Money = strawberry.field(description="What came on top by the program's policy.")


@strawberry.type(description="It is paid.")
class PayStoredValuePayload(ValueMoved):
    """See payStoredValue."""


@strawberry.type(description="The stored value is set aside.")
class HoldStoredValuePayload(ValueMoved):
    """See holdStoredValue."""

    hold_id: strawberry.ID = strawberry.field(description="Global id of the hold.")
    deadline: datetime = strawberry.field(description="When it is given back by itself.")


@strawberry.type(description="The stored value is taken out, to be paid back outside.")
class RefundTopUpPayload(ValueMoved):
    """See refundTopUp."""

    bonus: Money = strawberry.field(description="What was taken of its bonus, in proportion, as far as it was there.")
    unspent: Money = strawberry.field(description="What is still unspent of the top-up.")


TopUpResult = Annotated[
    TopUpPayload | UnknownChannel | ValueLimit | PaymentUsed | Usual,
    strawberry.union("TopUpResult", description="What topUp answers."),
]
PayStoredValueResult = Annotated[
    PayStoredValuePayload | InsufficientValue | Usual,
    strawberry.union("PayStoredValueResult", description="What payStoredValue answers."),
]
HoldStoredValueResult = Annotated[
    HoldStoredValuePayload | InsufficientValue | Usual,
    strawberry.union("HoldStoredValueResult", description="What holdStoredValue answers."),
]
RefundTopUpResult = Annotated[
    RefundTopUpPayload | InsufficientValue | Usual,
    strawberry.union("RefundTopUpResult", description="What refundTopUp answers."),
]


@strawberry.type
class ValueMutation:
    """Commands of stored value."""

    @mutation(
        "Put in money that a member has paid outside, with the bonus of the program's policy. Roles: STAFF, ADMIN, "
        "SERVICE. Scope: points:write."
    )
    async def top_up(
        self,
        info: Info,
        data: Annotated[TopUpInput, strawberry.argument(name="input", description="What was paid.")],
    ) -> TopUpResult:
        """See engage.domains.ledger.service.top_up."""
        actor = context_of(info).actor
        currency = await currency_of(data.program)
        posted = await service.top_up(
            actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=minor_units(data.amount, currency),
            channel=data.channel,
            payment_reference=data.payment_reference,
            paid_at=data.paid_at,
            idempotency_key=data.idempotency_key,
            store=data.store,
        )
        return value_moved(TopUpPayload, posted, currency, bonus=value_money(posted.bonus, currency))

    @mutation(
        "Pay with stored value; what expires first, such as a bonus, goes first. Roles: the member, STAFF, ADMIN, "
        "SERVICE. Scope: points:write."
    )
    async def pay_stored_value(
        self,
        info: Info,
        data: Annotated[PayStoredValueInput, strawberry.argument(name="input", description="What to pay.")],
    ) -> PayStoredValueResult:
        """See engage.domains.ledger.service.pay_stored_value."""
        actor = context_of(info).actor
        currency = await currency_of(data.program)
        posted = await service.pay_stored_value(
            actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=minor_units(data.amount, currency),
            idempotency_key=data.idempotency_key,
            reason=data.reason,
            cause=plain_cause(data.cause),
        )
        return value_moved(PayStoredValuePayload, posted, currency)

    @mutation(
        "Set stored value aside for an order in progress: captureHold pays with it, releaseHold gives it back. "
        "Roles: the member, STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def hold_stored_value(
        self,
        info: Info,
        data: Annotated[HoldStoredValueInput, strawberry.argument(name="input", description="What to set aside.")],
    ) -> HoldStoredValueResult:
        """See engage.domains.ledger.service.hold_stored_value."""
        actor = context_of(info).actor
        currency = await currency_of(data.program)
        posted = await service.hold_stored_value(
            actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            program=data.program,
            amount=minor_units(data.amount, currency),
            idempotency_key=data.idempotency_key,
            deadline=data.deadline,
            reason=data.reason,
            cause=plain_cause(data.cause),
        )
        return value_moved(
            HoldStoredValuePayload,
            posted,
            currency,
            hold_id=global_id("Hold", posted.hold_id),
            deadline=posted.deadline,
        )

    @mutation(
        "Take out what is unspent of a top-up, all or some of it, to be paid back outside, and its bonus in "
        "proportion. Roles: STAFF, ADMIN, SERVICE. Scope: points:write."
    )
    async def refund_top_up(
        self,
        info: Info,
        data: Annotated[RefundTopUpInput, strawberry.argument(name="input", description="What to pay back.")],
    ) -> RefundTopUpResult:
        """See engage.domains.ledger.service.refund_top_up."""
        actor = context_of(info).actor
        transfer_id = local_id("Transfer", data.transfer_id, path=["transferId"])
        currency = await queries.get_money(actor, transfer_id, path="transferId")
        if currency is None:
            raise NotFound("This transfer is not a top-up.", path=["transferId"])
        posted = await service.refund_top_up(
            actor,
            transfer_id=transfer_id,
            idempotency_key=data.idempotency_key,
            amount=None if data.amount is None else minor_units(data.amount, currency),
            reason=data.reason,
        )
        return value_moved(
            RefundTopUpPayload,
            posted,
            currency,
            bonus=value_money(posted.bonus, currency),
            unspent=value_money(posted.remaining or 0, currency),
        )
