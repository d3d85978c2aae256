"""What all tests stand on: real PostgreSQL and Redis, a database of its own for each test module.

Embedded servers are started unless ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL name real ones (whose user may create
databases and roles). Everything is named at random, so that the suite can run twice on one machine at once.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest
from pydantic import SecretStr

from engage.base import db
from engage.base.settings import Settings
from engage.embedded import running
from engage.migrations import migrate, orm_config

os.environ.pop("COLUMNS", None)  # a console that is made while it is set keeps that width, whatever a test says

hypothesis.settings.register_profile("default", max_examples=30, deadline=None)
hypothesis.settings.register_profile("long", max_examples=2000, deadline=None)
hypothesis.settings.load_profile("default")

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


@dataclass(frozen=True)
class Servers:
    """Where the servers of this run are; `database_url` is that of a maintenance database."""

    database_url: str
    redis_url: str


def on_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    database_url, redis_url = os.environ.get("ENGAGE_DATABASE_URL"), os.environ.get("ENGAGE_REDIS_URL")
    if database_url and redis_url:
        yield Servers(database_url, redis_url)
        return
    folder: Path = tmp_path_factory.mktemp("servers")
    for one in (folder, folder.parent, folder.parent.parent):  # as root without namespaces the servers are `nobody`
        one.chmod(0o711)
    with running(folder, settings=FAST) as services:
        yield Servers(services.database_url, services.redis_url)


async def create_database(servers: Servers, template: str | None = None) -> str:
    """Make a database with a random name; answers its URL."""
    name = f"engage_test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(servers.database_url)
    try:
        from_template = f"TEMPLATE {template}" if template else ""
        await connection.execute(f"CREATE DATABASE {name} {from_template}")
    finally:
        await connection.close()
    return on_database(servers.database_url, name)


async def drop_database(servers: Servers, url: str) -> None:
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def template(servers: Servers) -> AsyncIterator[str]:
    """The name of a migrated database that others are copied from."""
    url = await create_database(servers)
    await migrate(url)
    yield urlsplit(url).path[1:]
    await drop_database(servers, url)


@pytest.fixture(scope="module")
async def database_url(servers: Servers, template: str) -> AsyncIterator[str]:
    """A migrated database for the tests of one module."""
    url = await create_database(servers, template)
    yield url
    await drop_database(servers, url)


@pytest.fixture(scope="module")
def config(servers: Servers, database_url: str) -> Settings:
    """Settings of this module: its own database, its own corner of Redis."""
    return Settings(
        database_url=database_url,
        redis_url=servers.redis_url,
        redis_prefix=f"engage-test-{secrets.token_hex(6)}",
        jwt_secret=SecretStr(secrets.token_hex(32)),
        development=True,
        port=0,
    )


@pytest.fixture(scope="module")
async def connected(config: Settings) -> AsyncIterator[Settings]:
    """The process is connected to the module's database: commands and queries can be called."""
    await db.connect(config, orm_config(config.database_url))
    yield config
    await db.disconnect()
