"""Who calls, and what they may do. The check is the first line of every command and query."""

from __future__ import annotations

from collections.abc import Iterable
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


class Scope(StrEnum):
    """A part of what a role may do, to which tokens and API keys can be confined."""

    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    PERSONAL_READ = "personal:read"
    POINTS_READ = "points:read"
    POINTS_WRITE = "points:write"
    PENALTIES_WRITE = "penalties:write"
    PURCHASES_READ = "purchases:read"
    PURCHASES_WRITE = "purchases:write"
    PROGRAMS_WRITE = "programs:write"
    REPORTS_READ = "reports:read"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    ACCESS_READ = "access:read"
    ACCESS_WRITE = "access:write"
    AUDIT_READ = "audit:read"


_LOOKING = frozenset({Scope.MEMBERS_READ, Scope.POINTS_READ, Scope.PURCHASES_READ})
_WORKING = _LOOKING | {Scope.MEMBERS_WRITE, Scope.PERSONAL_READ, Scope.POINTS_WRITE, Scope.PURCHASES_WRITE}

SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.MEMBER: _WORKING - {Scope.PURCHASES_WRITE},
    Role.STAFF: _WORKING,
    Role.SERVICE: _WORKING,
    Role.MODERATOR: _LOOKING | {Scope.PENALTIES_WRITE, Scope.PERSONAL_READ},
    Role.ADMIN: frozenset(Scope),
}
"""What each role can be given at most."""

UNASKED: dict[Role, frozenset[Scope]] = SCOPES_OF | {
    # Who judges a case seldom needs to know a person's telephone: a token for that says so.
    Role.MODERATOR: SCOPES_OF[Role.MODERATOR] - {Scope.PERSONAL_READ}
}
"""What it has where its token names no scopes."""


def scopes_of(role: Role, named: Iterable[str]) -> frozenset[Scope]:
    """The scopes that a bearer has with this role whose token names these.

    Who may write may read: commands answer what they changed. Words that are no scope of engage, and scopes beyond
    the role, give nothing.
    """
    words = set(named)
    return SCOPES_OF[role].intersection(words | {word.replace(":write", ":read") for word in words})


@dataclass(frozen=True, slots=True)
class Actor:
    """The bearer of a token. `id` is the token's subject; `member_id` is set for the role MEMBER alone."""

    id: str
    role: Role
    member_id: UUID | None = None
    confined_to: frozenset[Scope] | None = None
    """None is all that the role has."""

    def has(self, scope: Scope) -> bool:
        """Whether the actor has a scope."""
        return scope in (UNASKED[self.role] if self.confined_to is None else self.confined_to)


SYSTEM = Actor(id="system", role=Role.ADMIN)
"""engage itself: jobs, seeds, the command line of the machine's operator."""


def may(actor: Actor, roles: frozenset[Role], *, own: UUID | None = None) -> bool:
    """Whether the actor has one of `roles`, or is the member `own`."""
    return actor.role in roles or (own is not None and actor.role is Role.MEMBER and actor.member_id == own)


def require(actor: Actor, roles: frozenset[Role], scope: Scope, *, own: UUID | None = None) -> None:
    """Let pass who has one of `roles`, or is the member `own`, and has the scope.

    Raises Forbidden with the same words whether or not `own` exists, so that nobody learns who is a member.
    """
    if not may(actor, roles, own=own):
        needed = ", ".join(sorted(roles))
        raise Forbidden(f"Your role {actor.role} may not do this here; it takes one of: {needed}.")
    require_scope(actor, scope)


def require_scope(actor: Actor, scope: Scope) -> None:
    """Let pass who has the scope. Raises Forbidden that names it."""
    if not actor.has(scope):
        raise Forbidden(f"This takes the scope {scope}, which your token or API key does not have.")
