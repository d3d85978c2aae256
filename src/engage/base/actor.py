"""Who calls, and what they may do. The check is the first line of every command and query."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from engage.base.errors import Forbidden


class Role(StrEnum):
    """What a token makes of its bearer."""

    MEMBER = "MEMBER"
    STAFF = "STAFF"
    MODERATOR = "MODERATOR"
    ADMIN = "ADMIN"
    SERVICE = "SERVICE"


STAFF_ROLES = frozenset({Role.STAFF, Role.ADMIN, Role.SERVICE})
"""Those who work with members' points and purchases: people at the till or desk, and machines for them."""

READING_ROLES = STAFF_ROLES | {Role.MODERATOR}
"""Those who may look at any member."""

PENALTY_ROLES = frozenset({Role.MODERATOR, Role.ADMIN})
"""Those who impose penalties and take them back."""

ADMIN_ROLES = frozenset({Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Actor:
    """The bearer of a token. `id` is the token's subject; `member_id` is set for the role MEMBER alone."""

    id: str
    role: Role
    member_id: UUID | None = None


SYSTEM = Actor(id="system", role=Role.ADMIN)
"""engage itself: jobs, seeds, the command line of the machine's operator."""


def may(actor: Actor, roles: frozenset[Role], *, own: UUID | None = None) -> bool:
    """Whether the actor has one of `roles`, or is the member `own`."""
    return actor.role in roles or (own is not None and actor.role is Role.MEMBER and actor.member_id == own)


def require(actor: Actor, roles: frozenset[Role], *, own: UUID | None = None) -> None:
    """Let pass who has one of `roles`, or is the member `own`.

    Raises Forbidden with the same words whether or not `own` exists, so that nobody learns who is a member.
    """
    if may(actor, roles, own=own):
        return
    needed = ", ".join(sorted(roles))
    raise Forbidden(f"Your role {actor.role} may not do this here; it takes one of: {needed}.")
