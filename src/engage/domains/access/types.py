"""Plain values of access."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from engage.base.actor import Role, Scope
from engage.base.grants import Mark


class KeyState(StrEnum):
    """Whether an API key opens anything."""

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key as it stands, without its secret. `last_used_at` is right to a minute."""

    id: UUID
    name: str
    role: Role
    scopes: tuple[Scope, ...]
    state: KeyState
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None

    @property
    def actor_id(self) -> str:
        """Who does what this key is used for, in all records."""
        return actor_id(self.id)


def actor_id(key_id: UUID) -> str:
    """The name of an API key in the records of what it did."""
    return f"key:{key_id}"


@dataclass(frozen=True, slots=True)
class WithSecret:
    """An API key with what is sent as the bearer's token, which is told this one time."""

    key: KeyRecord
    secret: str

    @property
    def id(self) -> UUID:
        """The key's."""
        return self.key.id


@dataclass(frozen=True, slots=True)
class RevocationRecord:
    """What is no longer accepted. Of a subject or member, that is what was issued by `revoked_at`."""

    id: UUID
    mark: Mark
    value: str
    revoked_at: datetime
    revoked_by: str
