"""Holds and gifts as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.enums import CurrencyKind, GiftState, HoldPurpose, HoldState, describe
from engage.api.fields import field
from engage.api.node_kinds import Node, by_id
from engage.api.purchases import Money
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from engage.api.scalars import Points
from engage.api.value import money_in
from engage.base.paging import window
from engage.domains.ledger import queries
from engage.domains.ledger import types as plain
from engage.domains.ledger.queries import GiftDirection

strawberry.enum(GiftDirection, description="Which side of gifts a member was on.")
describe(
    GiftDirection,
    {
        GiftDirection.SENT: "They gave them.",
        GiftDirection.RECEIVED: "They were given them, or are offered them.",
    },
)


@strawberry.type(description="Points or stored value that are or were set aside.")
class Hold(Node):
    """As it stands now: one past its deadline has ended then."""

    member_id: strawberry.ID = strawberry.field(description="Whose.")
    program: str = strawberry.field(description="Code of the program.")
    currency: CurrencyKind = strawberry.field(description="What is held.")
    purpose: HoldPurpose = strawberry.field(description="What for.")
    state: HoldState = strawberry.field(description="How it stands.")
    amount: Points = strawberry.field(description="How many were held; of stored value, in minor units.")
    remaining: Points = strawberry.field(description="How many of them still are.")
    money: Money | None = strawberry.field(description="Of stored value, the amount as money.")
    money_remaining: Money | None = strawberry.field(description="Of stored value, what is still held, as money.")
    deadline: datetime = strawberry.field(description="Until when; then they are given back by themselves.")
    created_at: datetime = strawberry.field(description="When they were set aside.")
    closed_at: datetime | None = strawberry.field(description="When it ended.")


def hold(row: plain.HoldRecord) -> Hold:
    """A hold for the API."""
    return Hold(
        id=global_id("Hold", row.id),
        member_id=global_id("Member", row.member_id),
        program=row.program,
        currency=row.currency,
        purpose=row.purpose,
        state=row.state,
        amount=Points(row.amount),
        remaining=Points(row.remaining),
        money=money_in(row.amount, row.money),
        money_remaining=money_in(row.remaining, row.money),
        deadline=row.deadline,
        created_at=row.created_at,
        closed_at=row.closed_at,
    )


@by_id("Hold")
async def _hold_by_id(context: Context, hold_id: UUID) -> Hold:
    read, now = context.together.load, context.now
    return hold(await queries.get_hold(context.actor, hold_id, read=read, now=now))


@strawberry.type(description="Points from one member to another.")
class Gift(Node):
    """As it stands now: an offer past its deadline has ended then."""

    program: str = strawberry.field(description="Code of the program.")
    sender_id: strawberry.ID = strawberry.field(description="Who gave it.")
    recipient_id: strawberry.ID = strawberry.field(description="Who was to get it.")
    amount: Points = strawberry.field(description="How many points.")
    fee: Points = strawberry.field(description="What it cost the sender beside that.")
    state: GiftState = strawberry.field(description="How it stands.")
    message: str | None = strawberry.field(description="The sender's words, as long as they are kept.")
    deadline: datetime | None = strawberry.field(description="Until when it can or could be accepted.")
    created_at: datetime = strawberry.field(description="When it was given or offered.")
    decided_at: datetime | None = strawberry.field(description="When it was accepted, or ended otherwise.")


def gift(row: plain.GiftRecord) -> Gift:
    """A gift for the API."""
    return Gift(
        id=global_id("Gift", row.id),
        program=row.program,
        sender_id=global_id("Member", row.sender_id),
        recipient_id=global_id("Member", row.recipient_id),
        amount=Points(row.amount),
        fee=Points(row.fee),
        state=row.state,
        message=row.message,
        deadline=row.deadline,
        created_at=row.created_at,
        decided_at=row.decided_at,
    )


@by_id("Gift")
async def _gift_by_id(context: Context, gift_id: UUID) -> Gift:
    read, now = context.together.load, context.now
    return gift(await queries.get_gift(context.actor, gift_id, read=read, now=now))


@strawberry.type
class HoldsQuery:
    """Reads of holds and gifts."""

    @field(
        "A member's holds of points and stored value in all programs, newest first. "
        "Roles: the member, STAFF, MODERATOR, ADMIN, SERVICE. Scope: points:read."
    )
    async def holds(
        self,
        info: Info,
        member_id: Annotated[strawberry.ID, strawberry.argument(description="Whose.")],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        state: Annotated[HoldState | None, strawberry.argument(description="Only those that stand so.")] = None,
    ) -> Connection[Hold]:
        """See engage.domains.ledger.queries.list_holds."""
        page = await queries.list_holds(
            context_of(info).actor,
            local_id("Member", member_id, path=["memberId"]),
            state,
            window(first, last, after, before),
        )
        return connection(page, hold)

    @field(
        "Gifts that a member has sent, or those to them, in all programs, newest first. "
        "Roles: the member, STAFF, MODERATOR, ADMIN, SERVICE. Scope: points:read."
    )
    async def gifts(
        self,
        info: Info,
        member_id: Annotated[strawberry.ID, strawberry.argument(description="Whose.")],
        direction: Annotated[GiftDirection, strawberry.argument(description="Which of them.")],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        state: Annotated[GiftState | None, strawberry.argument(description="Only those that stand so.")] = None,
    ) -> Connection[Gift]:
        """See engage.domains.ledger.queries.list_gifts."""
        page = await queries.list_gifts(
            context_of(info).actor,
            local_id("Member", member_id, path=["memberId"]),
            direction,
            state,
            window(first, last, after, before),
        )
        return connection(page, gift)
