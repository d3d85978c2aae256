"""The schema: the ORM's migrations for tables, and the SQL rooms of the domains for functions and views.

Tables change by numbered migrations in this folder, each a pair: the Python file that the ORM compares models with, and
the SQL that it comes to, which is what runs (`make migrations` writes it, docs/adr/0021). Functions, views and triggers
live in the database schema `engage`, which is made anew from the `sql/` rooms whenever their text changes, so that one
file shows the whole present function and nothing of an older one stays behind (docs/adr/0011).
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from typing import Any

import asyncpg
from asyncpg.connection import Connection

from engage import __version__
from engage.base import privileges
from engage.base.db import SEARCH_PATH
from engage.base.errors import Unavailable

MODEL_MODULES = (
    "engage.base.models",
    "engage.realtime.models",
    "engage.outbox.models",
    "engage.domains.members.models",
    "engage.domains.ledger.models",
    "engage.domains.ledger.policy.models",
    "engage.domains.purchases.models",
    "engage.domains.earning.bulk.models",
    "engage.domains.notifications.models",
    "engage.domains.webhooks.models",
    "engage.domains.access.models",
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
_MIGRATION = re.compile(r"\d{4}_\w+\.sql")
APP = "engage"
NOTES = (  # as the ORM has it, so that its own commands work on our databases
    "CREATE TABLE IF NOT EXISTS public.tortoise_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL,"
    " name varchar(255) NOT NULL, applied_at timestamptz NOT NULL, CONSTRAINT uid_tortoise_mi_app_3803a5 UNIQUE (app, name))"
)
NOTE = "INSERT INTO public.tortoise_migrations (app, name, applied_at) VALUES ($1, $2, now())"


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


def table_texts() -> dict[str, str]:
    """The SQL of each migration by its name, such as 0003_outbox, in the order in which they are run."""
    files = [file for file in resources.files(__name__).iterdir() if _MIGRATION.fullmatch(file.name)]
    return {file.name.removesuffix(".sql"): file.read_text("utf-8") for file in sorted(files, key=lambda f: f.name)}


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
    for name in table_texts():
        digest.update(f"{name}\0".encode())
    for name, text in sql_texts():
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


async def migrate(database_url: str, role: str = "") -> list[str]:
    """Bring the database to this version; answers what was done, empty when nothing was to do.

    `role`, if there is one, is what gateways and workers connect as: it is given what they need, each time anew.
    Safe to call from several processes at once: the others wait, then find nothing to do.
    Raises Unavailable when the server cannot be reached or is older than PostgreSQL 15, when the user of the address
    may not make tables, or when the role will not do.
    """
    guard = await _connect(database_url)
    try:
        if int(await guard.fetchval("SHOW server_version_num")) < POSTGRES_MIN:
            raise Unavailable("engage needs PostgreSQL 15 or later; this server is older.")
        if not await guard.fetchval("SELECT has_schema_privilege('public', 'CREATE')"):
            raise Unavailable(
                "The user that ENGAGE_DATABASE_URL names may not make tables: run `engage db migrate` as the owner of the"
                " database."
            )
        if role:
            await privileges.check_role(guard, role)
        await guard.execute("SELECT pg_advisory_lock($1)", _LOCK)
        found = await _found(guard)
        if found is not None and _order(found[1]) > _order(__version__):
            raise Unavailable(
                f"This database was migrated by engage {found[1]}, and this is {__version__}: run that version or a"
                " later one. To go back, restore a backup from before the upgrade."
            )
        if found == (sql_hash(), __version__):
            await _grant(guard, role)
            return []
        done = await _migrate_tables(guard)
        await _apply_sql(guard, role)
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


async def _migrate_tables(connection: Connection) -> list[str]:
    """Run the migrations that are due, each in one transaction with the note that it was run; answers their names."""
    await connection.execute(NOTES)
    notes = await connection.fetch("SELECT name FROM public.tortoise_migrations WHERE app = $1", APP)
    done = {row["name"] for row in notes}
    due = {name: text for name, text in table_texts().items() if name not in done}
    for name, text in due.items():
        async with connection.transaction():
            await _run(connection, name, text)
            await connection.execute(NOTE, APP, name)
    return list(due)


async def _run(connection: Connection, name: str, text: str) -> None:
    try:
        await connection.execute(text)
    except asyncpg.PostgresError as error:
        raise RuntimeError(f"{name}: {error}") from error


async def _apply_sql(connection: Connection, role: str) -> None:
    """Make the functions and views anew, and with them the rights of the role that uses them."""
    async with connection.transaction():
        await connection.execute("DROP SCHEMA IF EXISTS engage CASCADE; CREATE SCHEMA engage")
        for name, text in sql_texts():
            await _run(connection, name, text)
        await connection.execute("CREATE TABLE engage.version (hash text NOT NULL, release text NOT NULL)")
        await connection.execute("INSERT INTO engage.version VALUES ($1, $2)", sql_hash(), __version__)
        await _grant(connection, role)


async def _grant(connection: Connection, role: str) -> None:
    if role:
        async with connection.transaction():
            await privileges.grant(connection, role)


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
    """Whether this version can work with the database: it is of this version, or migrated ahead by a later release.

    False too where this role was given no rights: `engage db migrate` gives them.
    """
    try:
        found = await _found(connection)
    except asyncpg.InsufficientPrivilegeError:
        return False
    return found is not None and (found[0] == sql_hash() or _order(found[1]) > _order(__version__))
