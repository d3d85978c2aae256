"""What access says. A token's subject may be a person's name elsewhere, so events hold ids alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from engage.outbox import Event

STREAM = "access"
"""One stream for all of it: what is rare and concerns those who run the program."""


@dataclass(frozen=True, slots=True)
class KeyCreated(Event):
    """There is a new API key. Audience: admins, by webhooks."""

    NAME: ClassVar[str] = "access.api_key_created.v1"

    key_id: UUID
    role: str
    expires_at: datetime

    @property
    def stream(self) -> str:
        """That of access."""
        return STREAM


@dataclass(frozen=True, slots=True)
class KeyRevoked(Event):
    """An API key opens nothing any more. Audience: admins, by webhooks."""

    NAME: ClassVar[str] = "access.api_key_revoked.v1"

    key_id: UUID

    @property
    def stream(self) -> str:
        """That of access."""
        return STREAM


@dataclass(frozen=True, slots=True)
class TokensRevoked(Event):
    """Tokens are no longer accepted: of a TOKEN, SUBJECT or MEMBER, says `mark`. Audience: admins, by webhooks."""

    NAME: ClassVar[str] = "access.tokens_revoked.v1"

    revocation_id: UUID
    mark: str

    @property
    def stream(self) -> str:
        """That of access."""
        return STREAM
