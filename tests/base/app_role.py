"""A role as gateways and workers have it: it owns nothing. Roles are the whole server's, so its name is random."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg


@dataclass(frozen=True, slots=True)
class AppRole:
    """Its name, and the address of a database as seen by it."""

    name: str
    url: str


@asynccontextmanager
async def app_role(owner_url: str) -> AsyncIterator[AppRole]:
    """A role without any rights in the database of this address, gone afterwards."""
    name, password = f"engage_test_{secrets.token_hex(6)}", secrets.token_hex(12)
    parts = urlsplit(owner_url)
    place = parts.netloc.rpartition("@")[2]
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        try:
            yield AppRole(name, urlunsplit(parts._replace(netloc=f"{name}:{password}@{place}")))
        finally:
            await owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    finally:
        await owner.close()
