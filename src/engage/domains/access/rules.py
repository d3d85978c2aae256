"""Decisions about API keys and revocations, on plain values."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from engage.base.actor import SCOPES_OF, Actor, Role, Scope
from engage.base.crypto import SUBJECT_LENGTH_MAX, TOKEN_ID_LENGTH_MAX
from engage.base.errors import Forbidden, InvalidInput
from engage.base.grants import Mark
from engage.domains.access.types import KeyState

NAME_LENGTH_MAX = 80
VALID_DAYS_MAX = 366
PREFIX = "engage_"
"""Begins every key, so that scanners of source code find those that somebody has committed."""

_SECRET_BYTES = 32
_ID_DIGITS = 32


def new_secret() -> str:
    """256 random bits: too many to be guessed, so that one round of SHA-256 keeps them."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def written(key_id: UUID, secret: str) -> str:
    """A key as its bearer sends it."""
    return f"{PREFIX}{key_id.hex}_{secret}"


def taken_apart(key: str) -> tuple[UUID, str] | None:
    """The id and the secret in a key; None for what is not written like one."""
    digits, _, secret = key.removeprefix(PREFIX).partition("_")
    if not key.startswith(PREFIX) or len(digits) != _ID_DIGITS or not secret.isascii():
        return None
    try:
        return UUID(hex=digits), secret
    except ValueError:
        return None


def hashed(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def is_secret(secret: str, secret_hash: bytes) -> bool:
    """Whether this is the secret, told in a time that says nothing of it."""
    return secrets.compare_digest(hashed(secret), secret_hash)


def check_name(name: str) -> str:
    """What people call a key. Raises InvalidInput."""
    text = name.strip()
    if not 1 <= len(text) <= NAME_LENGTH_MAX:
        raise InvalidInput(f"A key's name has 1 to {NAME_LENGTH_MAX} characters.", path=["name"])
    return text


def check_days(days: int) -> timedelta:
    """For how long a key holds. Raises InvalidInput."""
    if not 1 <= days <= VALID_DAYS_MAX:
        raise InvalidInput(f"A key holds for 1 to {VALID_DAYS_MAX} days.", path=["validDays"])
    return timedelta(days=days)


def check_scopes(actor: Actor, role: Role, scopes: Collection[Scope]) -> list[Scope]:
    """What a key is confined to, each once and in order.

    Raises InvalidInput for none, for scopes that the role cannot have and for the role MEMBER; Forbidden for what who
    makes the key does not have: nobody gives away more than is theirs.
    """
    if role is Role.MEMBER:
        raise InvalidInput("A key is for a machine: members come with tokens.", path=["role"])
    if not scopes:
        raise InvalidInput("Name the scopes that the key is for, at least one.", path=["scopes"])
    wanted = sorted(set(scopes))
    for scope in wanted:
        if scope not in SCOPES_OF[role]:
            most = ", ".join(sorted(SCOPES_OF[role]))
            raise InvalidInput(f"The role {role} cannot have {scope}; it can have {most}.", path=["scopes"])
        if not actor.has(scope):
            raise Forbidden(f"You do not have the scope {scope} yourself.", path=["scopes"])
    return wanted


def state_of(*, revoked: bool, expires_at: datetime, now: datetime) -> KeyState:
    """Whether a key opens anything."""
    if revoked:
        return KeyState.REVOKED
    return KeyState.ACTIVE if now < expires_at else KeyState.EXPIRED


def check_target(token_id: str | None, subject: str | None, member_id: UUID | None) -> tuple[Mark, str]:
    """What is to be revoked: exactly one of the three. Raises InvalidInput."""
    given = [
        (mark, str(value))
        for mark, value in ((Mark.TOKEN, token_id), (Mark.SUBJECT, subject), (Mark.MEMBER, member_id))
        if value is not None
    ]
    if len(given) != 1:
        raise InvalidInput("Name one of tokenId, subject and memberId.", path=["tokenId"])
    [(mark, value)] = given
    name, most = ("tokenId", TOKEN_ID_LENGTH_MAX) if mark is Mark.TOKEN else ("subject", SUBJECT_LENGTH_MAX)
    if not 1 <= len(value) <= most:
        raise InvalidInput(f"It has 1 to {most} characters.", path=[name])
    return mark, value
