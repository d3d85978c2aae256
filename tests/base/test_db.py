"""The pool and its transactions: what commits, what is undone, and that no cancellation leaks a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from engage.base import db
from engage.base.errors import Unavailable
from engage.base.readings import Fetch, Reading, fetch_together
from engage.base.settings import Settings
from engage.migrations import orm_config
from tests.base.cancelling import cancel_at

POOL = 3


@pytest.fixture(scope="module")
async def pool(config: Settings) -> AsyncIterator[Settings]:
    """A process with few connections and little patience."""
    small = config.model_copy(update={"pool_size_max": POOL, "acquire_timeout_s": 0.2})
    await db.connect(small, orm_config(small.database_url))
    await db.execute("CREATE TABLE things (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
    yield small
    await db.disconnect()


@pytest.fixture(autouse=True)
async def complaints(pool: Settings) -> AsyncIterator[list[dict[str, Any]]]:
    """An empty table before each test; after it a pool that is whole, and a loop that had nothing to complain of."""
    assert pool.pool_size_max == POOL
    await db.execute("TRUNCATE things")
    heard: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context))
    yield heard
    loop.set_exception_handler(None)
    await assert_pool_is_whole()
    assert heard == []


async def assert_pool_is_whole() -> None:
    """All connections can be had at once, and none is inside a transaction."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(POOL):
            connection = await stack.enter_async_context(db.acquired())
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT 1") == 1


async def ids() -> list[int]:
    return [row["id"] for row in await db.fetch("SELECT id FROM things ORDER BY id")]


async def put(number: int) -> None:
    await db.execute("INSERT INTO things (id) VALUES ($1)", number)


class Oops(Exception):  # noqa: N818 -- a mishap
    """Goes wrong."""


async def test_a_transaction_commits_as_a_whole_and_tells_then() -> None:
    told: list[int] = []
    async with db.transaction():
        await put(1)
        db.after_commit(lambda: told.append(1))
        async with db.transaction():  # joins
            await put(2)
            db.after_commit(lambda: told.append(2))
        async with db.acquired() as other:
            assert await other.fetchval("SELECT count(*) FROM things") == 0
        assert told == []
    assert (await ids(), told) == ([1, 2], [1, 2])


async def test_a_transaction_that_fails_undoes_everything_and_tells_nothing() -> None:
    told: list[int] = []

    async def work() -> None:
        async with db.transaction():
            await put(1)
            async with db.transaction():
                await put(2)
                db.after_commit(lambda: told.append(1))
            raise Oops

    with pytest.raises(Oops):
        await work()
    assert (await ids(), told) == ([], [])


async def test_outside_a_transaction_it_is_told_at_once() -> None:
    told: list[int] = []
    db.after_commit(lambda: told.append(1))
    assert told == [1]


async def test_a_savepoint_undoes_what_is_inside_it_alone() -> None:
    told: list[str] = []

    async def twice() -> None:
        async with db.savepoint():
            await put(2)
            db.after_commit(lambda: told.append("undone"))
            await put(1)

    async def mishap() -> None:
        async with db.savepoint():
            await put(4)
            raise Oops

    async with db.transaction():
        await put(1)
        db.after_commit(lambda: told.append("outside"))
        with pytest.raises(asyncpg.UniqueViolationError):
            await twice()
        async with db.savepoint():
            await put(3)
            with pytest.raises(Oops):
                await mishap()
            db.after_commit(lambda: told.append("inside"))
    assert (await ids(), told) == ([1, 3], ["outside", "inside"])


async def test_a_savepoint_needs_a_transaction() -> None:
    with pytest.raises(RuntimeError, match="needs a transaction"):
        async with db.savepoint():
            pass


async def test_an_error_that_was_swallowed_is_no_commit() -> None:
    told: list[int] = []

    async def work() -> None:
        async with db.transaction():
            await put(1)
            db.after_commit(lambda: told.append(1))
            with contextlib.suppress(asyncpg.UniqueViolationError):
                await put(1)

    with pytest.raises(RuntimeError, match="savepoint"):
        await work()
    assert (await ids(), told) == ([], [])


async def test_a_transaction_belongs_to_its_task() -> None:
    async def other() -> None:
        await put(2)

    async def joined() -> None:
        async with db.transaction():
            await put(3)

    async def saved() -> None:
        async with db.savepoint():
            await put(4)

    async with db.transaction():
        await put(1)
        for work in (other, joined, saved):
            with pytest.raises(RuntimeError, match="belongs to one task"):
                await asyncio.create_task(work())
    assert await ids() == [1]


async def test_commands_join_and_repeat_after_a_deadlock() -> None:
    await put(1)
    await put(2)
    both = asyncio.Barrier(2)
    runs = {"up": 0, "down": 0}

    @db.command
    async def add(number: int) -> None:
        await db.execute("UPDATE things SET n = n + 1 WHERE id = $1", number)

    @db.command
    async def add_both(name: str, first: int, second: int) -> None:
        runs[name] += 1
        await add(first)
        if runs[name] == 1:
            await both.wait()  # each holds its first row now
        await add(second)

    await asyncio.gather(add_both("up", 1, 2), add_both("down", 2, 1))
    assert sorted(runs.values()) == [1, 2]
    assert [row["n"] for row in await db.fetch("SELECT n FROM things ORDER BY id")] == [2, 2]


