"""All reads of access."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, Actor, Role, Scope, require, scopes_of
from engage.base.errors import NotFound
from engage.base.grants import Grant, Mark
from engage.base.listings import Listing
from engage.base.paging import NEWEST_FIRST, Page, Window
from engage.base.readings import Read, Reading, read_alone, there
from engage.domains.access import rules
from engage.domains.access.models import ApiKey, Revocation
from engage.domains.access.types import KeyRecord, RevocationRecord, actor_id

_LOCK = "SELECT role, scopes, secret_hash, created_at, expires_at, revoked_at FROM api_keys WHERE id = $1"
_REVOKED = "SELECT mark, value, revoked_at FROM revocations WHERE revoked_at >= $1 AND keep_until > $2"


@dataclass(frozen=True, slots=True)
class Lock:
    """What an API key is held against, and what it grants where it fits."""

    secret_hash: bytes
    revoked: bool
    grant: Grant


async def list_keys(actor: Actor, window: Window) -> Page[KeyRecord]:
    """API keys, newest first. Raises Forbidden, InvalidInput."""
    require(actor, ADMIN_ROLES, Scope.ACCESS_READ)
    return await _KEYS.page(window)


async def get_key(actor: Actor, key_id: UUID, *, read: Read = read_alone) -> KeyRecord:
    """One API key. Raises Forbidden, NotFound."""
    require(actor, ADMIN_ROLES, Scope.ACCESS_READ)
    return there(await read(KEYS, key_id), "API key")


async def get_revocation(actor: Actor, revocation_id: UUID, *, read: Read = read_alone) -> RevocationRecord:
    """One revocation. Raises Forbidden, NotFound."""
    require(actor, ADMIN_ROLES, Scope.ACCESS_READ)
    return there(await read(REVOCATIONS, revocation_id), "revocation")


async def list_revocations(actor: Actor, window: Window) -> Page[RevocationRecord]:
    """What is no longer accepted, newest first. Raises Forbidden, InvalidInput."""
    require(actor, ADMIN_ROLES, Scope.ACCESS_READ)
    return await _REVOCATIONS.page(window)


async def find_lock(key_id: UUID) -> Lock | None:
    """What a key is held against, for whoever lets its bearer in; None where there is no such key."""
    row = await db.fetch_row(_LOCK, key_id)
    if row is None:
        return None
    role = Role(row["role"])
    actor = Actor(actor_id(key_id), role, confined_to=scopes_of(role, orjson.loads(row["scopes"])))
    grant = Grant(actor, row["created_at"], row["expires_at"], actor.id, ((Mark.KEY, str(key_id)),))
    return Lock(row["secret_hash"], row["revoked_at"] is not None, grant)


async def load_revoked(since: datetime) -> list[tuple[tuple[Mark, str], datetime]]:
    """What was revoked since then and is to be remembered, and when."""
    rows = await db.fetch(_REVOKED, since, clock.now())
    known = set(Mark)  # a later release beside this one may know more
    return [((Mark(row["mark"]), row["value"]), row["revoked_at"]) for row in rows if row["mark"] in known]


def no_key() -> NotFound:
    """The refusal of an id that no API key has."""
    return NotFound("There is no such API key.", path=["id"])


def key_record(row: ApiKey) -> KeyRecord:
    """A key without its secret."""
    return KeyRecord(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        scopes=tuple(Scope(one) for one in row.scopes),
        state=rules.state_of(revoked=row.revoked_at is not None, expires_at=row.expires_at, now=clock.now()),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )


def revocation_record(row: Revocation) -> RevocationRecord:
    """A revocation as others see it."""
    return RevocationRecord(row.id, row.mark, row.value, row.revoked_at, row.revoked_by)


def _key_of_row(row: Any) -> KeyRecord:  # noqa: ANN401 -- the driver's own
    return key_record(ApiKey(**dict(row) | {"scopes": orjson.loads(row["scopes"])}))


_KEYS = Listing(
    NEWEST_FIRST,
    "SELECT * FROM api_keys WHERE id {past} $2 ORDER BY id {sort} LIMIT $1",
    row=_key_of_row,
    key=lambda one: (one.id,),
)
_REVOCATIONS = Listing(
    NEWEST_FIRST,
    "SELECT * FROM revocations WHERE id {past} $2 ORDER BY id {sort} LIMIT $1",
    row=lambda row: revocation_record(Revocation(**row)),
    key=lambda one: (one.id,),
)

# The hashes of secrets stay where they are.
KEYS: Reading[KeyRecord | None] = Reading(
    """
    SELECT k.id::text, to_json(k) FROM (
      SELECT id, name, role, scopes, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by
        FROM api_keys WHERE id = ANY ($1)) k
    """,
    lambda value: key_record(ApiKey(**value)),
    None,
)
"""API keys by their ids."""

REVOCATIONS: Reading[RevocationRecord | None] = Reading(
    "SELECT r.id::text, to_json(r) FROM revocations r WHERE r.id = ANY ($1)",
    lambda value: revocation_record(Revocation(**value)),
    None,
)
"""Revocations by their ids."""
