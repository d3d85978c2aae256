"""Commands of API keys and revocations. None moves points, so none takes a key: to revoke again is harmless."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.access import KIND, ApiKey, Revocation, key_node, revocation_node
from engage.api.context import context_of
from engage.api.errors import Forbidden, InvalidInput, NotFound, OutcomeUnknown, TooManyApiKeys
from engage.api.fields import mutation
from engage.api.relay import local_id
from engage.base.actor import Role, Scope
from engage.domains.access import service


@strawberry.input(description="A new API key.")
class CreateApiKeyInput:
    """See createApiKey."""

    name: str = strawberry.field(description="What people call it, 1 to 80 characters.")
    role: Role = strawberry.field(description="What it makes of its bearer; not MEMBER.")
    scopes: list[Scope] = strawberry.field(description="What it is confined to: at least one that the role can have.")
    valid_days: int = strawberry.field(
        default=service.VALID_DAYS, description="It opens nothing after so many days, 1 to 366."
    )


@strawberry.input(description="An API key that is to open nothing any more.")
class RevokeApiKeyInput:
    """See revokeApiKey."""

    id: strawberry.ID = strawberry.field(description="The key's id.")


@strawberry.input(description="Tokens that are to be accepted no longer; give exactly one.")
class RevokeTokensInput:
    """See revokeTokens."""

    token_id: str | None = strawberry.field(default=None, description="The claim jti of one token.")
    subject: str | None = strawberry.field(default=None, description="The claim sub of tokens issued by now.")
    member_id: strawberry.ID | None = strawberry.field(
        default=None, description="The member whose tokens were issued by now."
    )


@strawberry.type(description="There is a new API key.")
class CreateApiKeyPayload:
    """See createApiKey."""

    api_key: ApiKey = strawberry.field(description="The new key.")
    secret: str = strawberry.field(description="Send it as the bearer's token; it is not shown again.")


@strawberry.type(description="The API key opens nothing any more.")
class RevokeApiKeyPayload:
    """See revokeApiKey."""

    api_key: ApiKey = strawberry.field(description="As it is now.")


@strawberry.type(description="The tokens are accepted no longer.")
class RevokeTokensPayload:
    """See revokeTokens."""

    revocation: Revocation = strawberry.field(description="What is remembered of it.")


CreateApiKeyResult = Annotated[
    CreateApiKeyPayload | InvalidInput | Forbidden | TooManyApiKeys | OutcomeUnknown,
    strawberry.union("CreateApiKeyResult", description="What createApiKey answers."),
]
RevokeApiKeyResult = Annotated[
    RevokeApiKeyPayload | InvalidInput | NotFound | Forbidden | OutcomeUnknown,
    strawberry.union("RevokeApiKeyResult", description="What revokeApiKey answers."),
]
RevokeTokensResult = Annotated[
    RevokeTokensPayload | InvalidInput | Forbidden | OutcomeUnknown,
    strawberry.union("RevokeTokensResult", description="What revokeTokens answers."),
]


@strawberry.type
class AccessMutation:
    """Commands of access."""

    @mutation(
        "Make an API key for a till or a service, confined to scopes of its role that you have yourself. Its secret"
        " is answered once. Role: ADMIN. Scope: access:write."
    )
    async def create_api_key(
        self,
        info: Info,
        data: Annotated[CreateApiKeyInput, strawberry.argument(name="input", description="The new key.")],
    ) -> CreateApiKeyResult:
        """See engage.domains.access.service.create_key."""
        made = await service.create_key(
            context_of(info).actor, name=data.name, role=data.role, scopes=data.scopes, valid_days=data.valid_days
        )
        return CreateApiKeyPayload(api_key=key_node(made.key), secret=made.secret)

    @mutation(
        "Let an API key open nothing any more: on all gateways within two seconds, and for open sockets too."
        " Role: ADMIN. Scope: access:write."
    )
    async def revoke_api_key(
        self,
        info: Info,
        data: Annotated[RevokeApiKeyInput, strawberry.argument(name="input", description="Which key.")],
    ) -> RevokeApiKeyResult:
        """See engage.domains.access.service.revoke_key."""
        key_id = local_id(KIND, data.id, path=["id"])
        return RevokeApiKeyPayload(api_key=key_node(await service.revoke_key(context_of(info).actor, key_id)))

    @mutation(
        "Accept tokens no longer, one or all that a subject or a member has: on all gateways within two seconds, and"
        " for open sockets too. Tokens that are issued later are accepted. Role: ADMIN. Scope: access:write."
    )
    async def revoke_tokens(
        self,
        info: Info,
        data: Annotated[RevokeTokensInput, strawberry.argument(name="input", description="Whose tokens, or which.")],
    ) -> RevokeTokensResult:
        """See engage.domains.access.service.revoke_tokens."""
        member = None if data.member_id is None else local_id("Member", data.member_id, path=["memberId"])
        made = await service.revoke_tokens(
            context_of(info).actor, token_id=data.token_id, subject=data.subject, member_id=member
        )
        return RevokeTokensPayload(revocation=revocation_node(made))
