"""Counts the statements that a gateway sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from asyncpg.connection import Connection, LoggedQuery

from engage.base import db

NOT_OF_REQUESTS = (
    "typeinfo_tree",
    "set_config('jit'",
    "SELECT DISTINCT event FROM outbox_routes",
    "SELECT mark, value, revoked_at FROM revocations",
)
"""The driver's own look at types, once for each connection; looks at routes and revocations in the background."""


class Statements:
    """Those that the gateway has sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def listen(self, connection: Connection) -> None:
        connection.add_query_logger(self._note)

    def _note(self, query: LoggedQuery) -> None:
        if not any(mark in query.query for mark in NOT_OF_REQUESTS):
            self.sent.append(query.query)

    @contextmanager
    def of_connections(self) -> Iterator[None]:
        """Have those noted of all connections that are made in the block."""
        connect: Callable[..., Awaitable[None]] = db.connect

        async def connect_counting(*args: Any, **kwargs: Any) -> None:
            await connect(*args, **kwargs, init=self.listen)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(db, "connect", connect_counting)
            yield

    @asynccontextmanager
    async def counted(self, expected: Callable[[int], bool]) -> AsyncIterator[None]:
        """Fail unless so many were sent in the block."""
        for _ in range(5):
            await asyncio.sleep(0)  # those sent before are told a turn later
        self.sent.clear()
        yield
        assert expected(len(self.sent)), self.sent
