"""All writes of the life cycle: one transaction over all domains that have something of the member's."""

from __future__ import annotations

from uuid import UUID

from engage.base import db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.domains.ledger import service as ledger
from engage.domains.ledger.errors import MemberNotActive
from engage.domains.members import rules
from engage.domains.members import service as members
from engage.domains.members.types import MemberRecord, MemberState


@db.command
async def freeze_member(actor: Actor, *, member_id: UUID, reason: str) -> MemberRecord:
    """Let no points go from a member, at once: what they begin from now on is refused, and gifts to them as well.

    Earnings still arrive; expiry and deadlines of holds stand still. A member who is frozen already stays so.
    Raises Forbidden, InvalidInput, NotFound, MemberNotActive. Says MemberFrozen.
    """
    require(actor, STAFF_ROLES, Scope.MEMBERS_WRITE)
    code = rules.check_reason(reason)
    locked = await members.lock_member(member_id)
    if locked.state is MemberState.ACTIVE:
        await members.mark_frozen(locked.id, code)
    elif locked.state is not MemberState.FROZEN:
        raise _not(locked.state)
    return await members.get_record(locked.id)


@db.command
async def thaw_member(actor: Actor, *, member_id: UUID, reason: str) -> MemberRecord:
    """End a freeze: points move again, and ends and deadlines come later by as long as it lasted.

    A member who is active already stays so.
    Raises Forbidden, InvalidInput, NotFound, MemberNotActive. Says MemberThawed.
    """
    require(actor, STAFF_ROLES, Scope.MEMBERS_WRITE)
    code = rules.check_reason(reason)
    locked = await members.lock_member(member_id)
    if locked.frozen_at is not None:
        await members.mark_thawed(locked.id, code)
        await ledger.resume_clocks(locked.id, locked.frozen_at)
    elif locked.state is not MemberState.ACTIVE:
        raise _not(locked.state)
    return await members.get_record(locked.id)


def _not(state: MemberState) -> MemberNotActive:
    return MemberNotActive(f"The member is {state}.", path=["memberId"], state=state)
