"""Stored value as the API shows it: money in a program's currency, which was paid in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.fields import field
from engage.api.ledger import DEFAULT_PROGRAM, StoredValueBalance, stored_value_balance
from engage.api.ledger import Program as ProgramCode
from engage.api.ledger_problems import value_money
from engage.api.node_kinds import Node, by_id
from engage.api.purchases import Money
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from engage.base.paging import window
from engage.domains.ledger import queries
from engage.domains.ledger.queries import records


def money_in(minor_units: int, currency: str | None) -> Money | None:
    """An amount of stored value, which is kept in minor units; None where the figure is of points."""
    return None if currency is None else value_money(minor_units, currency)


def stored_value(found: records.StoredValue) -> StoredValueBalance:
    """Stored value for the API."""
    return stored_value_balance(found.balance, found.money)


@strawberry.type(description="Money that a member paid in.")
class TopUp(Node):
    """With what of it was paid back."""

    transfer_id: strawberry.ID = strawberry.field(description="Global id of its transfer, which a refund names.")
    member_id: strawberry.ID = strawberry.field(description="Who paid it in.")
    program: str = strawberry.field(description="Code of the program.")
    amount: Money = strawberry.field(description="What was paid in.")
    bonus: Money = strawberry.field(description="What the program gave on top.")
    refunded: Money = strawberry.field(description="What of the amount was paid back.")
    channel: str = strawberry.field(description="Code of the channel that it came through.")
    store: str | None = strawberry.field(description="Code of the store.")
    payment_reference: str = strawberry.field(description="Of the payment outside; counts once in its program.")
    paid_at: datetime = strawberry.field(description="When it was paid.")
    created_at: datetime = strawberry.field(description="When it was put in.")


def _top_up(row: records.TopUpRecord) -> TopUp:
    return TopUp(
        id=global_id("TopUp", row.id),
        transfer_id=global_id("Transfer", row.id),
        member_id=global_id("Member", row.member_id),
        program=row.program,
        amount=value_money(row.amount, row.money),
        bonus=value_money(row.bonus, row.money),
        refunded=value_money(row.refunded, row.money),
        channel=row.channel,
        store=row.store,
        payment_reference=row.payment_reference,
        paid_at=row.paid_at,
        created_at=row.created_at,
    )


@by_id("TopUp")
async def _top_up_by_id(context: Context, top_up_id: UUID) -> TopUp:
    return _top_up(await queries.get_top_up(context.actor, top_up_id, read=context.together.load))


@strawberry.type(
    description="Figures of a program's stored value, gross: outstanding is toppedUp + bonus + returned - paid - "
    "refunded - takenBack - expired."
)
class StoredValueTotals:
    """They reconcile with the ledger: outstanding is what the organisation owes."""

    members: int = strawberry.field(description="Members with stored value in the program, now or once.")
    topped_up: Money = strawberry.field(description="Paid in, ever.")
    bonus: Money = strawberry.field(description="Given on top, ever.")
    paid: Money = strawberry.field(description="Paid with, ever.")
    refunded: Money = strawberry.field(description="Paid back, ever.")
    taken_back: Money = strawberry.field(description="Bonus that was taken back, ever.")
    returned: Money = strawberry.field(description="Given back by reversals, ever.")
    expired: Money = strawberry.field(description="Lost by expiry, ever.")
    outstanding: Money = strawberry.field(description="Owed now: available and held, less debt.")


@strawberry.type
class ValueQuery:
    """Reads of stored value."""

    @field(
        "What a member has paid in, in all programs, newest first. "
        "Roles: the member, STAFF, MODERATOR, ADMIN, SERVICE. Scope: points:read."
    )
    async def top_ups(
        self,
        info: Info,
        member_id: Annotated[strawberry.ID, strawberry.argument(description="Whose.")],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[TopUp]:
        """See engage.domains.ledger.queries.list_top_ups."""
        page = await queries.list_top_ups(
            context_of(info).actor,
            local_id("Member", member_id, path=["memberId"]),
            window(first, last, after, before),
        )
        return connection(page, _top_up)

    @field("A program's figures of stored value. Role: ADMIN. Scope: reports:read.")
    async def stored_value_totals(
        self, info: Info, program: ProgramCode = DEFAULT_PROGRAM
    ) -> StoredValueTotals | None:
        """See engage.domains.ledger.queries.get_program_value."""
        found = await queries.get_program_value(context_of(info).actor, program)
        return StoredValueTotals(
            members=found.members,
            topped_up=value_money(found.topped_up, found.money),
            bonus=value_money(found.bonus, found.money),
            paid=value_money(found.paid, found.money),
            refunded=value_money(found.refunded, found.money),
            taken_back=value_money(found.taken_back, found.money),
            returned=value_money(found.returned, found.money),
            expired=value_money(found.expired, found.money),
            outstanding=value_money(found.outstanding, found.money),
        )
