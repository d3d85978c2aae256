"""API keys and revocations as the API shows them; their commands are in access_commands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.enums import describe
from engage.api.fields import field
from engage.api.node_kinds import Node, by_id
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id
from engage.base.actor import Role, Scope
from engage.base.grants import Mark
from engage.base.paging import window
from engage.domains.access import queries
from engage.domains.access.types import KeyRecord, KeyState, RevocationRecord

KIND = "ApiKey"

strawberry.enum(Role, description="What a token or an API key makes of its bearer.")
describe(
    Role,
    {
        Role.MEMBER: "A member's own app.",
        Role.STAFF: "People at a till or desk.",
        Role.MODERATOR: "Those who look into cases.",
        Role.ADMIN: "Those who run the program.",
        Role.SERVICE: "A till, a shop, a program.",
    },
)

strawberry.enum(Scope, description="A part of what a role may do, to which tokens and API keys can be confined.")
describe(
    Scope,
    {
        Scope.MEMBERS_READ: "members:read: profiles, without what is personal; stores.",
        Scope.MEMBERS_WRITE: "members:write: register, freeze and thaw members; mark messages as read.",
        Scope.PERSONAL_READ: "personal:read: names, birthdays and identities of members, unmasked.",
        Scope.POINTS_READ: "points:read: balances, statements, lots, holds, gifts, top-ups, corrections.",
        Scope.POINTS_WRITE: "points:write: all that moves points and stored value, but penalties.",
        Scope.PENALTIES_WRITE: "penalties:write: deduct points and restore them.",
        Scope.PURCHASES_READ: "purchases:read: what members bought.",
        Scope.PURCHASES_WRITE: "purchases:write: record purchases.",
        Scope.PROGRAMS_WRITE: "programs:write: programs, stores, channels, policies and rates.",
        Scope.REPORTS_READ: "reports:read: totals of a program.",
        Scope.JOBS_READ: "jobs:read: jobs and how they do.",
        Scope.JOBS_WRITE: "jobs:write: retry, pause, cancel and discard jobs.",
        Scope.WEBHOOKS_READ: "webhooks:read: webhook endpoints and how they do.",
        Scope.WEBHOOKS_WRITE: "webhooks:write: set up webhook endpoints.",
        Scope.ACCESS_READ: "access:read: API keys and revocations.",
        Scope.ACCESS_WRITE: "access:write: make and revoke API keys, revoke tokens.",
        Scope.AUDIT_READ: "audit:read: who did what.",
    },
)

strawberry.enum(KeyState, name="ApiKeyState", description="Whether an API key opens anything.")
describe(
    KeyState,
    {
        KeyState.ACTIVE: "It does.",
        KeyState.EXPIRED: "Its time is over.",
        KeyState.REVOKED: "It was revoked.",
    },
)

strawberry.enum(Mark, name="RevocationKind", description="What is no longer accepted.")
describe(
    Mark,
    {
        Mark.TOKEN: "One token, by its claim jti.",
        Mark.SUBJECT: "All tokens of a subject that were issued by then.",
        Mark.MEMBER: "All tokens of a member that were issued by then.",
        Mark.KEY: "An API key.",
    },
)


@strawberry.type(description="What a till or a service comes with, as the bearer's token; without its secret.")
class ApiKey(Node):
    """As it stands."""

    actor_id: str = strawberry.field(description="Who it is in the records of what it did: key:<UUID>.")
    name: str = strawberry.field(description="What people call it.")
    role: Role = strawberry.field(description="What it makes of its bearer.")
    scopes: list[Scope] = strawberry.field(description="What it is confined to.")
    state: KeyState = strawberry.field(description="Whether it opens anything.")
    created_at: datetime = strawberry.field(description="When it was made.")
    created_by: str = strawberry.field(description="Who made it.")
    expires_at: datetime = strawberry.field(description="It opens nothing from then on.")
    last_used_at: datetime | None = strawberry.field(description="When it was last used, right to about a minute.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked.")
    revoked_by: str | None = strawberry.field(description="Who revoked it.")


@strawberry.type(description="Something that is no longer accepted.")
class Revocation(Node):
    """Kept until all that it is about has expired."""

    kind: Mark = strawberry.field(description="What `value` is.")
    value: str = strawberry.field(description="A token's jti, a subject, or the UUID of a member or of an API key.")
    revoked_at: datetime = strawberry.field(description="When; of a subject or member it is what was issued by then.")
    revoked_by: str = strawberry.field(description="Who revoked it.")


def key_node(record: KeyRecord) -> ApiKey:
    """An API key for the API."""
    return ApiKey(
        id=global_id(KIND, record.id),
        actor_id=record.actor_id,
        name=record.name,
        role=record.role,
        scopes=list(record.scopes),
        state=record.state,
        created_at=record.created_at,
        created_by=record.created_by,
        expires_at=record.expires_at,
        last_used_at=record.last_used_at,
        revoked_at=record.revoked_at,
        revoked_by=record.revoked_by,
    )


def revocation_node(record: RevocationRecord) -> Revocation:
    """A revocation for the API."""
    return Revocation(
        id=global_id("Revocation", record.id),
        kind=record.mark,
        value=record.value,
        revoked_at=record.revoked_at,
        revoked_by=record.revoked_by,
    )


@by_id(KIND)
async def _key_by_id(context: Context, key_id: UUID) -> ApiKey:
    return key_node(await queries.get_key(context.actor, key_id, read=context.together.load))


@by_id("Revocation")
async def _revocation_by_id(context: Context, revocation_id: UUID) -> Revocation:
    found = await queries.get_revocation(context.actor, revocation_id, read=context.together.load)
    return revocation_node(found)


@strawberry.type
class AccessQuery:
    """Reads of access."""

    @field("API keys, newest first, also those that open nothing any more. Role: ADMIN. Scope: access:read.")
    async def api_keys(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ApiKey]:
        """Without their secrets, which nobody has but their bearers."""
        page = await queries.list_keys(context_of(info).actor, window(first, last, after, before))
        return connection(page, key_node)

    @field("An API key by id. Errors: NOT_FOUND. Role: ADMIN. Scope: access:read.")
    async def api_key(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],  # noqa: A002 -- the API's name
    ) -> ApiKey | None:
        """As it stands."""
        return await _key_by_id(info, id)

    @field("What is no longer accepted, newest first. Role: ADMIN. Scope: access:read.")
    async def revocations(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Revocation]:
        """Until all that each is about has expired."""
        page = await queries.list_revocations(context_of(info).actor, window(first, last, after, before))
        return connection(page, revocation_node)
