"""Members: the unified profile, and registration."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of, loading
from engage.api.enums import CurrencyKind, MemberState, TransferKind
from engage.api.errors import (
    Forbidden,
    IdentityTaken,
    InvalidInput,
    OutcomeUnknown,
    UnknownChannel,
)
from engage.api.fields import field, mutation
from engage.api.ledger import (
    DEFAULT_PROGRAM,
    Balance,
    ExpirySchedule,
    Program,
    StoredValueBalance,
    balance,
    expiry_schedule,
)
from engage.api.node_kinds import Node, by_id
from engage.api.notifications import Message, message_node
from engage.api.purchases import Purchase, purchase
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from engage.api.statements import Transfer, transfer
from engage.api.value import stored_value
from engage.base import clock
from engage.base.actor import Actor, Scope
from engage.base.errors import Forbidden as Refused
from engage.base.errors import InvalidInput as InvalidInputRefusal
from engage.base.errors import NotFound as Missing
from engage.base.paging import check_first, window
from engage.domains.ledger import queries as ledger
from engage.domains.members import rules, service
from engage.domains.members import types as plain
from engage.domains.notifications import queries as notifications
from engage.domains.profiles import queries as profiles
from engage.domains.purchases import queries as purchases


@strawberry.type(description="How one channel knows a person.")
class Identity:
    """Unique in its channel."""

    channel: str = strawberry.field(description="Code of the channel.")
    identifier: str = strawberry.field(
        description="What the channel knows the person under, normalised; masked without the scope personal:read."
    )
    verified_at: datetime | None = strawberry.field(description="When it was proved to be theirs.")


@strawberry.input(description="A person as one channel names them.")
class IdentityInput:
    """Channel and identifier."""

    channel: str = strawberry.field(description="Code of a channel, such as card, phone, email or app.")
    identifier: str = strawberry.field(description="1 to 200 characters.")


def identity_ref(given: IdentityInput) -> plain.IdentityRef:
    """The identity for a command or query."""
    return plain.IdentityRef(given.channel, given.identifier)


@strawberry.type(description="A person, once for the whole organisation whatever the channel.")
class Member(Node):
    """The unified profile, with what the caller's scopes let them see of it."""

    record: strawberry.Private[plain.MemberRecord]
    state: MemberState = strawberry.field(description="What the member may do.")
    masked: bool = strawberry.field(
        description="Whether what is personal is left out or masked: the token lacks the scope personal:read."
    )
    display_name: str | None = strawberry.field(description="What to call them. Null where masked.")
    locale: str = strawberry.field(description="Language of texts for them, such as zh-CN.")
    birthday: date | None = strawberry.field(description="Day of birth. Null where masked.")
    created_at: datetime = strawberry.field(description="When they registered.")
    identities: list[Identity] = strawberry.field(description="What the channels know them under.")

    @field("Points in a program; all zero where none have ever moved. Scope: points:read.")
    async def balance(self, info: Info, program: Program = DEFAULT_PROGRAM) -> Balance:
        """Effective: right now, however late the sweep is."""
        load = loading(info, Scope.POINTS_READ)
        return balance(await load(ledger.BALANCES, self.record.id, program, clock.now()))

    @field("What `balance` said at a moment that is past, whatever has been posted since. Scope: points:read.")
    async def balance_as_of(
        self,
        info: Info,
        at: Annotated[datetime, strawberry.argument(description="The moment, with what was posted at it.")],
        program: Program = DEFAULT_PROGRAM,
    ) -> Balance:
        """Effective, too: right, however late or early the sweep was."""
        load = loading(info, Scope.POINTS_READ)
        return balance(await load(ledger.BALANCES_AT, self.record.id, program, ledger.moment_past(at)))

    @field(
        "Money that was paid in, in a program; all zero where none ever was. Errors: NOT_FOUND. Scope: points:read."
    )
    async def stored_value(
        self,
        info: Info,
        program: Program = DEFAULT_PROGRAM,
        at: Annotated[
            datetime | None, strawberry.argument(description="As it was at a moment that is past; now if left out.")
        ] = None,
    ) -> StoredValueBalance:
        """Effective: right, however late the sweep is."""
        moment = None if at is None else ledger.moment_past(at)
        load = loading(info, Scope.POINTS_READ)
        found = await load(ledger.STORED_VALUES, self.record.id, program, moment, clock.now())
        if found is None:
            raise Missing(f"There is no program {program!r}.", path=["program"])
        return stored_value(found)

    @field("What expires when. Scope: points:read.")
    async def expiry_schedule(
        self,
        info: Info,
        program: Program = DEFAULT_PROGRAM,
        first: Annotated[int, strawberry.argument(description="How many days to list, 1 to 100.")] = 12,
    ) -> ExpirySchedule:
        """Adds up to the available points."""
        load = loading(info, Scope.POINTS_READ)
        found = await load(ledger.SCHEDULES, self.record.id, program, check_first(first), clock.now())
        return expiry_schedule(found)

    @field("The statement of a program, newest first. Scope: points:read.")
    async def transactions(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        program: Program = DEFAULT_PROGRAM,
        currency: Annotated[
            CurrencyKind, strawberry.argument(description="That of points, or of stored value.")
        ] = CurrencyKind.POINTS,
        kinds: Annotated[
            list[TransferKind] | None, strawberry.argument(description="Only of these kinds; of all if left out.")
        ] = None,
        begin: Annotated[
            datetime | None, strawberry.argument(name="from", description="Only what was posted then or later.")
        ] = None,
        end: Annotated[
            datetime | None, strawberry.argument(name="to", description="Only what was posted before this moment.")
        ] = None,
    ) -> Connection[Transfer]:
        """Every movement, with the balance after it."""
        asked, load = window(first, last, after, before), loading(info, Scope.POINTS_READ)
        ledger.check_span(begin, end)
        wanted = None if kinds is None else tuple(kinds)
        page = await ledger.STATEMENTS.page(load, self.record.id, asked, program, currency, wanted, begin, end)
        return connection(page, transfer)

    @field("Orders in all programs, newest first. Scope: purchases:read.")
    async def purchases(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Purchase]:
        """With the points that each has earned."""
        asked, load = window(first, last, after, before), loading(info, Scope.PURCHASES_READ)
        return connection(await purchases.PURCHASES.page(load, self.record.id, asked), purchase)

    @field("The in-app inbox, newest first. Scope: members:read.")
    async def messages(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        unread_only: Annotated[bool, strawberry.argument(description="Leave out what has been read.")] = False,  # noqa: FBT002 -- GraphQL names its arguments
        locale: Annotated[
            str | None, strawberry.argument(description="Language of the texts; the member's if left out.")
        ] = None,
    ) -> Connection[Message]:
        """In the member's language unless another is asked for."""
        asked, load = window(first, last, after, before), loading(info, Scope.MEMBERS_READ)
        page = await notifications.MESSAGES.page(load, self.record.id, asked, unread_only)
        language = locale or self.record.locale
        return connection(page, lambda row: message_node(row, language))

    @field("How many messages are unread. Scope: members:read.")
    async def unread_count(self, info: Info) -> int:
        """For a badge."""
        return await loading(info, Scope.MEMBERS_READ)(notifications.UNREAD, self.record.id)


