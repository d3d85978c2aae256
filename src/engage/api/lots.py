"""Lots as the API shows them: how much is left of what came at once, and the way of every point."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.enums import CurrencyKind, LotState, TransferKind
from engage.api.fields import field
from engage.api.ledger import DEFAULT_PROGRAM
from engage.api.ledger import Program as ProgramCode
from engage.api.links import LinkedTransfer, linked_transfer, sees
from engage.api.node_kinds import Node, by_id
from engage.api.purchases import Money
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from engage.api.scalars import Points
from engage.api.value import money_in
from engage.base.actor import Actor
from engage.base.paging import window
from engage.domains.ledger import queries
from engage.domains.ledger.queries import records


@strawberry.type(description="A movement of a lot.")
class LotMovement:
    """The first made it."""

    transfer_id: strawberry.ID = strawberry.field(description="Global id of the transfer that moved it.")
    kind: TransferKind = strawberry.field(description="What that does.")
    reason: str = strawberry.field(description="A code such as PURCHASE or REDEMPTION.")
    amount: Points = strawberry.field(
        description="Change of what remains of the lot; of stored value, in minor units."
    )
    held: Points = strawberry.field(description="Change of what is held of it.")
    posted_at: datetime = strawberry.field(description="When it was posted.")


def _movement(row: records.LotMove) -> LotMovement:
    return LotMovement(
        transfer_id=global_id("Transfer", row.transfer_id),
        kind=row.kind,
        reason=row.reason,
        amount=Points(row.amount),
        held=Points(row.held),
        posted_at=row.posted_at,
    )


@strawberry.type(description="A lot that another one came from or went to.")
class LotLink:
    """Ids are there for those who may look at its member."""

    lot_id: strawberry.ID | None = strawberry.field(description="Global id; null where it is another member's.")
    amount: Points = strawberry.field(description="How many points came into it.")
    source: LinkedTransfer = strawberry.field(description="The transfer that made it.")


def _link(actor: Actor, row: records.LotLink) -> LotLink:
    return LotLink(
        lot_id=global_id("Lot", row.id) if sees(actor, row.source) else None,
        amount=Points(row.amount),
        source=linked_transfer(actor, row.source),
    )


@strawberry.type(description="Points or stored value that came at once and expire at once, as they stand now.")
class Lot(Node):
    """What remains of the open lots of a program adds up to the available points."""

    record: strawberry.Private[records.LotRecord]
    member_id: strawberry.ID = strawberry.field(description="Whose.")
    program: str = strawberry.field(description="Code of the program.")
    currency: CurrencyKind = strawberry.field(description="What its figures are of.")
    state: LotState = strawberry.field(description="Whether it can be used.")
    amount: Points = strawberry.field(description="What came; of stored value, in minor units.")
    remaining: Points = strawberry.field(description="What can be used of it, now or later.")
    held: Points = strawberry.field(description="What holds have set aside of it.")
    money: Money | None = strawberry.field(description="Of stored value, the amount as money.")
    money_remaining: Money | None = strawberry.field(description="Of stored value, what remains, as money.")
    earned_at: datetime = strawberry.field(description="When it was earned, before all gifts and exchanges.")
    usable_at: datetime | None = strawberry.field(description="From when it can be used; null until it is confirmed.")
    expires_at: datetime | None = strawberry.field(description="When it expires; null is never.")
    times_given: int = strawberry.field(description="How often it was given from member to member.")
    source: LinkedTransfer = strawberry.field(description="The transfer that made it.")

    @field("What moved it, in order: first what made it. What time does is in it once that is posted.")
    async def history(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[LotMovement]:
        """Adds up to what remains and is held, as far as it is posted."""
        asked, load = window(first, last, after, before), context_of(info).together.load
        return connection(await queries.LOT_HISTORIES.page(load, self.record.id, asked), _movement)

    @field(
        "The lots that it comes from, by gifts, exchanges, merges and reissues, back to the first; a hundred at most."
    )
    async def origins(self, info: Info) -> list[LotLink]:
        """The nearest first."""
        context = context_of(info)
        found = await context.together.load(queries.LOT_ORIGINS, self.record.id)
        return [_link(context.actor, row) for row in found]

    @field("The lots that came of it at once, by gifts, exchanges, merges and reissues, in order.")
    async def successors(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[LotLink]:
        """Ask those for theirs."""
        asked, context = window(first, last, after, before), context_of(info)
        page = await queries.LOT_SUCCESSORS.page(context.together.load, self.record.id, asked)
        return connection(page, lambda row: _link(context.actor, row))


def _lot(actor: Actor, row: records.LotRecord) -> Lot:
    return Lot(
        record=row,
        id=global_id("Lot", row.id),
        member_id=global_id("Member", row.member_id),
        program=row.program,
        currency=row.currency,
        state=row.state,
        amount=Points(row.amount),
        remaining=Points(row.remaining),
        held=Points(row.held),
        money=money_in(row.amount, row.money),
        money_remaining=money_in(row.remaining, row.money),
        earned_at=row.earned_at,
        usable_at=row.usable_at,
        expires_at=row.expires_at,
        times_given=row.hops,
        source=linked_transfer(actor, row.source),
    )


@by_id("Lot")
async def _lot_by_id(context: Context, lot_id: UUID) -> Lot:
    read, now = context.together.load, context.now
    return _lot(context.actor, await queries.get_lot(context.actor, lot_id, read=read, now=now))


@strawberry.type
class LotsQuery:
    """Reads of lots."""

    @field(
        "A member's lots in a program, newest first, the used up ones too. "
        "Roles: the member, STAFF, MODERATOR, ADMIN, SERVICE. Scope: points:read."
    )
    async def lots(
        self,
        info: Info,
        member_id: Annotated[strawberry.ID, strawberry.argument(description="Whose.")],
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        program: ProgramCode = DEFAULT_PROGRAM,
        currency: Annotated[
            CurrencyKind, strawberry.argument(description="Those of points, or of stored value.")
        ] = CurrencyKind.POINTS,
    ) -> Connection[Lot]:
        """See engage.domains.ledger.queries.list_lots."""
        actor = context_of(info).actor
        member, asked = local_id("Member", member_id, path=["memberId"]), window(first, last, after, before)
        page = await queries.list_lots(actor, member, program, currency, asked)
        return connection(page, lambda row: _lot(actor, row))

    @field(
        "A lot by id. Errors: NOT_FOUND, FORBIDDEN. Roles: its member, STAFF, MODERATOR, ADMIN, SERVICE."
        " Scope: points:read."
    )
    async def lot(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Global id.")],  # noqa: A002 -- the API's word
    ) -> Lot | None:
        """See engage.domains.ledger.queries.get_lot."""
        return await _lot_by_id(info, id)
