"""GraphQL over websockets (the protocol graphql-transport-ws), for subscriptions and all else.

The protocol is the library's; ours are the token in `connection_init`, the limits, that messages of another shape
than the protocol's close the socket, and that it is closed when the token that it was opened with has expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from engage.api.browsers import allowed_origins
from engage.api.context import Context
from engage.api.documents import Documents
from engage.api.schema import Schema
from engage.base.bearers import Bearers
from engage.base.errors import Unauthenticated, Unavailable
from engage.base.origin import Via, address_of
from engage.base.settings import Settings
from engage.realtime.hub import Hub

INIT_TIMEOUT = timedelta(seconds=10)
OPERATIONS_MAX = 100
CLOSE_TOKEN_EXPIRED = 4403
CLOSE_TRY_LATER = 1013


class SocketContext(Context):
    """The surroundings of one socket: who it is becomes known with `connection_init`."""

    def __init__(self, hub: Hub, config: Settings, documents: Documents, socket: WebSocket) -> None:
        address = address_of(socket.client and socket.client.host)
        super().__init__(None, hub, config, documents=documents, via=Via.WEBSOCKET, address=address)
        self.connection_params: dict[str, Any] = {}
        self.socket = socket
        self.timer: asyncio.Task[None] | None = None

    def close_when_expired(self) -> None:
        """Close the socket when the caller's token ends."""
        seconds = self.holds_s()
        if seconds is not None:
            self.timer = asyncio.create_task(_close_later(self.socket, seconds))


class QuietAdapter(ASGIWebSocketAdapter):
    """Says nothing more to a socket that is closed: an operation may still answer while it is being ended."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message, if there is still someone to read it."""
        if self.ws.application_state is WebSocketState.CONNECTED:
            try:
                await self.ws.send_text(encode(message))
            except WebSocketDisconnect:
                return  # whoever reads from the socket learns it too, and ends its operations

    async def close(self, code: int, reason: str) -> None:
        """Close it, once."""
        await _close(self.ws, code, reason)


class GraphQLOverWebSocket(GraphQL[Context, None]):
    """The socket endpoint. `hub` is asked for at each socket, since it lives as long as the lifespan."""

    websocket_adapter_class = QuietAdapter

    def __init__(
        self, schema: Schema, config: Settings, hub: Callable[[], Hub], documents: Documents, bearers: Bearers
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allowed_origins=allowed_origins(config),
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=INIT_TIMEOUT,
            max_subscriptions_per_connection=OPERATIONS_MAX,
        )
        self.config = config
        self.hub = hub
        self.documents = documents
        self.bearers = bearers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        socket = WebSocket(scope, receive, send)
        context = SocketContext(self.hub(), self.config, self.documents, socket)
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
                context.caller, context.holds_until = await self.bearers.read(token)
            except Unavailable as error:
                await _close(context.socket, CLOSE_TRY_LATER, "engage cannot answer right now")
                raise ConnectionRejectionError from error
            except Unauthenticated as error:
                raise ConnectionRejectionError from error
            context.close_when_expired()
        return {}

    def encode_json(self, data: object) -> str:
        """A frame of text."""
        return encode(data)

    def decode_json(self, data: str | bytes) -> object:
        """A message of the protocol. The library closes the socket on JSON's exception, and only on that."""
        message = orjson.loads(data)
        if not _is_message(message):
            raise orjson.JSONDecodeError("This is no message of graphql-transport-ws.", "", 0)
        return message


def encode(message: object) -> str:
    """A message as text: clients reject binary frames."""
    return orjson.dumps(message).decode()


def _is_message(message: object) -> bool:
    """Whether a message has the shape that its type says, so that the library can take it apart."""
    if not isinstance(message, dict):
        return False
    kind, payload = message.get("type"), message.get("payload")
    if kind in ("subscribe", "complete") and not isinstance(message.get("id"), str):
        return False
    if kind != "subscribe":
        return isinstance(payload, dict | None)
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        await socket.close(code, reason)


async def _close_later(socket: WebSocket, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await _close(socket, CLOSE_TOKEN_EXPIRED, "The token has expired")


def _token(params: dict[str, Any]) -> str | None:
    token = params.get("token")
    if isinstance(token, str):
        return token
    for name, value in params.items():
        if name.lower() == "authorization" and isinstance(value, str):
            return value.removeprefix("Bearer ").strip()
    return None
