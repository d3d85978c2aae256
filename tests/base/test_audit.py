"""What the audit log holds of commands: as much as was done, whatever comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
import structlog

from engage.base import audit, clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import InvalidInput, Refusal
from engage.base.ids import first_id, new_id
from engage.base.origin import Origin, Via, address_of, coming
from engage.base.settings import Settings
from engage.migrations import migrate, orm_config
from engage.outbox.jobs import prune
from tests.api.audited import recording, told
from tests.base.app_role import app_role
from tests.base.cancelling import cancel_at

STAFF = Actor("till", Role.STAFF)
PUT = "INSERT INTO audited_things (id) VALUES ($1)"
OLD = """INSERT INTO audit_log (id, at, actor, role, via, command, subjects, result)
         VALUES ($1, $2, 'somebody', 'STAFF', 'HTTP', 'old', '{}', 'OK')"""


@pytest.fixture(scope="module", autouse=True)
async def things(connected: Settings) -> AsyncIterator[None]:
    assert connected.database_url
    await db.execute("CREATE TABLE audited_things (id uuid PRIMARY KEY)")
    yield
    await db.execute("DROP TABLE audited_things")


@db.command
async def put(actor: Actor, *, thing_id: UUID, note: str = "", then: Exception | None = None) -> UUID:
    assert (actor, note is None) == (actor, False)
    await db.execute(PUT, thing_id)
    if then is not None:
        raise then
    return thing_id


@db.command
async def put_two(actor: Actor, thing_ids: list[UUID], *, program: str) -> str:
    for one in thing_ids:
        await put(actor, thing_id=one)
    return program


@db.command
async def machinery(thing_id: UUID, refuse: Exception | None = None) -> None:
    """A step of a job, such as it is: no actor, and commands inside."""
    await db.execute(PUT, new_id())
    try:
        async with db.savepoint():
            await put(STAFF, thing_id=thing_id, then=refuse)
    except Refusal:
        pass


@db.recorded
async def put_apart(actor: Actor, *, thing_ids: list[UUID], then: Exception | None = None) -> None:
    for one in thing_ids:
        await put(actor, thing_id=one)
    if then is not None:
        raise then


async def there(*thing_ids: UUID) -> int:
    found: int = await db.fetch_value("SELECT count(*) FROM audited_things WHERE id = ANY ($1)", list(thing_ids))
    return found


async def test_who_what_whom_and_from_where() -> None:
    thing = new_id()
    with coming(Origin(Via.HTTP, "request-1", "203.0.113.7", "token-1")):
        async with recording() as rows:
            await put(STAFF, thing_id=thing, note="to Ann, 13912345678")
    [row] = rows
    assert row.pop("id")
    assert abs(row.pop("at") - clock.now()) < timedelta(minutes=1)
    assert row == {
        "actor": "till", "role": "STAFF", "via": "HTTP", "command": "put", "subjects": {"thing_id": str(thing)},
        "member_id": None, "result": "OK", "request_id": "request-1", "address": "203.0.113.7",
        "credential": "token-1",
    }  # fmt: skip


async def test_what_is_undone_leaves_the_refusal_alone() -> None:
    for error, result in ((InvalidInput("No."), "INVALID_INPUT"), (ValueError("a fault"), "FAILED")):
        thing = new_id()
        async with recording() as rows:
            with pytest.raises(type(error)):
                await put(STAFF, thing_id=thing, then=error)
        assert told(rows) == [("put", result)]
        assert rows[0]["subjects"] == {"thing_id": str(thing)}
        assert await there(thing) == 0


async def test_commands_inside_are_part_of_the_outermost() -> None:
    ids = [new_id(), new_id()]
    async with recording() as rows:
        assert await put_two(STAFF, ids, program="default") == "default"
    assert told(rows) == [("put_two", "OK")]
    assert rows[0]["subjects"] == {"thing_ids": [str(one) for one in ids], "program": "default"}


async def test_a_code_that_is_none_is_not_kept() -> None:
    for typed in ("13912345678", "Ann Lee", "ann@example.com", "x" * 100):
        async with recording() as rows:
            await put_two(STAFF, [], program=typed)
        assert rows[0]["subjects"] == {}


async def test_machinery_is_not_recorded_and_what_it_calls_is() -> None:
    thing = new_id()
    with coming(Origin(Via.JOB, "job-1")):
        async with recording() as rows:
            await machinery(thing)
    assert told(rows) == [("put", "OK")]
    assert (rows[0]["via"], rows[0]["request_id"]) == ("JOB", "job-1")
    async with recording() as rows:
        await machinery(new_id(), InvalidInput("No."))
    assert told(rows) == [("put", "INVALID_INPUT")]


async def test_what_machinery_undoes_leaves_nothing_done() -> None:
    async def undone() -> None:
        async with db.transaction():
            await put(STAFF, thing_id=thing)
            raise ValueError("undone")

    thing = new_id()
    async with recording() as rows:
        with pytest.raises(ValueError, match="undone"):
            await undone()
    assert (rows, await there(thing)) == ([], 0)


async def test_several_commands_as_one() -> None:
    ids = [new_id(), new_id()]
    async with recording() as rows:
        await put_apart(STAFF, thing_ids=ids)
    assert told(rows) == [("put_apart", "OK")]
    async with recording() as rows:
        await put_apart(STAFF, thing_ids=[])
    assert told(rows) == [("put_apart", "OK")]
    ids = [new_id()]
    async with recording() as rows:
        with pytest.raises(InvalidInput):
            await put_apart(STAFF, thing_ids=ids, then=InvalidInput("No."))
    assert told(rows) == [("put_apart", "OK"), ("put_apart", "INVALID_INPUT")]  # the first part stands
    assert await there(*ids) == 1


async def test_tasks_that_a_command_starts_are_on_their_own() -> None:
    @db.recorded
    async def spread(actor: Actor) -> None:
        assert actor is STAFF
        await asyncio.gather(*(asyncio.create_task(put(STAFF, thing_id=new_id())) for _ in range(2)))

    async with recording() as rows:
        await spread(STAFF)
    assert sorted(told(rows)) == [("put", "OK"), ("put", "OK"), ("spread", "OK")]


async def test_many_at_once_each_leave_theirs() -> None:
    async def one(number: int) -> None:
        with coming(Origin(Via.HTTP, f"request-{number}")):
            try:
                await put(STAFF, thing_id=UUID(int=number), then=InvalidInput("No.") if number % 2 else None)
            except InvalidInput:
                assert number % 2

    async with recording() as rows:
        await asyncio.gather(*(one(number) for number in range(200)))
    found = {(row["request_id"], row["subjects"]["thing_id"], row["result"]) for row in rows}
    assert len(rows) == 200
    assert found == {
        (f"request-{number}", str(UUID(int=number)), "INVALID_INPUT" if number % 2 else "OK") for number in range(200)
    }


@pytest.mark.parametrize("late", [False, True])
async def test_a_command_that_is_cancelled_anywhere_is_recorded_as_it_ended(*, late: bool) -> None:
    at, more = 1, True
    while more:
        thing = new_id()
        async with recording() as rows:
            more = await cancel_at(at, lambda thing=thing: put(STAFF, thing_id=thing), late=late)  # type: ignore[misc]
        done = await there(thing)
        results = [result for _, result in told(rows)]
        assert results.count("OK") == done, (at, results)
        assert set(results) <= {"OK", "OUTCOME_UNKNOWN"}
        assert results or not done
        at += 1
    assert at > 4


async def test_where_the_database_is_away_the_log_says_it_and_the_caller_is_answered(config: Settings) -> None:
    await db.execute("ALTER TABLE audit_log RENAME TO audit_log_elsewhere")
    try:
        with structlog.testing.capture_logs() as logs, pytest.raises(InvalidInput):
            await put(STAFF, thing_id=new_id(), then=InvalidInput("No."))
    finally:
        await db.execute("ALTER TABLE audit_log_elsewhere RENAME TO audit_log")
    [line] = [line for line in logs if line["event"] == "audit.not_written"]
    assert (line["actor"], line["command"], line["result"]) == ("till", "put", "INVALID_INPUT")
    assert {*audit.COLUMNS} <= {*line}
    assert config.database_url


async def test_what_cannot_be_recorded_is_not_done() -> None:
    thing = new_id()
    await db.execute("ALTER TABLE audit_log RENAME TO audit_log_elsewhere")
    try:
        with structlog.testing.capture_logs(), pytest.raises(asyncpg.UndefinedTableError):
            await put(STAFF, thing_id=thing)
    finally:
        await db.execute("ALTER TABLE audit_log_elsewhere RENAME TO audit_log")
    assert await there(thing) == 0


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET actor = 'me'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
async def test_it_is_only_added_to(database_url: str, statement: str) -> None:
    await put(STAFF, thing_id=new_id())
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="never changed or removed"):  # not the owner
        await db.execute(statement)
    async with app_role(database_url) as role:
        await migrate(database_url, role.name)
        connection = await asyncpg.connect(role.url)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(statement)
        finally:
            await connection.close()


async def put_old(days: float) -> UUID:
    at = clock.now() - timedelta(days=days)
    row_id = UUID(int=first_id(at).int + new_id().int % 2**60)
    await db.execute(OLD, row_id, at)
    return row_id


async def kept(*ids: UUID) -> list[UUID]:
    return [row["id"] for row in await db.fetch("SELECT id FROM audit_log WHERE id = ANY ($1) ORDER BY id", ids)]


async def test_what_is_old_is_forgotten_by_a_role_that_may_not_delete(config: Settings, database_url: str) -> None:
    old, recent = [await put_old(days) for days in (900, 731)], [await put_old(days) for days in (729, 1)]
    await db.disconnect()
    try:
        async with app_role(database_url) as role:
            await migrate(database_url, role.name)
            await db.connect(config.model_copy(update={"database_url": role.url}), orm_config(role.url))
            try:
                await prune()
                assert await kept(*old, *recent) == sorted(recent)
            finally:
                await db.disconnect()
    finally:
        await db.connect(config, orm_config(config.database_url))


async def test_nobody_forgets_what_is_younger_than_ninety_days() -> None:
    old, recent = await put_old(91), await put_old(89)
    assert await db.fetch_value("SELECT engage.audit_prune(now() + interval '1 year', 1000)") >= 1
    assert await kept(old, recent) == [recent]


async def test_first_ids_are_the_same_here_and_in_the_database() -> None:
    for at in (clock.now(), clock.now().replace(microsecond=999_999), clock.now().replace(year=1999)):
        assert await db.fetch_value("SELECT engage.first_id($1)", at) == first_id(at)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8::0001", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", None),
        ("13912345678", None),
        ("<script>", None),
        (None, None),
    ],
)
def test_an_address_is_one_or_nothing(host: str | None, address: str | None) -> None:
    assert address_of(host) == address
