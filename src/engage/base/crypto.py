"""Bearer tokens: JSON Web Tokens (RFC 7519), and those that engage signs itself with HS256."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from jwt.api_jwk import PyJWK

from engage.base import clock
from engage.base.actor import Actor, Role, scopes_of
from engage.base.errors import Unauthenticated
from engage.base.grants import Grant, grant_of_token
from engage.base.ids import new_id
from engage.base.settings import Settings

OUR_ALGORITHM = "HS256"
SECRET_LENGTH_MIN = 32  # RFC 7518, 3.2: a key for HS256 has at least 256 bits
SUBJECT_LENGTH_MAX = 80  # what the records have room for
TOKEN_ID_LENGTH_MAX = 80
LIFETIME_MAX = timedelta(days=367)
"""A token for longer is not accepted: so long, revocations have to be remembered."""

TOKENS_KEPT = 4096  # verified tokens that are remembered
EXPIRED = "The token has expired; get a new one."
NOT_VALID = "The token is not valid here."


def _secret(config: Settings) -> str:
    secret = config.jwt_secret.get_secret_value()
    if len(secret) < SECRET_LENGTH_MIN:
        raise ValueError(
            f"ENGAGE_JWT_SECRET must have at least {SECRET_LENGTH_MIN} characters; "
            'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
        )
    return secret


def check_secret(config: Settings) -> None:
    """Raise ValueError with what to do when the signing secret is missing or short."""
    _secret(config)


def check_keys(config: Settings) -> None:
    """Raise ValueError with what to do when no token could be read, or not safely."""
    if not config.jwks_url or config.jwt_secret.get_secret_value():
        _secret(config)
    safe = config.jwks_url.startswith("https://") or config.development
    if config.jwks_url and not safe:
        raise ValueError("ENGAGE_JWKS_URL begins with https://, or else anyone on the way could put keys there.")


def issue_token(
    config: Settings,
    role: Role,
    *,
    subject: str,
    member_id: UUID | None = None,
    scopes: Collection[str] | None = None,
    valid_for: timedelta,
) -> str:
    """A signed token, confined to `scopes` if there are any.

    A token of the role MEMBER names its member; no other role's does.

    Raises ValueError when role and member do not fit, or the secret is too short.
    """
    if (role is Role.MEMBER) != (member_id is not None):
        raise ValueError("A token of role MEMBER names its member, and only such a token does.")
    now = clock.now()
    claims: dict[str, object] = {
        "iss": config.jwt_issuer,
        "aud": config.jwt_audience,
        "sub": subject,
        "role": role.value,
        "iat": int(now.timestamp()),
        "exp": int((now + valid_for).timestamp()),
        "jti": str(new_id()),
    }
    if member_id is not None:
        claims["member"] = str(member_id)
    if scopes is not None:
        claims["scope"] = " ".join(sorted(scopes))
    return jwt.encode(claims, _secret(config), algorithm=OUR_ALGORITHM)


def read_token(config: Settings, token: str) -> Grant:
    """What this token grants.

    Raises Unauthenticated that says whether it is expired or not acceptable, never why a signature failed.
    """
    if not config.jwt_secret.get_secret_value():
        raise Unauthenticated(NOT_VALID)
    return read_signed(config, token, _secret(config), OUR_ALGORITHM)


def read_signed(config: Settings, token: str, key: str | PyJWK, algorithm: str) -> Grant:
    """The same, with the key that the token has to be signed with, by this algorithm."""
    try:
        grant = _verified(token, key, algorithm, config.jwt_issuer, config.jwt_audience, config.jwt_leeway_s)
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated(EXPIRED) from error
    except (
        jwt.InvalidTokenError,
        KeyError,
        ValueError,
        TypeError,
        OverflowError,
        OSError,
    ) as error:  # times too large
        raise Unauthenticated(NOT_VALID) from error
    if clock.now() > grant.holds_until + timedelta(seconds=config.jwt_leeway_s):
        raise Unauthenticated(EXPIRED)
    return grant


@lru_cache(maxsize=TOKENS_KEPT)
def _verified(token: str, key: str | PyJWK, algorithm: str, issuer: str, audience: str, leeway_s: int) -> Grant:
    """What a token says, its signature verified once for all requests that bear it."""
    claims = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        issuer=issuer,
        audience=audience,
        leeway=leeway_s,
        options={"require": ["exp", "iat", "sub", "role"]},
    )
    issued_at, holds_until = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "exp"))
    if holds_until - issued_at > LIFETIME_MAX:
        raise ValueError("it holds for too long")
    if len(claims.get("jti", "")) > TOKEN_ID_LENGTH_MAX:
        raise ValueError("its id is too long")
    return grant_of_token(_bearer(claims), issued_at, holds_until, claims.get("jti") or None)


def _bearer(claims: dict[str, Any]) -> Actor:
    """Who a token says it is of. Raises ValueError for claims that are none."""
    member, scope = claims.get("member"), claims.get("scope")
    role = Role(claims["role"])
    if not isinstance(member, str | None):
        raise ValueError("the member is no text")  # noqa: TRY004 -- a token that will not do, as others
    confined_to = None if scope is None else scopes_of(role, _words(scope))
    actor = Actor(claims["sub"], role, UUID(member) if member else None, confined_to)
    if (role is Role.MEMBER) != (actor.member_id is not None):
        raise ValueError("role and member do not fit together")
    if len(actor.id) > SUBJECT_LENGTH_MAX:
        raise ValueError("the subject is too long")
    return actor


def _words(scope: object) -> list[str]:
    """The words of a claim: a text with spaces (RFC 8693), or a list, as some providers write it."""
    words = scope.split() if isinstance(scope, str) else scope
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return words
    raise ValueError("the scope is neither text nor texts")