def member_node(actor: Actor, found: plain.MemberRecord) -> Member:
    """A member for the API, as this actor may see them."""
    record = rules.shown_to(actor, found)
    return Member(
        record=record,
        masked=record.masked,
        id=global_id("Member", record.id),
        state=record.state,
        display_name=record.display_name,
        locale=record.locale,
        birthday=record.birthday,
        created_at=record.created_at,
        identities=[
            Identity(channel=one.channel, identifier=one.identifier, verified_at=one.verified_at)
            for one in record.identities
        ],
    )


@by_id("Member")
async def _member_by_id(context: Context, member_id: UUID) -> Member:
    return member_node(
        context.actor, await profiles.get_profile(context.actor, member_id, read=context.together.load)
    )


@strawberry.type
class MembersQuery:
    """Reads of members."""

    @field("The member whose token this is. Role: MEMBER. Scope: members:read.")
    async def me(self, info: Info) -> Member | None:
        """Raises Forbidden for others' tokens."""
        actor = context_of(info).actor
        if actor.member_id is None:
            raise Refused("This token is not a member's; ask for member(id:) instead.")
        return member_node(actor, await profiles.get_profile(actor, actor.member_id))

    @field(
        "A member by id or by identity; give exactly one. Errors: NOT_FOUND, FORBIDDEN. "
        "Roles: the member, STAFF, MODERATOR, ADMIN, SERVICE. Scope: members:read."
    )
    async def member(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Global id.")] = None,  # noqa: A002 -- the API's word
        identity: Annotated[
            IdentityInput | None, strawberry.argument(description="What a channel knows the person under.")
        ] = None,
    ) -> Member | None:
        """One round trip; what is asked of the member takes one more, however much it is."""
        actor = context_of(info).actor
        if (id is None) == (identity is None):
            raise InvalidInputRefusal("Name the member by id or by identity, one of the two.", path=["id"])
        if id is not None:
            return member_node(actor, await profiles.get_profile(actor, local_id("Member", id, path=["id"])))
        if identity is not None:
            return member_node(actor, await profiles.get_profile_by_identity(actor, identity_ref(identity)))
        return None


@strawberry.input(description="A new member.")
class RegisterMemberInput:
    """See registerMember."""

    identities: list[IdentityInput] = strawberry.field(description="1 to 20; each unique in its channel.")
    display_name: str | None = strawberry.field(default=None, description="What to call them.")
    locale: str = strawberry.field(default=service.DEFAULT_LOCALE, description="Language of texts, such as zh-CN.")
    birthday: date | None = strawberry.field(default=None, description="Day of birth.")


@strawberry.type(description="The member is registered.")
class RegisterMemberPayload:
    """See registerMember."""

    member: Member = strawberry.field(description="The new member.")


RegisterMemberResult = Annotated[
    RegisterMemberPayload | InvalidInput | Forbidden | IdentityTaken | UnknownChannel | OutcomeUnknown,
    strawberry.union("RegisterMemberResult", description="What registerMember answers."),
]


@strawberry.type
class MembersMutation:
    """Commands of members."""

    @mutation(
        "Register a person under their identities. Repeated, it answers IDENTITY_TAKEN. Roles: STAFF, ADMIN, SERVICE."
        " Scope: members:write."
    )
    async def register_member(
        self,
        info: Info,
        data: Annotated[RegisterMemberInput, strawberry.argument(name="input", description="The new member.")],
    ) -> RegisterMemberResult:
        """See engage.domains.members.service.register_member."""
        record = await service.register_member(
            context_of(info).actor,
            identities=[identity_ref(one) for one in data.identities],
            display_name=data.display_name,
            locale=data.locale,
            birthday=data.birthday,
        )
        return RegisterMemberPayload(member=member_node(context_of(info).actor, record))
