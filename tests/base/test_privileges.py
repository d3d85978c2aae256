"""What the role of gateways and workers may do, as the database sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from engage.base.errors import Unavailable
from engage.migrations import is_current, migrate
from tests.base.app_role import AppRole, app_role
from tests.conftest import Servers, create_database, drop_database

HISTORY = ("transfers", "entries", "allocations", "points_policies", "exchange_rates", "ledger_blocks", "audit_log")
ALL = {"SELECT", "INSERT", "UPDATE", "DELETE"}
READ = {"SELECT"}
GRANTED = (
    "SELECT table_schema, table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = $1"
)
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
FUNCTIONS = """
    SELECT oid::regprocedure::text FROM pg_proc
     WHERE pronamespace = 'engage'::regnamespace AND has_function_privilege($1, oid, 'EXECUTE') = $2
"""


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Of a migrated database; each test leaves its tables as they were."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def role(database_url: str) -> AsyncIterator[AppRole]:
    async with app_role(database_url) as made:
        yield made


@pytest.fixture
async def granted(database_url: str, role: AppRole) -> AppRole:
    """The role after a migration that names it."""
    assert await migrate(database_url, role.name) == []
    return role


@pytest.fixture
async def app(granted: AppRole) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(granted.url)
    yield connection
    await connection.close()


async def rights(owner: asyncpg.Connection, role: AppRole) -> dict[str, set[str]]:
    """Of each table and view; those of the schema `engage` with its name."""
    found: dict[str, set[str]] = {}
    for schema, table, verb in await owner.fetch(GRANTED, role.name):
        found.setdefault(table if schema == "public" else f"{schema}.{table}", set()).add(verb)
    return found


async def expected(owner: asyncpg.Connection) -> dict[str, set[str]]:
    """All of every table, but for history, the notes of migrations, and what the owner makes anew."""
    tables = {row[0]: ALL for row in await owner.fetch(TABLES) if row[0] != "tortoise_migrations"}
    history = dict.fromkeys(HISTORY, ALL - {"UPDATE", "DELETE"})
    return (
        tables
        | history
        | {
            "events": ALL - {"UPDATE"},
            "engage.version": READ,
            "engage.ledger_kinds": READ,
            "engage.ledger_legs": READ,
        }
    )


@asynccontextmanager
async def refused() -> AsyncIterator[None]:
    """By privilege, and not by what a trigger says with the same code."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=r"permission denied|must be owner of") as caught:
        yield
    assert caught.value.sqlstate == "42501"


async def test_the_role_may_do_what_it_needs_and_no_more(owner: asyncpg.Connection, granted: AppRole) -> None:
    assert await rights(owner, granted) == await expected(owner)
    assert await owner.fetch(FUNCTIONS, granted.name, True) != []
    assert await owner.fetch(FUNCTIONS, granted.name, False) == []
    assert await owner.fetchval("SELECT has_schema_privilege($1, 'engage', 'USAGE')", granted.name)


async def test_without_a_role_nothing_is_granted(database_url: str, owner: asyncpg.Connection, role: AppRole) -> None:
    assert await migrate(database_url) == []
    assert await rights(owner, role) == {}
    connection = await asyncpg.connect(role.url)
    try:
        assert not await is_current(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "verb", ["UPDATE {0} SET {1} = {1} WHERE false", "DELETE FROM {} WHERE false", "TRUNCATE {}"]
)
@pytest.mark.parametrize("table", HISTORY)
async def test_history_is_kept_from_the_role_without_triggers_too(
    owner: asyncpg.Connection, app: asyncpg.Connection, table: str, verb: str
) -> None:
    await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    try:
        async with refused():
            await app.execute(verb.format(table, "height" if table == "ledger_blocks" else "id"))
    finally:
        await owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET name = '' WHERE false",
        "TRUNCATE events",
        "TRUNCATE members",
        "SELECT id FROM transfers FOR UPDATE",
        "ALTER TABLE transfers DISABLE TRIGGER transfers_are_history",
        "ALTER TABLE transfers DISABLE TRIGGER ALL",
        "DROP TRIGGER transfers_are_history ON transfers",
        "CREATE TRIGGER mine BEFORE INSERT ON transfers EXECUTE FUNCTION engage.refuse_change()",
        "CREATE RULE mine AS ON UPDATE TO entries DO INSTEAD NOTHING",
        "ALTER TABLE entries DROP COLUMN amount",
        "DROP TABLE allocations",
        "DROP FUNCTION engage.refuse_change",
        "DROP SCHEMA engage CASCADE",
        "CREATE TABLE public.mine ()",
        "CREATE TABLE engage.mine ()",
        "CREATE FUNCTION engage.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "UPDATE engage.version SET release = '99'",
        "DELETE FROM tortoise_migrations",
        "SET session_replication_role = replica",
    ],
)
async def test_what_would_lead_around_it_is_refused(app: asyncpg.Connection, statement: str) -> None:
    async with refused():
        await app.execute(statement)


async def test_the_log_of_events_can_be_pruned(app: asyncpg.Connection) -> None:
    assert await app.execute("DELETE FROM events WHERE recorded_at < 'epoch'") == "DELETE 0"


