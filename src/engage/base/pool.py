"""The pool: one a process, of connections that go back exactly once, and clean.

One that was left inside a transaction is rolled back before anyone else gets it, and every await is safe under
cancellation. `engage.base.db` is what everything else uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

import asyncpg
from asyncpg.connection import Connection
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.connection import get_connections
from tortoise.context import TortoiseContext

from engage.base.errors import Unavailable
from engage.base.settings import Settings

OUTAGES = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError)
"""What a statement raises when the server has gone away; the internal one where it had said so just before."""

SEARCH_PATH = "public"  # said to each connection: a user named `engage` looks into our schema of functions first


class _State:
    """What `connect` has set up in this process."""

    orm: TortoiseContext | None = None
    pool: asyncpg.Pool | None = None
    acquire_timeout_s: float = 5.0
    at_hand: ClassVar[list[Connection]] = []
    """Between two uses. The library's pool costs a tenth of a hot command; it gets what is unclean or waited for."""
    waiting: int = 0


_state = _State()


async def _reset(connection: Connection) -> None:
    """Give a connection back clean. Costs no round trip unless a cancelled task left a transaction open."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


async def connect(
    config: Settings,
    orm: dict[str, Any],
    *,
    application: str = "engage",
    init: Callable[[Connection], Awaitable[None]] | None = None,
) -> None:
    """Open the pool and hand it to the ORM. `orm` is the ORM's configuration, made by `engage.migrations`.

    Raises Unavailable, which names the setting, when the server cannot be reached.
    """
    with TortoiseContext() as _state.orm:
        await _state.orm.init(config=orm, _enable_global_fallback=True)  # for all tasks, whoever started them
    try:
        _state.pool = await asyncpg.create_pool(
            config.database_url,
            min_size=min(4, config.pool_size_max),
            max_size=config.pool_size_max,
            max_inactive_connection_lifetime=300,
            reset=_reset,
            init=init,
            server_settings={
                "application_name": application,
                "statement_timeout": str(config.statement_timeout_ms),
                "lock_timeout": str(config.lock_timeout_ms),
                "idle_in_transaction_session_timeout": "60000",
                "timezone": "UTC",
                "jit": "off",
                "plan_cache_mode": "force_generic_plan",  # planning anew each time costs more than the running
                "search_path": SEARCH_PATH,
            },
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        await disconnect()
        raise Unavailable(
            f"PostgreSQL does not answer as ENGAGE_DATABASE_URL says ({type(error).__name__}: {error})."
        ) from error
    _state.acquire_timeout_s = config.acquire_timeout_s
    client: Any = orm_client()
    client._pool = _state.pool  # noqa: SLF001 -- the ORM has no public way to be given a pool
    client.acquire_connection = acquired


async def disconnect() -> None:
    """Close the pool. Statements in progress have ten seconds to end."""
    pool, _state.pool = _state.pool, None
    if pool is not None:
        orm_client()._pool = None  # noqa: SLF001 -- see connect
        while _state.at_hand:
            await pool.release(_state.at_hand.pop())
        try:
            await asyncio.wait_for(pool.close(), 10)
        except TimeoutError:
            pool.terminate()
    orm, _state.orm = _state.orm, None
    if orm is not None:
        await orm.close_connections()


def orm_client() -> AsyncpgDBClient:
    """The ORM's client, which works on this pool."""
    return cast("AsyncpgDBClient", get_connections().get("default"))


@asynccontextmanager
async def acquired() -> AsyncIterator[Connection]:
    """A pooled connection for one piece of work. Raises Unavailable when none is free in time."""
    pool = _state.pool
    if pool is None:
        raise RuntimeError("engage.base.db.connect() has not been called.")
    connection = _state.at_hand.pop() if _state.at_hand else None
    if connection is None or connection.is_closed():
        connection = await _from_pool(pool, connection)
    try:
        yield connection
    except asyncpg.InternalClientError:
        connection.terminate()  # it has heard the server's last word, and is of no use though not closed yet
        await pool.release(connection)
        raise
    except BaseException:
        await pool.release(connection)  # which waits for what was cancelled, and cleans up
        raise
    if _state.waiting or connection.is_in_transaction() or _state.pool is not pool:
        await pool.release(connection)
    else:
        _state.at_hand.append(connection)


async def _from_pool(pool: asyncpg.Pool, closed: Connection | None) -> Connection:
    """A connection out of the library's pool, in exchange for one that the server has closed meanwhile."""
    _state.waiting += 1
    try:
        if closed is not None:
            await pool.release(closed)
        return await pool.acquire(timeout=_state.acquire_timeout_s)
    except TimeoutError as error:
        raise Unavailable("All database connections are busy; try again in a moment.") from error
    finally:
        _state.waiting -= 1
