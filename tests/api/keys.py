"""An API key that is there, whatever tests did to it, and what commands of access are given."""

from __future__ import annotations

from uuid import UUID

from engage.api.relay import global_id
from engage.base import clock, db
from tests.api.clients import Json

PRESENT = UUID("01990000-0000-7000-8000-00000000a001")

_PUT = """
    INSERT INTO api_keys (id, name, role, scopes, secret_hash, created_at, created_by, expires_at)
    VALUES ($1, 'till', 'SERVICE', '["points:read"]', 'hash', $2, 'admin-1', '2999-01-01Z')
    ON CONFLICT (id) DO UPDATE SET revoked_at = NULL, revoked_by = NULL
"""

NEW: Json = {"name": "till 7", "role": "SERVICE", "scopes": ["POINTS_READ"], "validDays": 30}
NOBODYS: Json = {"subject": "nobody-here"}


async def put_keys() -> None:
    """Have the key there, not revoked."""
    await db.execute(_PUT, PRESENT, clock.now())


def key_gid(key_id: UUID) -> str:
    return global_id("ApiKey", key_id)
