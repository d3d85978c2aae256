"""The schema: what the models say, what the migrations make, and databases of other versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import asyncpg
import pytest
from tortoise.apps import Apps
from tortoise.context import TortoiseContext
from tortoise.fields.base import OnDelete
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.migrations.autodetector import MigrationAutodetector

from engage import migrations
from engage.base.errors import Unavailable
from engage.migrations import APP, is_current, migrate, orm_config, table_texts
from engage.migrations.__main__ import rendered
from tests.conftest import Servers, create_database, drop_database

UNINDEXED = """
SELECT c.conrelid::regclass::text AS of, a.attname AS key, c.confdeltype::text AS on_delete
  FROM pg_constraint c
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
 WHERE c.contype = 'f'
   AND NOT EXISTS (
     SELECT FROM pg_index i
      WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])
"""
DELETING = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND confdeltype NOT IN ('r', 'a')"
FILL = """
INSERT INTO channels (id, code, name) VALUES (gen_random_uuid(), 'pos', 'Till');
INSERT INTO outbox (id, handler, stream, payload, created_at, due_at)
  VALUES (gen_random_uuid(), 'ledger.sweep', 'job:ledger.sweep', '{"position": 1}', now(), now());
"""

POST = """
INSERT INTO currencies VALUES (gen_random_uuid(), gen_random_uuid(), 'tea', 'POINTS');
INSERT INTO accounts (id, currency_id, kind, member_id) SELECT gen_random_uuid(), id, 'MEMBER', id FROM currencies;
INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, actor_id, posted_at,
                       balance_after, version_after)
  SELECT gen_random_uuid(), member_id, currency_id, id, 'EARN', 1, 'TEST', 'test', now(), 1,
         1 + (SELECT count(*) FROM transfers) FROM accounts WHERE member_id IS NOT NULL;
