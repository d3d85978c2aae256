"""The database: one pool a process, one helper for transactions, one decorator for commands.

Why not the ORM's own `in_transaction`: it leaks a pooled connection when a task is cancelled while entering. Here
every await is safe under cancellation: a connection goes back to the pool exactly once, and one that was left inside
a transaction is rolled back before anyone else gets it.

Statements run on the transaction of the calling task if there is one, else each by itself (autocommit). A hot command
is a single such statement, since BEGIN and COMMIT would cost a third of its rate.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar, cast

import asyncpg
from asyncpg.connection import Connection
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.connection import get_connections

from engage.base.pool import OUTAGES, SEARCH_PATH, acquired, connect, disconnect, orm_client

__all__ = [
    "OUTAGES",
    "SEARCH_PATH",
    "Retry",
    "Transaction",
    "acquired",
    "after_commit",
    "command",
    "connect",
    "connection",
    "disconnect",
    "execute",
    "fetch",
    "fetch_row",
    "fetch_value",
    "rows_affected",
    "savepoint",
    "statement_command",
    "transaction",
]

P = ParamSpec("P")
R = TypeVar("R")

DEADLOCK_RETRIES = 5


class Retry(Exception):  # noqa: N818 -- asks for something, like StopIteration
    """Raised inside a command that lost a race and will see the winner's rows when it is repeated."""


_RETRIED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, Retry)


class Transaction:
    """A transaction in progress: its connection, its task and what to do once it has committed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.task = asyncio.current_task()
        self.after_commit: list[Callable[[], None]] = []
        self.savepoints = 0

    def check_task(self) -> None:
        """Raise RuntimeError when another task uses this transaction: one connection does one thing at a time."""
        if asyncio.current_task() is not self.task:
            raise RuntimeError("A transaction belongs to one task: no gather and no spawned tasks inside it.")


_current: ContextVar[Transaction | None] = ContextVar("engage_transaction", default=None)


async def _unbroken(work: Coroutine[Any, Any, None]) -> None:
    """Let `work` finish even when this task is cancelled meanwhile, however often, and then be cancelled."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    failed = task.exception()
    if cancelled is not None:
        raise cancelled from failed
    if failed is not None:
        raise failed


async def _commit(tx: Transaction, told: list[Callable[[], None]]) -> None:
    """Commit, and put into `told` what is to be called for that.

    Raises RuntimeError where the database had given the transaction up: it answers COMMIT with ROLLBACK then.
    """
    if await tx.connection.execute("COMMIT") != "COMMIT":
        raise RuntimeError(
            "Nothing was committed: an error of the database was caught inside this transaction."
            " Put what may fail into db.savepoint()."
        )
    told.extend(tx.after_commit)


async def _undo(connection: Connection, statement: str) -> None:
    """Roll back. A connection that is broken has nothing to undo, and the pool throws it away."""
    with contextlib.suppress(asyncpg.PostgresError, *OUTAGES, OSError):
        await connection.execute(statement)


@asynccontextmanager
async def transaction() -> AsyncIterator[Transaction]:
    """Commit what is done inside, or nothing. Inside another transaction of the same task it joins that one.

    Raises Unavailable when no connection is free in time; RuntimeError when another task's transaction is joined, or
    when an error of the database was caught inside, after which nothing can be committed.
    """
    outer = _current.get()
    if outer is not None:
        outer.check_task()
        yield outer
        return
    told: list[Callable[[], None]] = []
    try:
        async with acquired() as connection:
            tx = Transaction(connection)
            wrapper = TransactionWrapper(orm_client())
            wrapper._connection = connection  # noqa: SLF001 -- how the ORM's own helper binds it
            bound, mark = get_connections().set("default", wrapper), _current.set(tx)
            try:
                await connection.execute("BEGIN")
                yield tx
            except BaseException:
                await _unbroken(_undo(connection, "ROLLBACK"))
                raise
            else:
                await _unbroken(_commit(tx, told))
            finally:
                _current.reset(mark)
                get_connections().reset(bound)
    finally:
        for call in told:  # also when this task was cancelled while it committed
            call()


@asynccontextmanager
async def savepoint() -> AsyncIterator[None]:
    """Undo only what is done inside when it is refused. Needs a transaction around it."""
    tx = _current.get()
    if tx is None:
        raise RuntimeError("A savepoint needs a transaction around it.")
    tx.check_task()
    pending = len(tx.after_commit)
    tx.savepoints += 1
    name = f"engage_{tx.savepoints}"
    await tx.connection.execute(f"SAVEPOINT {name}")
    try:
        yield
    except BaseException:
        del tx.after_commit[pending:]
        await _unbroken(_undo(tx.connection, f"ROLLBACK TO SAVEPOINT {name}"))
        raise
    else:
        await tx.connection.execute(f"RELEASE SAVEPOINT {name}")


def after_commit(call: Callable[[], None]) -> None:
    """Run `call` once the present transaction has committed; at once where there is none."""
    tx = _current.get()
    if tx is None:
        call()
    else:
        tx.after_commit.append(call)


@asynccontextmanager
async def connection() -> AsyncIterator[Connection]:
    """The connection of the present transaction, or a pooled one."""
    tx = _current.get()
    if tx is not None:
        tx.check_task()
        yield tx.connection
        return
    async with acquired() as pooled:
        yield pooled


async def fetch(sql: str, *values: object) -> list[asyncpg.Record]:
    """All rows of one statement."""
    async with connection() as on:
        return cast("list[asyncpg.Record]", await on.fetch(sql, *values))


async def fetch_row(sql: str, *values: object) -> asyncpg.Record | None:
    """The first row of one statement, or None."""
    async with connection() as on:
        return await on.fetchrow(sql, *values)


async def fetch_value(sql: str, *values: object) -> Any:  # noqa: ANN401 -- whatever the column holds
    """The first column of the first row of one statement, or None."""
    async with connection() as on:
        return await on.fetchval(sql, *values)


async def execute(sql: str, *values: object) -> str:
    """Run one statement; answers its command tag, such as `UPDATE 3`."""
    async with connection() as on:
        return cast("str", await on.execute(sql, *values))


def rows_affected(tag: str) -> int:
    """The number in a command tag."""
    return int(tag.rsplit(" ", 1)[-1])


async def _retrying(call: Callable[[], Awaitable[R]]) -> R:
    """Call again after a deadlock or a lost race: both undo everything, so repeating is right."""
    for attempt in range(DEADLOCK_RETRIES):
        try:
            return await call()
        except _RETRIED:
            await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 -- spreads retries
    return await call()


def command(call: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make `call` a command: one transaction, repeated whole after a deadlock; inside another command it joins."""

    @functools.wraps(call)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if _current.get() is not None:
            return await call(*args, **kwargs)

        async def once() -> R:
            async with transaction():
                return await call(*args, **kwargs)

        return await _retrying(once)

    return run


def statement_command(call: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make `call`, which runs exactly one writing statement, a command without a transaction of its own."""

    @functools.wraps(call)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if _current.get() is not None:
            return await call(*args, **kwargs)
        return await _retrying(lambda: call(*args, **kwargs))

    return run
