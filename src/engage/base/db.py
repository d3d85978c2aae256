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

from engage.base import audit
from engage.base.actor import Actor
from engage.base.audit import Entry
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
    "entry_to_carry",
    "execute",
    "fetch",
    "fetch_row",
    "fetch_value",
    "record_refused",
    "recorded",
    "rows_affected",
    "savepoint",
    "statement_command",
    "transaction",
]

P = ParamSpec("P")
R = TypeVar("R")

DEADLOCK_RETRIES = 5
RECORDING_S = 2.0
"""How long an answer waits for the row that tells of a refusal."""


class Retry(Exception):  # noqa: N818 -- asks for something, like StopIteration
    """Raised inside a command that lost a race and will see the winner's rows when it is repeated."""


_RETRIED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, Retry)


class Transaction:
    """A transaction in progress: its connection, its task and what to do once it has committed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.task = asyncio.current_task()
        self.after_commit: list[Callable[[], None]] = []
        self.refused: list[Entry] = []
        """Commands inside that came to no good end: recorded when this one has ended, whichever way."""
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
    refused: list[Entry] = []
    try:
        async with acquired() as connection:
            tx = Transaction(connection)
            tx.refused = refused
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
        for entry in refused:
            await _unbroken(_record(entry))


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


async def _record(entry: Entry) -> None:
    """Write an entry's row by itself; where the database cannot be told, the log is."""
    try:
        async with asyncio.timeout(RECORDING_S), acquired() as on:
            await on.execute(audit.INSERT, *entry.values())
    except Exception as error:  # noqa: BLE001 -- whatever it is, the command's caller gets their answer
        entry.log_lost(error)


async def record_refused(actor: Actor, command: str, subjects: dict[str, object], error: BaseException) -> None:
    """Record what was refused before its command had begun. `subjects` are the ids that it was to be given."""
    entry = Entry(actor, command, subjects)
    entry.result = audit.result_of(error)
    await _unbroken(_record(entry))


def entry_to_carry() -> Entry | None:
    """The entry whose row the next statement has to write, since it is the whole command; None where it need not."""
    return None if _current.get() is not None else audit.unwritten()


async def _recording(entry: Entry | None, work: Callable[[], Awaitable[R]]) -> R:
    """Do the work of a command that is not part of another, and see that its entry is written, whatever comes."""
    if entry is None:
        return await work()
    mark = audit.present.set(entry)
    try:
        answer = await work()
    except (Exception, asyncio.CancelledError) as error:
        if entry.ends(error):
            await _unbroken(_record(entry))
        raise
    finally:
        audit.present.reset(mark)
    if not entry.written:
        await _unbroken(_record(entry))
    return answer


async def _joining(tx: Transaction, entry: Entry | None, work: Callable[[], Awaitable[R]]) -> R:
    """Do the work of a command inside the transaction of another, or of what is no command and so not recorded."""
    if entry is None:
        return await work()
    mark = audit.present.set(entry)
    try:
        answer = await work()
    except _RETRIED:
        raise
    except Exception as error:
        entry.ends(error)
        tx.refused.append(entry)
        raise
    finally:
        audit.present.reset(mark)
    entry.learn(answer)
    await tx.connection.execute(audit.INSERT, *entry.values())
    return answer


async def _in_transaction(work: Callable[[], Awaitable[R]]) -> R:
    """One transaction, with the row that tells of it."""
    entry = audit.unwritten()
    if entry is not None:
        entry.result = audit.OK  # whatever was learnt in an attempt before
    async with transaction() as tx:
        answer = await work()
        if entry is not None:
            entry.learn(answer)
            await tx.connection.execute(audit.INSERT, *entry.values())
    if entry is not None:
        entry.written = True
    return answer


def _kind_of_command(
    call: Callable[P, Awaitable[R]], carry_out: Callable[[Callable[[], Awaitable[R]]], Awaitable[R]]
) -> Callable[P, Coroutine[Any, Any, R]]:
    begin = audit.opener(call)

    @functools.wraps(call)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        entry, tx = begin(args, kwargs), _current.get()
        if tx is not None:
            return await _joining(tx, entry, lambda: call(*args, **kwargs))
        return await _recording(entry, lambda: carry_out(lambda: call(*args, **kwargs)))

    return run


def command(call: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make `call` a command: one transaction, repeated whole after a deadlock; inside another command it joins.

    The outermost one with an actor is recorded in its transaction (`engage.base.audit`).
    """
    return _kind_of_command(call, lambda work: _retrying(lambda: _in_transaction(work)))


def statement_command(call: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make `call`, which runs exactly one writing statement, a command without a transaction of its own.

    The statement also writes the row that records it (`entry_to_carry`).
    """
    return _kind_of_command(call, _retrying)


def recorded(call: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Have `call`, which does something before or after its commands, recorded as the whole.

    Its row is written by the first command inside that commits, by itself where there is none.
    """
    return _kind_of_command(call, lambda work: work())
