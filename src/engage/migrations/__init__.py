"""The schema: the ORM's migrations for tables, and the SQL rooms of the domains for functions and views.

Tables change by numbered migrations in this folder. Functions, views and triggers live in the database schema
`engage`, which is made anew from the `sql/` rooms whenever their text changes, so that one file shows the whole
present function and nothing of an older one stays behind (docs/adr/0011).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from typing import Any, cast

import asyncpg
from asyncpg.connection import Connection
from tortoise import Tortoise
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.exceptions import ConfigurationError
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.transactions import in_transaction

from engage import __version__
from engage.base.db import SEARCH_PATH
from engage.base.errors import Unavailable

MODEL_MODULES = (
    "engage.base.models",
    "engage.realtime.models",
    "engage.outbox.models",
    "engage.domains.members.models",
    "engage.domains.ledger.models",
    "engage.domains.purchases.models",
    "engage.domains.notifications.models",
    "engage.domains.webhooks.models",
)

SQL_ROOMS = (
    "engage.base",
    "engage.realtime",
    "engage.outbox",
    "engage.domains.members",
    "engage.domains.ledger",
    "engage.domains.purchases",
    "engage.domains.earning",
    "engage.domains.notifications",
    "engage.domains.profiles",
)
"""In order of dependence: a function may use what a room above it in this list published."""

POSTGRES_MIN = 150000
_LOCK = 0x656E67616765  # "engage": one migration at a time over all processes
_MIGRATION = re.compile(r"\d{4}_\w+\.py")
APP = "engage"


def orm_config(database_url: str) -> dict[str, Any]:
    """The ORM's configuration for one database."""
    url = database_url.replace("postgresql://", "postgres://", 1)
    scheme, _, rest = url.partition("://")
    return {
        "connections": {"default": f"asyncpg://{rest}" if scheme == "postgres" else url},
        "apps": {
            APP: {
                "models": list(MODEL_MODULES),
                "default_connection": "default",
                "migrations": "engage.migrations",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


def sql_texts() -> list[tuple[str, str]]:
    """Name and text of each SQL file, in the order in which they are run."""
    texts = []
    for room in SQL_ROOMS:
        folder = resources.files(room) / "sql"
        if folder.is_dir():
            files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
            texts += [(f"{room}/{f.name}", f.read_text("utf-8")) for f in files]
    return texts


@cache
def sql_hash() -> str:
    """A hash of the migrations' names and all SQL files: tells whether the database has this version of them."""
    digest = hashlib.sha256()
    folder = resources.files(__name__)
    for name in sorted(file.name for file in folder.iterdir() if _MIGRATION.fullmatch(file.name)):
        digest.update(f"{name}\0".encode())
    for name, text in sql_texts():
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


async def migrate(database_url: str) -> list[str]:
    """Bring the database to this version; answers what was done, empty when nothing was to do.

    Safe to call from several processes at once: the others wait, then find nothing to do.
    Raises Unavailable when the server cannot be reached or is older than PostgreSQL 15.
    """
    guard = await _connect(database_url)
    try:
        if int(await guard.fetchval("SHOW server_version_num")) < POSTGRES_MIN:
            raise Unavailable("engage needs PostgreSQL 15 or later; this server is older.")
        await guard.execute("SELECT pg_advisory_lock($1)", _LOCK)
        found = await _found(guard)
        if found is not None and _order(found[1]) > _order(__version__):
            raise Unavailable(
                f"This database was migrated by engage {found[1]}, and this is {__version__}: run that version or a"
                " later one. To go back, restore a backup from before the upgrade."
            )
        if found == (sql_hash(), __version__):
            return []
        done = await _migrate_tables(database_url)
        await _apply_sql(guard)
    finally:
        await guard.close()
    return [*done, "functions and views"]


async def check_reachable(database_url: str) -> None:
    """Connect once. Raises Unavailable, which names the setting, when that fails."""
    await (await _connect(database_url)).close()


async def _connect(database_url: str) -> Connection:
    try:
        return await asyncpg.connect(database_url, server_settings={"search_path": SEARCH_PATH})
    except (OSError, asyncpg.PostgresError, ValueError) as error:
        raise Unavailable(
            f"PostgreSQL does not answer as ENGAGE_DATABASE_URL says ({type(error).__name__}: {error})."
        ) from error


async def _migrate_tables(database_url: str) -> list[str]:
    """Run the migrations that are due, each in one transaction with the note that it was run.

    The ORM makes that note after its commit, so a process killed in between would have to be mended by hand.
    """
    async with _orm(database_url):
        executor = _executor()
        # Inside a transaction its absence could not be survived.
        await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))  # noqa: SLF001 -- no other way
        steps = [step.migration for step in await executor.plan([MigrationTarget(APP, "__latest__")])]
        for step in steps:
            async with in_transaction():
                await _executor().migrate([MigrationTarget(APP, step.name)])
        return [step.name for step in steps]


@asynccontextmanager
async def _orm(database_url: str) -> AsyncIterator[None]:
    """The ORM on a pool of ours: what the address says beside its host and database is asyncpg's to read."""
    try:
        context = await Tortoise.init(config=orm_config(database_url), _enable_global_fallback=True)
    except ConfigurationError as error:
        raise Unavailable(f"ENGAGE_DATABASE_URL cannot be read ({error}).") from error
    client = cast("AsyncpgDBClient", context.connections.get("default"))
    client._pool = await asyncpg.create_pool(  # noqa: SLF001 -- the ORM has no public way to be given a pool
        database_url, min_size=1, max_size=2, server_settings={"search_path": SEARCH_PATH}
    )
    try:
        yield
    finally:
        await Tortoise.close_connections()


def _executor() -> MigrationExecutor:
    """The ORM's executor on the present transaction, or on the pool."""
    context = Tortoise._require_context()  # noqa: SLF001 -- the ORM's own commands reach it so
    return MigrationExecutor(context.connections.get("default"), {APP: orm_config("")["apps"][APP]})


async def _apply_sql(connection: Connection) -> None:
    """Make the functions and views anew."""
    async with connection.transaction():
        await connection.execute("DROP SCHEMA IF EXISTS engage CASCADE; CREATE SCHEMA engage")
        for name, text in sql_texts():
            try:
                await connection.execute(text)
            except asyncpg.PostgresError as error:
                raise RuntimeError(f"{name}: {error}") from error
        await connection.execute("CREATE TABLE engage.version (hash text NOT NULL, release text NOT NULL)")
        await connection.execute("INSERT INTO engage.version VALUES ($1, $2)", sql_hash(), __version__)


async def _found(connection: Connection) -> tuple[str, str] | None:
    """Hash and release of the functions and views that the database has."""
    if await connection.fetchval("SELECT to_regclass('engage.version')") is None:
        return None
    row = await connection.fetchrow("SELECT hash, release FROM engage.version")
    return (row["hash"], row["release"])


def _order(release: str) -> tuple[int, ...]:
    """The numbers of a release, such as (1, 2, 0) of 1.2.0 and of 1.2.0rc1."""
    numbers = re.match(r"\d+(\.\d+)*", release)
    return tuple(int(part) for part in numbers[0].split(".")) if numbers else ()


async def is_current(connection: Connection) -> bool:
    """Whether this version can work with the database: it is of this version, or migrated ahead by a later release."""
    found = await _found(connection)
    return found is not None and (found[0] == sql_hash() or _order(found[1]) > _order(__version__))
