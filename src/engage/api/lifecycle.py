"""What happens to a member as a whole: freezes and thaws."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.errors import Forbidden, InvalidInput, MemberNotActive, NotFound, OutcomeUnknown
from engage.api.fields import mutation
from engage.api.members import Member, member_node
from engage.api.relay import local_id
from engage.domains.lifecycle import service


@strawberry.input(description="A member whose points are to stand still.")
class FreezeMemberInput:
    """See freezeMember."""

    member_id: strawberry.ID = strawberry.field(description="Who.")
    reason: str = strawberry.field(description="A code of A-Z, 0-9 and _, such as ACCOUNT_TAKEOVER.")


@strawberry.input(description="A member whose points are to move again.")
class ThawMemberInput:
    """See thawMember."""

    member_id: strawberry.ID = strawberry.field(description="Who.")
    reason: str = strawberry.field(description="A code of A-Z, 0-9 and _, such as OWNER_CONFIRMED.")


@strawberry.type(description="The member is frozen.")
class FreezeMemberPayload:
    """See freezeMember."""

    member: Member = strawberry.field(description="As they are now.")


@strawberry.type(description="The member is not frozen any more.")
class ThawMemberPayload:
    """See thawMember."""

    member: Member = strawberry.field(description="As they are now.")


FreezeMemberResult = Annotated[
    FreezeMemberPayload | InvalidInput | NotFound | Forbidden | MemberNotActive | OutcomeUnknown,
    strawberry.union("FreezeMemberResult", description="What freezeMember answers."),
]
ThawMemberResult = Annotated[
    ThawMemberPayload | InvalidInput | NotFound | Forbidden | MemberNotActive | OutcomeUnknown,
    strawberry.union("ThawMemberResult", description="What thawMember answers."),
]


@strawberry.type
class LifecycleMutation:
    """Commands of the life cycle."""

    @mutation(
        "Let no points go from a member, at once; earnings still arrive, expiry and deadlines stand still. "
        "Repeated, it answers the same. Roles: STAFF, ADMIN, SERVICE. Scope: members:write."
    )
    async def freeze_member(
        self,
        info: Info,
        data: Annotated[FreezeMemberInput, strawberry.argument(name="input", description="Who and why.")],
    ) -> FreezeMemberResult:
        """See engage.domains.lifecycle.service.freeze_member."""
        record = await service.freeze_member(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            reason=data.reason,
        )
        return FreezeMemberPayload(member=member_node(context_of(info).actor, record))

    @mutation(
        "End a freeze: points move again, and what would have expired meanwhile has as much longer. "
        "Repeated, it answers the same. Roles: STAFF, ADMIN, SERVICE. Scope: members:write."
    )
    async def thaw_member(
        self,
        info: Info,
        data: Annotated[ThawMemberInput, strawberry.argument(name="input", description="Who and why.")],
    ) -> ThawMemberResult:
        """See engage.domains.lifecycle.service.thaw_member."""
        record = await service.thaw_member(
            context_of(info).actor,
            member_id=local_id("Member", data.member_id, path=["memberId"]),
            reason=data.reason,
        )
        return ThawMemberPayload(member=member_node(context_of(info).actor, record))
