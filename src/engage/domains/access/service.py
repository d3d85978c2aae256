"""All writes of access."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from engage.base import clock, crypto, db
from engage.base.actor import ADMIN_ROLES, Actor, Role, Scope, require
from engage.base.audit import named
from engage.base.grants import Mark
from engage.base.ids import new_id
from engage.domains.access import rules
from engage.domains.access.errors import TooManyApiKeys
from engage.domains.access.events import KeyCreated, KeyRevoked, TokensRevoked
from engage.domains.access.models import ApiKey, Revocation
from engage.domains.access.queries import key_record, no_key, revocation_record
from engage.domains.access.types import KeyRecord, RevocationRecord, WithSecret
from engage.outbox import record

KEYS_MAX = 1_000
"""So many keys that are not revoked; those that have expired count until they are."""

VALID_DAYS = 90

_CREATING = 0x6170694B657973  # "apiKeys": keys are counted by one command at a time

_USED = """
    UPDATE api_keys SET last_used_at = greatest(last_used_at, u.at)
      FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at) WHERE api_keys.id = u.id
"""

logger = structlog.get_logger(__name__)


@db.command
@named("create_api_key")
async def create_key(
    actor: Actor, *, name: str, role: Role, scopes: Collection[Scope], valid_days: int = VALID_DAYS
) -> WithSecret:
    """Make an API key, confined to these scopes of its role. What is answered as its secret is not kept.

    Raises Forbidden, InvalidInput, TooManyApiKeys. Says `access.api_key_created.v1`.
    """
    require(actor, ADMIN_ROLES, Scope.ACCESS_WRITE)
    called, valid_for = rules.check_name(name), rules.check_days(valid_days)
    wanted = rules.check_scopes(actor, role, scopes)
    await db.execute("SELECT pg_advisory_xact_lock($1)", _CREATING)
    if await ApiKey.filter(revoked_at=None).count() >= KEYS_MAX:
        raise TooManyApiKeys(
            f"There are {KEYS_MAX} API keys, as many as there may be: revoke one that is not needed.", limit=KEYS_MAX
        )
    key_id, secret, now = new_id(), rules.new_secret(), clock.now()
    row = ApiKey(
        id=key_id,
        name=called,
        role=role,
        scopes=list(wanted),
        secret_hash=rules.hashed(secret),
        created_at=now,
        created_by=actor.id,
        expires_at=now + valid_for,
    )
    await row.save(force_create=True)
    await record(KeyCreated(key_id, role, row.expires_at))
    logger.info("access.key_created", key=str(key_id), role=role, actor=actor.id)
    return WithSecret(key_record(row), rules.written(key_id, secret))


@db.command
@named("revoke_api_key")
async def revoke_key(actor: Actor, key_id: UUID) -> KeyRecord:
    """Let an API key open nothing any more, on all gateways within a second or two. Once more changes nothing.

    Raises Forbidden, NotFound. Says `access.api_key_revoked.v1`.
    """
    require(actor, ADMIN_ROLES, Scope.ACCESS_WRITE)
    row = await ApiKey.filter(id=key_id).select_for_update().get_or_none()
    if row is None:
        raise no_key()
    if row.revoked_at is None:
        row.revoked_at, row.revoked_by = clock.now(), actor.id
        await row.save(update_fields=["revoked_at", "revoked_by"])
        await _revoke(actor, Mark.KEY, str(key_id), row.revoked_at)
        await record(KeyRevoked(key_id))
        logger.info("access.key_revoked", key=str(key_id), actor=actor.id)
    return key_record(row)


@db.command
async def revoke_tokens(
    actor: Actor, *, token_id: str | None = None, subject: str | None = None, member_id: UUID | None = None
) -> RevocationRecord:
    """Accept tokens no longer: one by its claim `jti`, or all that a subject or member was issued by now.

    It takes effect on all gateways within a second or two, and closes sockets that were opened with them.
    Raises Forbidden, InvalidInput. Says `access.tokens_revoked.v1`.
    """
    require(actor, ADMIN_ROLES, Scope.ACCESS_WRITE)
    mark, value = rules.check_target(token_id, subject, member_id)
    row = await _revoke(actor, mark, value, clock.now())
    await record(TokensRevoked(row.id, mark))
    logger.info("access.tokens_revoked", revocation=str(row.id), mark=mark, actor=actor.id)
    return revocation_record(row)


async def _revoke(actor: Actor, mark: Mark, value: str, now: datetime) -> Revocation:
    keep_until = now + crypto.LIFETIME_MAX + timedelta(days=1)  # no token is accepted that holds for longer
    row = Revocation(id=new_id(), mark=mark, value=value, revoked_at=now, revoked_by=actor.id, keep_until=keep_until)
    await row.save(force_create=True)
    return row


async def note_used(used: Mapping[UUID, datetime]) -> None:
    """Write down when keys were last used; for gateways, which do so once a minute."""
    await db.execute(_USED, list(used), list(used.values()))