async def test_functions_that_are_made_anew_are_granted_anew(
    database_url: str, owner: asyncpg.Connection, app: asyncpg.Connection, granted: AppRole
) -> None:
    await owner.execute("UPDATE engage.version SET hash = 'of other functions'")
    before = await owner.fetchval("SELECT 'engage'::regnamespace::oid")
    assert await migrate(database_url, granted.name) == ["functions and views"]
    assert await owner.fetchval("SELECT 'engage'::regnamespace::oid") != before
    assert await rights(owner, granted) == await expected(owner)
    assert await app.fetchval("SELECT engage.epoch()")
    assert await is_current(app)


async def test_what_was_granted_too_much_is_taken_back(
    database_url: str, owner: asyncpg.Connection, granted: AppRole
) -> None:
    name = granted.name
    await owner.execute(
        f"GRANT ALL ON ALL TABLES IN SCHEMA public, engage TO {name}; GRANT UPDATE (amount) ON entries TO {name};"
        f"GRANT CREATE ON SCHEMA public, engage TO {name}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name};"
        f"REVOKE ALL ON tortoise_migrations FROM {name}"
    )
    assert await migrate(database_url, name) == []
    assert await rights(owner, granted) == await expected(owner)
    for check in (
        "has_any_column_privilege($1, 'entries', 'UPDATE')",
        "has_schema_privilege($1, 'public', 'CREATE')",
        "has_schema_privilege($1, 'engage', 'CREATE')",
        "has_sequence_privilege($1, 'entries_id_seq', 'UPDATE')",
    ):
        assert await owner.fetchval(f"SELECT {check}", name) is False, check


@pytest.mark.parametrize(
    ("right", "named"),
    [
        ("UPDATE (amount) ON entries", "UPDATE ON entries"),
        ("TRUNCATE ON events", "TRUNCATE ON events"),
        ("CREATE ON SCHEMA public", "CREATE ON SCHEMA public"),
    ],
)
@pytest.mark.parametrize("through", ["PUBLIC", "a role"])
async def test_what_others_let_it_do_is_refused(
    database_url: str, owner: asyncpg.Connection, role: AppRole, right: str, named: str, through: str
) -> None:
    async with app_role(database_url) as group:
        grantee = group.name if through == "a role" else through
        if through == "a role":
            await owner.execute(f"GRANT {grantee} TO {role.name}")
        await owner.execute(f"GRANT {right} TO {grantee}")
        try:
            with pytest.raises(Unavailable, match=rf"lets it do more .*: {named}\. REVOKE that"):
                await migrate(database_url, role.name)
            assert await rights(owner, role) == {}
        finally:
            await owner.execute(f"REVOKE {right} FROM {grantee}")


async def test_a_role_that_is_not_there(database_url: str) -> None:
    with pytest.raises(Unavailable, match=r"no role nobody_here.* CREATE ROLE nobody_here LOGIN PASSWORD"):
        await migrate(database_url, "nobody_here")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("ALTER ROLE {} SUPERUSER", "is a superuser"),
        ("ALTER ROLE {} CREATEROLE", "may make roles"),
        ("ALTER TABLE messages OWNER TO {}", "owns something in this database"),
        ("GRANT {owner} TO {}", "is a superuser as a member of {owner}"),
    ],
)
async def test_a_role_that_cannot_be_kept_from_history(
    servers: Servers, template: str, role: AppRole, fault: str, said: str
) -> None:
    url = await create_database(servers, template)
    owner = await asyncpg.connect(url)
    try:
        user = await owner.fetchval("SELECT current_user")
        await owner.execute(fault.format(role.name, owner=user))
        with pytest.raises(Unavailable, match=said.format(owner=user)) as caught:
            await migrate(url, role.name)
        assert "CREATE ROLE engage_app LOGIN PASSWORD" in str(caught.value)
    finally:
        await owner.close()
        await drop_database(servers, url)


async def test_an_owner_who_is_no_superuser(servers: Servers) -> None:
    """As providers have them: it grants, is not the role itself, and the role is not a member of it."""
    url = await create_database(servers)
    try:
        async with app_role(url) as plain, app_role(url) as role:
            superuser = await asyncpg.connect(url)
            name = await superuser.fetchval("SELECT current_database()")
            await superuser.execute(f"ALTER DATABASE {name} OWNER TO {plain.name}")
            assert (await migrate(plain.url, role.name))[-1] == "functions and views"
            assert await rights(superuser, role) == await expected(superuser)
            with pytest.raises(Unavailable, match="is the role that migrates"):
                await migrate(plain.url, plain.name)
            await superuser.execute(f"GRANT {plain.name} TO {role.name}")
            with pytest.raises(Unavailable, match=f"is the role that migrates as a member of {plain.name}"):
                await migrate(plain.url, role.name)
            await superuser.execute(f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
            await superuser.close()
    finally:
        await drop_database(servers, url)


async def test_the_role_itself_migrates_nothing(granted: AppRole) -> None:
    with pytest.raises(Unavailable, match="may not make tables: run `engage db migrate` as the owner"):
        await migrate(granted.url)
