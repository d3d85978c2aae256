"""The statement: transfers, and all that can be told of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.enums import CurrencyKind, TransferKind, describe
from engage.api.fields import field
from engage.api.holds import Gift, Hold, gift, hold
from engage.api.ledger import Cause
from engage.api.links import LinkedTransfer, linked_transfer, sees
from engage.api.node_kinds import Node, by_id
from engage.api.purchases import Money
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id
from engage.api.scalars import Points
from engage.api.value import money_in
from engage.base.paging import window
from engage.domains.ledger import queries
from engage.domains.ledger import types as plain
from engage.domains.ledger.queries import records
from engage.domains.ledger.types import AccountKind, Bucket

strawberry.enum(Bucket, description="What an entry changes.")
describe(
    Bucket,
    {
        Bucket.AVAILABLE: "What the member can spend.",
        Bucket.PENDING: "What the member can spend later.",
        Bucket.HELD: "What is set aside.",
        Bucket.DEBT: "What the member owes: below zero where that grows.",
        Bucket.HOUSE: "An account of the house, which takes the other side.",
    },
)
strawberry.enum(AccountKind, description="Whose account takes a side of a transfer.")
describe(
    AccountKind,
    {
        AccountKind.MEMBER: "A member's.",
        AccountKind.ISSUED: "What was given, below zero.",
        AccountKind.REDEEMED: "What was spent.",
        AccountKind.EXPIRED: "What has expired.",
        AccountKind.FORFEITED: "What was taken as a penalty.",
        AccountKind.DONATED: "What was given to good causes.",
        AccountKind.EXCHANGED: "What became points of another program, or came of them.",
        AccountKind.ADJUSTED: "What was corrected.",
        AccountKind.TRANSFERRED: "What is between two members.",
        AccountKind.FEES: "What gifts have cost.",
    },
)


@strawberry.type(description="One leg of a transfer. The legs of a transfer sum to zero.")
class TransferEntry:
    """Of the member's account, or of an account of the house."""

    bucket: Bucket = strawberry.field(description="What it changes.")
    house: AccountKind | None = strawberry.field(description="Of HOUSE, which account.")
    amount: Points = strawberry.field(description="Signed; of stored value, in minor units.")
    balance_after: Points | None = strawberry.field(description="What the bucket held after it; null for the house.")


@strawberry.type(description="Points that a transfer has left a member owing.")
class Debt:
    """As far as payments are posted."""

    transfer_id: strawberry.ID = strawberry.field(description="Global id of the transfer that made it.")
    amount: Points = strawberry.field(description="How many they were.")
    remaining: Points = strawberry.field(description="How many are owed still.")
    forgiven: Points = strawberry.field(description="How many a reversal has taken off.")
    created_at: datetime = strawberry.field(description="Since when.")


@strawberry.type(description="What a transfer changed of one lot.")
class TransferLot:
    """Taken from it, given back to it, or made."""

    lot_id: strawberry.ID = strawberry.field(description="Global id of the lot.")
    amount: Points = strawberry.field(description="Change of what remains of it: below zero where points were taken.")
    held: Points = strawberry.field(description="Change of what is held of it.")


