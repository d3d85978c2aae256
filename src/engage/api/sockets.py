"""GraphQL over websockets (the protocol graphql-transport-ws), for subscriptions and all else.

The protocol is the library's; ours are the token in `connection_init`, the limits, and that a socket is closed when
the token that it was opened with has expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from engage.api.context import Context
from engage.api.schema import Schema
from engage.base import clock, crypto
from engage.base.errors import Unauthenticated
from engage.base.settings import Settings
from engage.realtime.hub import Hub

INIT_TIMEOUT = timedelta(seconds=10)
OPERATIONS_MAX = 100
CLOSE_TOKEN_EXPIRED = 4403


class SocketContext(Context):
    """The surroundings of one socket: who it is becomes known with `connection_init`."""

    def __init__(self, hub: Hub, socket: WebSocket) -> None:
        super().__init__(None, hub)
        self.connection_params: dict[str, Any] = {}
        self.socket = socket
        self.timer: asyncio.Task[None] | None = None

    def close_when_expired(self, seconds: float) -> None:
        """Close the socket after so long."""
        self.timer = asyncio.create_task(_close_later(self.socket, seconds))


class GraphQLOverWebSocket(GraphQL[Context, None]):
    """The socket endpoint. `hub` is asked for at each socket, since it lives as long as the lifespan."""

    def __init__(self, schema: Schema, config: Settings, hub: Callable[[], Hub]) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=INIT_TIMEOUT,
            max_subscriptions_per_connection=OPERATIONS_MAX,
        )
        self.config = config
        self.hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        socket = WebSocket(scope, receive, send)
        context = SocketContext(self.hub(), socket)
        try:
            await self.run(socket, context=context)
        finally:
            if context.timer is not None:
                context.timer.cancel()

    async def on_ws_connect(self, context: Context) -> dict[str, object]:
        """Take the token from `connection_init`: {"token": "…"} or {"Authorization": "Bearer …"}."""
        if not isinstance(context, SocketContext):
            raise TypeError("This endpoint is for websockets.")
        token = _token(context.connection_params)
        if token is not None:
            try:
                context.caller, holds_until = crypto.read_token(self.config, token)
            except Unauthenticated as error:
                raise ConnectionRejectionError from error
            seconds = (holds_until - clock.now()).total_seconds()
            context.close_when_expired(max(0.0, seconds) + self.config.jwt_leeway_s)
        return {}

    def encode_json(self, data: object) -> str:
        """A text frame: clients reject binary ones."""
        return orjson.dumps(data).decode()

    def decode_json(self, data: str | bytes) -> object:
        """The library expects the standard library's exception, of which orjson's is a kind."""
        return orjson.loads(data)


async def _close_later(socket: WebSocket, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await socket.close(CLOSE_TOKEN_EXPIRED, "The token has expired")


def _token(params: dict[str, Any]) -> str | None:
    token = params.get("token")
    if isinstance(token, str):
        return token
    for name, value in params.items():
        if name.lower() == "authorization" and isinstance(value, str):
            return value.removeprefix("Bearer ").strip()
    return None