async def test_a_lost_race_is_repeated_with_nothing_left_of_it() -> None:
    runs = 0

    @db.command
    async def race() -> int:
        nonlocal runs
        runs += 1
        await put(runs)
        if runs < 3:
            raise db.Retry("someone was faster")
        return runs

    assert await race() == 3
    assert await ids() == [3]


async def test_repeating_has_an_end() -> None:
    runs = 0

    @db.command
    async def race() -> None:
        nonlocal runs
        runs += 1
        raise db.Retry("someone is always faster")

    with pytest.raises(db.Retry):
        await race()
    assert runs == db.DEADLOCK_RETRIES + 1


async def test_a_statement_command_is_repeated_too_and_joins() -> None:
    runs = 0

    @db.statement_command
    async def race(number: int) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise db.Retry("someone was faster")
        await put(number)

    async def work() -> None:
        async with db.transaction():
            await race(2)
            raise Oops

    await race(1)
    with pytest.raises(Oops):
        await work()
    assert (runs, await ids()) == (3, [1])


async def test_waiting_for_a_connection_ends_with_a_sentence() -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(POOL):
            await stack.enter_async_context(db.acquired())
        with pytest.raises(Unavailable, match="All database connections are busy"):
            await ids()
        with pytest.raises(Unavailable):
            async with db.transaction():
                pass
    assert await ids() == []


async def test_a_connection_that_the_server_ends_is_replaced() -> None:
    async def work() -> None:
        async with db.transaction():
            await put(1)
            await db.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    for _ in range(POOL + 2):
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await work()
    assert await ids() == []


async def work_in_parts() -> None:
    async with db.transaction():
        await put(1)
        async with db.savepoint():
            await put(2)
        await put(3)


async def work_that_fails() -> None:
    with contextlib.suppress(Oops):
        async with db.transaction():
            await put(1)
            with contextlib.suppress(Oops):
                async with db.savepoint():
                    await put(2)
                    raise Oops
            raise Oops


@pytest.mark.parametrize("late", [False, True])
async def test_cancelled_at_any_await_it_did_all_or_nothing(*, late: bool) -> None:
    at, outcomes = 0, []
    cancelled = True
    while cancelled:
        at += 1
        await db.execute("TRUNCATE things")
        cancelled = await cancel_at(at, work_in_parts, late=late)
        outcomes.append(await ids())
        assert outcomes[-1] in ([], [1, 2, 3])
    assert at > POOL
    assert outcomes[-1] == [1, 2, 3]
    await assert_pool_is_whole()


@pytest.mark.parametrize("late", [False, True])
async def test_cancelled_while_undoing_it_undoes(*, late: bool) -> None:
    at = 1
    while await cancel_at(at, work_that_fails, late=late):
        at += 1
        assert await ids() == []
    assert at > POOL


@pytest.mark.parametrize("late", [False, True])
async def test_cancelled_while_committing_it_tells_if_it_has(*, late: bool) -> None:
    told: list[int] = []

    async def work() -> None:
        async with db.transaction():
            db.after_commit(lambda: told.append(1))
            await put(1)

    at, cancelled = 0, True
    while cancelled:
        at += 1
        told.clear()
        await db.execute("TRUNCATE things")
        cancelled = await cancel_at(at, work, late=late)
        assert told == await ids()


async def test_cancelled_again_and_again_a_commit_still_ends() -> None:
    async def work() -> None:
        async with db.transaction():
            await put(1)

    for steps in range(60):
        await db.execute("TRUNCATE things")
        task = asyncio.create_task(work())
        for _ in range(steps):
            await asyncio.sleep(0)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await ids() in ([], [1])
    await assert_pool_is_whole()


async def test_readings_are_fetched_together() -> None:
    await db.execute("INSERT INTO things SELECT i, 10 * i FROM generate_series(1, 3) AS i")
    numbers = Reading(
        "SELECT id::text, to_json(n + $2) FROM things WHERE id = ANY ($1::text[]::int[])", lambda value: value, 0
    )
    names = Reading(
        "SELECT id::text, to_json($3 || id || $2) FROM things WHERE id = ANY ($1::text[]::int[])", str, ""
    )
    members: Any = ("1", "3", "9")
    found = await fetch_together([Fetch(numbers, members, (5,)), Fetch(names, members, (">", "<"))])
    assert found == [{"1": 15, "3": 35}, {"1": "<1>", "3": "<3>"}]


async def test_a_server_that_is_not_there_is_named_by_its_setting(pool: Settings) -> None:
    nowhere = pool.model_copy(update={"database_url": "postgres://nobody@127.0.0.1:1/nothing"})
    await db.disconnect()
    try:
        with pytest.raises(Unavailable, match="ENGAGE_DATABASE_URL"):
            await db.connect(nowhere, orm_config(nowhere.database_url))
        with pytest.raises(RuntimeError, match="has not been called"):
            await ids()
    finally:
        await db.connect(pool, orm_config(pool.database_url))
    assert await ids() == []