"""


@pytest.fixture
async def empty(servers: Servers) -> AsyncIterator[str]:
    url = await create_database(servers)
    yield url
    await drop_database(servers, url)


@pytest.fixture
async def connection(empty: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty)
    yield connection
    await connection.close()


@pytest.fixture
async def apps() -> AsyncIterator[Apps]:
    """The models, initialised on no database at all."""
    async with TortoiseContext() as context:
        await context.init(config=orm_config("postgres://nobody@127.0.0.1:1/nothing"))
        assert context.apps is not None
        yield context.apps


async def test_no_migration_is_missing(apps: Apps) -> None:
    writers = await MigrationAutodetector(apps, {APP: orm_config("")["apps"][APP]}).changes()
    assert [str(operation) for writer in writers for operation in writer.operations] == []


async def test_a_forgotten_migration_would_be_noticed(apps: Apps) -> None:
    known = {name: model for name, model in apps[APP].items() if name != "Channel"}
    changed = cast("Apps", {APP: known})
    [writer] = await MigrationAutodetector(changed, {APP: orm_config("")["apps"][APP]}).changes()
    assert [type(operation).__name__ for operation in writer.operations] == ["DeleteModel"]


def test_every_foreign_key_says_restrict(apps: Apps) -> None:
    keys = [
        field
        for model in apps[APP].values()
        for field in model._meta.fields_map.values()
        if isinstance(field, ForeignKeyFieldInstance)
    ]
    assert keys
    assert [
        f"{key.model.__name__}.{key.model_field_name}" for key in keys if key.on_delete != OnDelete.RESTRICT
    ] == []


async def test_every_foreign_key_has_an_index(empty: str, connection: asyncpg.Connection) -> None:
    await migrate(empty)
    assert await connection.fetchval("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") > 10
    assert [tuple(row) for row in await connection.fetch(UNINDEXED)] == []
    assert await connection.fetch(DELETING) == []


async def test_what_runs_is_what_the_orm_makes_of_each_migration() -> None:
    assert table_texts() == await rendered(), "`make migrations` writes them"


async def _migrate_to(connection: asyncpg.Connection, last: str) -> None:
    """Have the tables as an earlier version left them, with no functions."""
    for name, text in table_texts().items():
        if name <= last:
            await connection.execute(text)
            await connection.execute(migrations.NOTES)
            await connection.execute(migrations.NOTE, APP, name)


async def test_a_filled_database_of_an_earlier_version_goes_along(empty: str, connection: asyncpg.Connection) -> None:
    await _migrate_to(connection, "0002_storage")
    await connection.execute(FILL)
    assert not await is_current(connection)
    done = await migrate(empty)
    assert done[0] == "0003_outbox"
    assert done[-1] == "functions and views"
    assert await connection.fetchval("SELECT lease FROM outbox") == 0
    assert await connection.fetchval("SELECT code FROM channels") == "pos"
    assert await is_current(connection)
    assert await migrate(empty) == []


async def test_transfers_of_an_earlier_version_tell_no_transaction(
    empty: str, connection: asyncpg.Connection
) -> None:
    await _migrate_to(connection, "0002_storage")
    await connection.execute(POST)
    await migrate(empty)
    await connection.execute(POST[POST.index("INSERT INTO transfers") :])
    rows = await connection.fetch("SELECT tx = 0 AS old, tx = xmin::text::bigint AS new FROM transfers ORDER BY tx")
    assert [tuple(row) for row in rows] == [(True, False), (False, True)]


async def test_a_migration_beside_functions_changes_the_tables_and_no_others(
    empty: str, connection: asyncpg.Connection
) -> None:
    """The user of the embedded server is named as the schema of functions, and so would look there first."""
    await migrate(empty)
    await connection.execute(
        "INSERT INTO channels (id, code, name) VALUES (gen_random_uuid(), 'pos', 'Till');"
        "ALTER TABLE public.outbox DROP COLUMN lease; DROP INDEX public.outbox_in_order;"
        "DELETE FROM public.tortoise_migrations WHERE name = '0003_outbox'; UPDATE engage.version SET hash = 'older'"
    )
    assert await migrate(empty) == ["0003_outbox", "functions and views"]
    assert await connection.fetchval("SELECT count(lease) FROM public.outbox") == 0
    assert await connection.fetchval("SELECT code FROM public.channels") == "pos"
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'engage'::regnamespace AND relkind = 'r'"
    assert await connection.fetchval(f"SELECT array_agg(relname) FROM ({tables}) AS found") == ["version"]  # noqa: S608


async def test_a_migration_that_fails_leaves_nothing_half_done(empty: str, connection: asyncpg.Connection) -> None:
    await _migrate_to(connection, "0002_storage")
    await connection.execute("CREATE TABLE outbox_in_order ()")  # the name of an index of the third migration
    with pytest.raises(Exception, match="outbox_in_order"):
        await migrate(empty)
    columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'outbox' AND column_name = 'lease'"
    assert await connection.fetchval(columns) == 0
    await connection.execute("DROP TABLE outbox_in_order")
    assert "0003_outbox" in await migrate(empty)


async def test_a_migration_and_its_note_are_one(empty: str, connection: asyncpg.Connection) -> None:
    """Where a migration cannot be noted as run, nothing of it was done."""
    await _migrate_to(connection, "0002_storage")
    await connection.execute("ALTER TABLE tortoise_migrations ADD CONSTRAINT full_up CHECK (name < '0004')")
    with pytest.raises(asyncpg.CheckViolationError, match="full_up"):
        await migrate(empty)
    assert await connection.fetchval("SELECT to_regclass('job_runs')") is None
    assert await connection.fetchval("SELECT max(name) FROM tortoise_migrations") == "0003_outbox"
    await connection.execute("ALTER TABLE tortoise_migrations DROP CONSTRAINT full_up")
    assert (await migrate(empty))[0] == "0004_jobs"
    assert await connection.fetchval("SELECT to_regclass('job_runs')") is not None


async def test_newer_and_older_databases(
    empty: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not await is_current(connection)
    await migrate(empty)
    await connection.execute("UPDATE engage.version SET hash = 'of other functions'")
    assert not await is_current(connection)

    await connection.execute("UPDATE engage.version SET release = '99.1.0rc2'")
    assert await is_current(connection)  # migrated ahead: this version goes on until it is replaced
    with pytest.raises(Unavailable, match=r"migrated by engage 99\.1\.0rc2, and this is"):
        await migrate(empty)

    monkeypatch.setattr(migrations, "__version__", "99.2.0")
    assert not await is_current(connection)
    assert await migrate(empty) == ["functions and views"]
    assert await connection.fetchval("SELECT release FROM engage.version") == "99.2.0"
    assert await is_current(connection)
