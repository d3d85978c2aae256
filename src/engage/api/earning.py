"""Earning: orders from tills and shops."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.errors import (
    Forbidden,
    InvalidInput,
    MemberNotActive,
    NotFound,
    OrderConflict,
    OutcomeUnknown,
    UnknownChannel,
    UnknownCurrency,
    UnknownMember,
    UnknownStore,
)
from engage.api.fields import mutation
from engage.api.ledger import DEFAULT_PROGRAM, Balance, balance
from engage.api.members import IdentityInput, identity_ref
from engage.api.relay import global_id
from engage.api.scalars import Amount, Points
from engage.base import clock
from engage.domains.earning import service
from engage.domains.ledger import queries as ledger
from engage.domains.purchases.types import Order, OrderLine


@strawberry.input(description="One item of an order.")
class PurchaseLineInput:
    """As the till has it."""

    item: str = strawberry.field(description="Article number, 1 to 64 characters.")
    quantity: int = strawberry.field(description="How many, 0 or more.")
    amount: Amount = strawberry.field(description="What the line cost, 0 or more.")
    category: str | None = strawberry.field(default=None, description="Category of goods.")
    brand: str | None = strawberry.field(default=None, description="Brand.")


@strawberry.input(description="An order and whose it is.")
class RecordPurchaseInput:
    """See recordPurchase."""

    order_no: str = strawberry.field(description="Unique in its program and channel: it is the idempotency key.")
    member: IdentityInput = strawberry.field(description="Whose it is, as the till or shop names them.")
    amount: Amount = strawberry.field(description="What was paid, 0 or more, up to four decimals.")
    purchased_at: datetime = strawberry.field(description="When, with its offset from UTC; not in the future.")
    channel: str = strawberry.field(default="pos", description="Code of the channel that it came through.")
    currency: str | None = strawberry.field(default=None, description="ISO 4217; the program's if left out.")
    program: str = strawberry.field(default=DEFAULT_PROGRAM, description="Code of the program.")
    store: str | None = strawberry.field(default=None, description="Code of a store of the program.")
    quantity: int | None = strawberry.field(default=None, description="How many items.")
    lines: list[PurchaseLineInput] = strawberry.field(default_factory=list, description="Its items, up to 200.")


@strawberry.type(description="The order is on file and its points are given.")
class RecordPurchasePayload:
    """See recordPurchase."""

    purchase_id: strawberry.ID = strawberry.field(description="Global id of the purchase.")
    member_id: strawberry.ID = strawberry.field(description="Whose it is.")
    points: Points = strawberry.field(description="What it earned.")
    balance: Balance = strawberry.field(description="The balance right after; the present one when replayed.")
    position: int | None = strawberry.field(
        description="Position of the earning in the member's stream; null when it earned nothing or is replayed."
    )
    replayed: bool = strawberry.field(description="Whether the order was on file already.")


RecordPurchaseResult = Annotated[
    RecordPurchasePayload
    | InvalidInput
    | NotFound
    | Forbidden
    | OrderConflict
    | UnknownChannel
    | UnknownCurrency
    | UnknownMember
    | UnknownStore
    | MemberNotActive
    | OutcomeUnknown,
    strawberry.union("RecordPurchaseResult", description="What recordPurchase answers."),
]


def _order(data: RecordPurchaseInput) -> Order:
    return Order(
        order_no=data.order_no,
        amount=data.amount,
        purchased_at=data.purchased_at,
        channel=data.channel,
        currency=data.currency,
        store=data.store,
        quantity=data.quantity,
        lines=tuple(
            OrderLine(line.item, line.quantity, line.amount, line.category, line.brand) for line in data.lines
        ),
    )


@strawberry.type
class EarningMutation:
    """Commands of earning."""

    @mutation(
        "Put an order on file and give its points at once. The same order again answers as the first "
        "time. Roles: STAFF, ADMIN, SERVICE. Scope: purchases:write."
    )
    async def record_purchase(
        self,
        info: Info,
        data: Annotated[RecordPurchaseInput, strawberry.argument(name="input", description="The order.")],
    ) -> RecordPurchaseResult:
        """See engage.domains.earning.service.record_purchase."""
        context = context_of(info)
        done = await service.record_purchase(
            context.actor, program=data.program, member=identity_ref(data.member), order=_order(data)
        )
        after = done.balance
        if after is None:
            after = await context.together.load(ledger.BALANCES, done.member_id, data.program, clock.now())
        return RecordPurchasePayload(
            purchase_id=global_id("Purchase", done.purchase_id),
            member_id=global_id("Member", done.member_id),
            points=Points(done.points),
            balance=balance(after),
            position=done.position,
            replayed=done.replayed,
        )
