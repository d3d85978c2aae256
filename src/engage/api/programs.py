"""The organisation: programs, stores and channels, and a program's figures."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.errors import AlreadyExists, Forbidden, InvalidInput, NotFound, OutcomeUnknown
from engage.api.fields import field, mutation
from engage.api.ledger import DEFAULT_PROGRAM
from engage.api.ledger import Program as ProgramCode
from engage.api.node_kinds import Node, by_id
from engage.api.purchases import Money, money
from engage.api.relay import global_id
from engage.api.scalars import Amount, Points
from engage.domains.ledger import queries as ledger
from engage.domains.members import queries, service
from engage.domains.members import types as plain
from engage.domains.purchases import queries as purchases


@strawberry.type(description="A store or a channel: data that orders refer to by code.")
class Place(Node):
    """Code and name."""

    code: str = strawberry.field(description="What orders name it by.")
    name: str = strawberry.field(description="What people call it.")


@strawberry.type(description="A brand, a region or a line of business, with its own points, rules and calendar.")
class Program(Node):
    """Settings of a program."""

    code: str = strawberry.field(description="What commands name it by.")
    name: str = strawberry.field(description="What people call it.")
    time_zone: str = strawberry.field(description="IANA name; calendar days are counted here.")
    money_currency: str = strawberry.field(description="ISO 4217; its purchases are in this currency.")
    points_per_unit: Amount = strawberry.field(description="Points for one whole unit of money.")
    points_valid_for: str | None = strawberry.field(
        description="ISO 8601 duration, null for never; holds until a points policy is published, see pointsPolicy."
    )
    created_at: datetime = strawberry.field(description="When it was set up.")

    @field("Its stores. Roles: STAFF, MODERATOR, ADMIN, SERVICE. Scope: members:read.")
    async def stores(self, info: Info) -> list[Place]:
        """By code."""
        return [_place("Store", one) for one in await queries.list_stores(context_of(info).actor, self.code)]


def _program(record: plain.ProgramRecord) -> Program:
    return Program(
        id=global_id("Program", record.id),
        code=record.code,
        name=record.name,
        time_zone=record.time_zone,
        money_currency=record.money_currency,
        points_per_unit=Amount(record.points_per_unit),
        points_valid_for=record.points_valid_for,
        created_at=record.created_at,
    )


def _place(kind: str, record: plain.PlaceRecord) -> Place:
    return Place(id=global_id(kind, record.id), code=record.code, name=record.name)


@by_id("Program")
async def _program_by_id(context: Context, program_id: UUID) -> Program:
    return _program(await queries.get_program_by_id(program_id, read=context.together.load))


@by_id("Store")
async def _store_by_id(context: Context, store_id: UUID) -> Place:
    return _place("Store", await queries.get_store(context.actor, store_id, read=context.together.load))


@by_id("Channel")
async def _channel_by_id(context: Context, channel_id: UUID) -> Place:
    return _place("Channel", await queries.get_channel(channel_id, read=context.together.load))


@strawberry.type(
    description="Figures of a program, gross of what was reversed: pointsOutstanding is pointsIssued + "
    "pointsAdjusted + pointsExchangedIn + pointsReturned - pointsSpent - pointsExpired - pointsDonated - "
    "pointsForfeited - pointsFees - pointsExchangedOut - pointsClawedBack. Gifts and merges leave it as it is."
)
class ProgramTotals:
    """They reconcile with the ledger: outstanding is what the organisation owes."""

    members: int = strawberry.field(description="Members with an account in the program.")
    purchases: int = strawberry.field(description="Orders on file.")
    spend: Money = strawberry.field(description="What was paid for them.")
    points_issued: Points = strawberry.field(description="Given, ever.")
    points_spent: Points = strawberry.field(description="Spent, ever.")
    points_expired: Points = strawberry.field(description="Lost by expiry, ever.")
    points_reversed: Points = strawberry.field(description="Taken back or given back by reversals, ever.")
    points_donated: Points = strawberry.field(description="Given to good causes, ever.")
    points_forfeited: Points = strawberry.field(description="Taken as penalties, ever.")
    points_adjusted: Points = strawberry.field(description="Added less removed by corrections, ever.")
    points_exchanged_in: Points = strawberry.field(description="Come of points of other programs, ever.")
    points_exchanged_out: Points = strawberry.field(description="Become points of other programs, ever.")
    points_gifted: Points = strawberry.field(description="Given from member to member, ever.")
    points_fees: Points = strawberry.field(description="Paid as fees of gifts, ever.")
    points_clawed_back: Points = strawberry.field(
        description="Taken back since they should not have been given, ever."
    )
    points_returned: Points = strawberry.field(description="Given back by reversals and restorations, ever.")
    points_debt: Points = strawberry.field(description="Owed now by members.")
    points_outstanding: Points = strawberry.field(description="Owed now: available, pending and held, less debt.")


@strawberry.type
class ProgramsQuery:
    """Reads of the organisation."""

    @field("All programs. Any role.")
    async def programs(self, info: Info) -> list[Program]:
        """By code."""
        _ = context_of(info).actor
        return [_program(one) for one in await queries.list_programs()]

    @field("All channels. Any role.")
    async def channels(self, info: Info) -> list[Place]:
        """By code."""
        _ = context_of(info).actor
        return [_place("Channel", one) for one in await queries.list_channels()]

    @field("A program's figures. Role: ADMIN. Scope: reports:read.")
    async def program_totals(self, info: Info, program: ProgramCode = DEFAULT_PROGRAM) -> ProgramTotals | None:
        """Sums over the ledger and the purchases."""
        actor = context_of(info).actor
        points = await ledger.get_program_points(actor, program)
        record = await queries.get_program(program)
        totals = await purchases.get_totals(actor, record.id)
        return ProgramTotals(
            members=points.members,
            purchases=totals.purchases,
            spend=money(totals.spend, record.money_currency),
            points_issued=Points(points.issued),
            points_spent=Points(points.spent),
            points_expired=Points(points.expired),
            points_reversed=Points(points.reversed),
            points_donated=Points(points.donated),
            points_forfeited=Points(points.forfeited),
            points_adjusted=Points(points.adjusted),
            points_exchanged_in=Points(points.exchanged_in),
            points_exchanged_out=Points(points.exchanged_out),
            points_gifted=Points(points.gifted),
            points_fees=Points(points.fees),
            points_clawed_back=Points(points.clawed_back),
            points_returned=Points(points.returned),
            points_debt=Points(points.debt),
            points_outstanding=Points(points.outstanding),
        )


@strawberry.input(description="A new program.")
class CreateProgramInput:
    """See createProgram."""

    code: str = strawberry.field(description="1 to 32 of a-z, 0-9, - and _; never changes.")
    name: str = strawberry.field(description="What people call it.")
    time_zone: str = strawberry.field(description="IANA name, such as Asia/Shanghai.")
    money_currency: str = strawberry.field(description="ISO 4217, such as CNY.")
    points_per_unit: Amount = strawberry.field(
        default=Amount(Decimal(1)), description="Points for one whole unit of money."
    )
    points_valid_for: str | None = strawberry.field(
        default=None, description="ISO 8601 duration such as P12M, until a policy is published; never if left out."
    )


@strawberry.input(description="A new store.")
class CreateStoreInput:
    """See createStore."""

    program: str = strawberry.field(description="Code of its program.")
    code: str = strawberry.field(description="1 to 32 of a-z, 0-9, - and _.")
    name: str = strawberry.field(description="What people call it.")


@strawberry.input(description="A new channel.")
class CreateChannelInput:
    """See createChannel."""

    code: str = strawberry.field(description="1 to 32 of a-z, 0-9, - and _.")
    name: str = strawberry.field(description="What people call it.")


@strawberry.type(description="The program is set up.")
class CreateProgramPayload:
    """See createProgram."""

    program: Program = strawberry.field(description="The new program.")


@strawberry.type(description="The store is there.")
class CreateStorePayload:
    """See createStore."""

    store: Place = strawberry.field(description="The new store.")


@strawberry.type(description="The channel is there.")
class CreateChannelPayload:
    """See createChannel."""

    channel: Place = strawberry.field(description="The new channel.")


CreateProgramResult = Annotated[
    CreateProgramPayload | InvalidInput | Forbidden | AlreadyExists | OutcomeUnknown,
    strawberry.union("CreateProgramResult", description="What createProgram answers."),
]
CreateStoreResult = Annotated[
    CreateStorePayload | InvalidInput | NotFound | Forbidden | AlreadyExists | OutcomeUnknown,
    strawberry.union("CreateStoreResult", description="What createStore answers."),
]
CreateChannelResult = Annotated[
    CreateChannelPayload | InvalidInput | Forbidden | AlreadyExists | OutcomeUnknown,
    strawberry.union("CreateChannelResult", description="What createChannel answers."),
]


@strawberry.type
class ProgramsMutation:
    """Commands of the organisation."""

    @mutation("Set up a program. Role: ADMIN. Scope: programs:write.")
    async def create_program(
        self,
        info: Info,
        data: Annotated[CreateProgramInput, strawberry.argument(name="input", description="The new program.")],
    ) -> CreateProgramResult:
        """See engage.domains.members.service.create_program."""
        record = await service.create_program(
            context_of(info).actor,
            code=data.code,
            name=data.name,
            time_zone=data.time_zone,
            money_currency=data.money_currency,
            points_per_unit=data.points_per_unit,
            points_valid_for=data.points_valid_for,
        )
        return CreateProgramPayload(program=_program(record))

    @mutation("Add a store to a program. Role: ADMIN. Scope: programs:write.")
    async def create_store(
        self,
        info: Info,
        data: Annotated[CreateStoreInput, strawberry.argument(name="input", description="The new store.")],
    ) -> CreateStoreResult:
        """See engage.domains.members.service.create_store."""
        made = await service.create_store(
            context_of(info).actor, program=data.program, code=data.code, name=data.name
        )
        return CreateStorePayload(store=_place("Store", made))

    @mutation("Add a channel to the organisation. Role: ADMIN. Scope: programs:write.")
    async def create_channel(
        self,
        info: Info,
        data: Annotated[CreateChannelInput, strawberry.argument(name="input", description="The new channel.")],
    ) -> CreateChannelResult:
        """See engage.domains.members.service.create_channel."""
        made = await service.create_channel(context_of(info).actor, code=data.code, name=data.name)
        return CreateChannelPayload(channel=_place("Channel", made))