@strawberry.type(description="A movement of a member's points or stored value. Never changed once posted.")
class Transfer(Node):
    """One line of a statement. What it does not say by itself is read together for all lines of a page."""

    record: strawberry.Private[plain.TransferRecord]
    kind: TransferKind = strawberry.field(description="What it does.")
    amount: Points = strawberry.field(
        description="Signed: negative takes points from the member. Of stored value, in minor units."
    )
    reason: str = strawberry.field(description="A code such as PURCHASE or REDEMPTION.")
    cause: Cause | None = strawberry.field(description="What it goes back to.")
    posted_at: datetime = strawberry.field(description="When it was posted.")
    balance_after: Points = strawberry.field(
        description="The member's available points after it. Of stored value, in minor units."
    )
    program: str = strawberry.field(description="Code of the program.")
    currency: CurrencyKind = strawberry.field(description="What its figures are of.")
    money: Money | None = strawberry.field(description="Of stored value, the amount as money.")
    money_after: Money | None = strawberry.field(
        description="Of stored value, what was available after it, as money."
    )

    @field("Its legs, which sum to zero.")
    async def entries(self, info: Info) -> list[TransferEntry]:
        """The member's, and that of the house."""
        return [
            TransferEntry(
                bucket=one.bucket,
                house=one.house,
                amount=Points(one.amount),
                balance_after=None if one.balance_after is None else Points(one.balance_after),
            )
            for one in (await _details(self, info)).entries
        ]

    @field("By how much it changed what the member can spend. Holding 5 points does so by -5, capturing them by 0.")
    async def available_change(self, info: Info) -> Points:
        """The sum of the legs of what is available."""
        return Points((await _details(self, info)).available_change)

    @field("What can still be taken back of it, by one command or another; null where none of them takes its kind.")
    async def left_to_reverse(self, info: Info) -> Points | None:
        """The one figure that all of them share."""
        left = (await _details(self, info)).left_to_reverse
        return None if left is None else Points(left)

    @field("The transfer that it takes back, wholly or in part; null where that is another member's.")
    async def reverses(self, info: Info) -> LinkedTransfer | None:
        """For those who may look at its member."""
        found = (await _details(self, info)).reverses
        actor = context_of(info).actor
        return None if found is None or not sees(actor, found) else linked_transfer(actor, found)

    @field("Those that take it back, in order, a hundred at the most; without those of other members.")
    async def reversals(self, info: Info) -> list[LinkedTransfer]:
        """Of other members for those who may look at them."""
        actor = context_of(info).actor
        found = (await _details(self, info)).reversals
        return [linked_transfer(actor, one) for one in found if sees(actor, one)]

    @field("The other side of a gift, an exchange or a merge.")
    async def counter_movement(self, info: Info) -> LinkedTransfer | None:
        """The two sides of a gift know each other."""
        found = (await _details(self, info)).counterpart
        gave = self.kind in (TransferKind.GIFT, TransferKind.RECEIVE)
        return None if found is None else linked_transfer(context_of(info).actor, found, known_member=gave)

    @field("The hold that it began, captured or gave back.")
    async def hold(self, info: Info) -> Hold | None:
        """As it stands now."""
        found = (await _details(self, info)).hold
        return None if found is None else hold(found)

    @field("The debt that it made, paid or took off.")
    async def debt(self, info: Info) -> Debt | None:
        """As it stands now."""
        found = (await _details(self, info)).debt
        return None if found is None else _debt(found)

    @field("The gift that it belongs to.")
    async def gift(self, info: Info) -> Gift | None:
        """As it stands now."""
        found = (await _details(self, info)).gift
        return None if found is None else gift(found)

    @field("The lots that it took from or gave back to, in order, then those that it made.")
    async def lots(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[TransferLot]:
        """Every point has a way back."""
        asked, load = window(first, last, after, before), context_of(info).together.load
        return connection(await queries.TRANSFER_LOTS.page(load, self.record.id, asked), _share)


async def _details(shown: Transfer, info: Info) -> records.TransferDetails:
    """What a statement does not say, read once for all fields that need it."""
    context = context_of(info)
    found = await context.together.load(queries.TRANSFER_DETAILS, shown.record.id, context.now)
    if found is None:
        raise LookupError(f"Transfer {shown.record.id} is not there any more.")
    return found


def _debt(found: records.DebtRecord) -> Debt:
    return Debt(
        transfer_id=global_id("Transfer", found.id),
        amount=Points(found.amount),
        remaining=Points(found.remaining),
        forgiven=Points(found.forgiven),
        created_at=found.created_at,
    )


def _share(row: records.LotShare) -> TransferLot:
    return TransferLot(lot_id=global_id("Lot", row.lot_id), amount=Points(row.amount), held=Points(row.held))


def transfer(row: plain.TransferRecord) -> Transfer:
    """A line of a statement for the API."""
    return Transfer(
        record=row,
        id=global_id("Transfer", row.id),
        kind=row.kind,
        amount=Points(row.amount),
        reason=row.reason,
        cause=None if row.cause is None else Cause(type=row.cause.type, id=row.cause.id),
        posted_at=row.posted_at,
        balance_after=Points(row.balance_after),
        program=row.program,
        currency=row.currency,
        money=money_in(row.amount, row.money),
        money_after=money_in(row.balance_after, row.money),
    )


@by_id("Transfer")
async def _transfer_by_id(context: Context, transfer_id: UUID) -> Transfer:
    return transfer(await queries.get_transfer(context.actor, transfer_id, read=context.together.load))


@strawberry.type
class StatementsQuery:
    """Reads of transfers."""

    @field(
        "A transfer by id. Errors: NOT_FOUND, FORBIDDEN. Roles: its member, STAFF, MODERATOR, ADMIN, SERVICE."
        " Scope: points:read."
    )
    async def transfer(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Global id.")],  # noqa: A002 -- the API's word
    ) -> Transfer | None:
        """See engage.domains.ledger.queries.get_transfer."""
        return await _transfer_by_id(info, id)
