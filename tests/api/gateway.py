"""A gateway on real sockets, as a task of the tests' loop: what it holds can be counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from engage.api.sockets import GraphQLOverWebSocket
from engage.app import create_app
from engage.base.actor import Role
from engage.base.crypto import issue_token
from engage.base.settings import Settings
from engage.cli.serving import server_of
from engage.realtime.hub import Hub
from tests.api.clients import DEADLINE_S


class Server(uvicorn.Server):
    """Leaves signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Gateway:
    """Where it is, what it runs with, and its hub."""

    config: Settings
    port: int
    app: Starlette

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def sockets(self) -> GraphQLOverWebSocket:
        [endpoint] = [route.app for route in self.app.routes if isinstance(route, WebSocketRoute)]
        assert isinstance(endpoint, GraphQLOverWebSocket)
        return endpoint

    @property
    def hub(self) -> Hub:
        return self.sockets.hub()

    def token(self, role: Role, member_id: UUID | None = None, *, valid_for: timedelta = timedelta(hours=1)) -> str:
        subject = f"{role.lower()}-1" if member_id is None else str(member_id)
        return issue_token(self.config, role, subject=subject, member_id=member_id, valid_for=valid_for)


@asynccontextmanager
async def serving(config: Settings) -> AsyncIterator[Gateway]:
    """Serve on a free port while the block runs."""
    app = create_app(config)
    server = Server(server_of(app, config, host="127.0.0.1", port=0, lifespan="on", timeout_graceful_shutdown=5))
    running = asyncio.create_task(server.serve(), name="gateway")
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not server.started:
                assert not running.done(), "the gateway did not start"
                await asyncio.sleep(0.005)
        port: int = server.servers[0].sockets[0].getsockname()[1]
        yield Gateway(config, port, app)
    finally:
        server.should_exit = True
        await running
