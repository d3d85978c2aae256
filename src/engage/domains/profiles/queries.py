"""The unified profile: one statement finds a member, whatever they are named by."""

from __future__ import annotations

from uuid import UUID

import orjson

from engage.base import db
from engage.base.actor import READING_ROLES, Actor, Role, Scope, require
from engage.base.errors import Forbidden, NotFound
from engage.base.readings import Read, read_alone, there
from engage.domains.members.queries import PROFILES
from engage.domains.members.rules import normalise_identifier
from engage.domains.members.types import IdentityRef, MemberRecord

_BY_IDENTITY = """
SELECT p.value FROM engage.members_by_identity($1, $2) i, engage.members_profiles(ARRAY[i.member_id]) p
"""


async def get_profile(actor: Actor, member_id: UUID, *, read: Read = read_alone) -> MemberRecord:
    """A member's profile by id. Raises Forbidden, NotFound."""
    require(actor, READING_ROLES, Scope.MEMBERS_READ, own=member_id)
    return there(await read(PROFILES, member_id), "member")


async def get_profile_by_identity(actor: Actor, ref: IdentityRef) -> MemberRecord:
    """A member's profile by what one channel knows them under.

    Raises NotFound, and Forbidden to a member who asks for anyone else, whether or not there is such a person.
    """
    require(actor, READING_ROLES, Scope.MEMBERS_READ, own=actor.member_id)
    clean = normalise_identifier(ref.channel, ref.identifier)
    value = await db.fetch_value(_BY_IDENTITY, [ref.channel], [clean])
    member = None if value is None else PROFILES.decode(orjson.loads(value))
    if actor.role is Role.MEMBER and (member is None or member.id != actor.member_id):
        raise Forbidden("Your role MEMBER may look up yourself only.")
    if member is None:
        raise NotFound("Nobody is known under this identity.", path=["identity"])
    return member
