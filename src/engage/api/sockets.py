"""GraphQL over websockets (the protocol graphql-transport-ws), for subscriptions and all else.

The protocol is the library's; ours are the token in `connection_init` and its renewal in `ping`, documents that come
by a hash or an id, the limits, that messages of another shape than the protocol's close the socket, and that it is
closed when the token that it was opened with has expired or was revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import Message, PingMessage, SubscribeMessage

from engage.api.browsers import allowed_origins
from engage.api.budget.buckets import Rate, take
from engage.api.budget.limiter import Limiter
from engage.api.budget.open_sockets import OpenSockets
from engage.api.budget.refusals import RateLimited
from engage.api.context import Context
from engage.api.documents import Documents
from engage.api.errors import formatted
from engage.api.requests import Asked, BadRequestError, checked
from engage.api.schema import Faulty, Schema
from engage.base.errors import Refusal, Unauthenticated, Unavailable
from engage.base.grants import Grant
from engage.base.origin import Via, address_of
from engage.base.settings import Settings
from engage.domains.access.gate import Gate
from engage.realtime.hub import Hub

INIT_TIMEOUT = timedelta(seconds=10)
OPERATIONS_MAX = 100
MESSAGES = Rate(1_000, 100)
"""What a socket may send: a hundred a second, a thousand at once when it begins, or was quiet."""

CLOSE_NOT_ACCEPTED = 4403
CLOSE_TRY_LATER = 1013
CLOSE_FLOOD = 1008


class SocketContext(Context):
    """The surroundings of one socket: who it is becomes known with `connection_init`."""

    def __init__(self, hub: Hub, config: Settings, limiter: Limiter, socket: WebSocket) -> None:
        address = address_of(socket.client and socket.client.host)
        super().__init__(None, hub, config, limiter, address, via=Via.WEBSOCKET)
        self.connection_params: dict[str, Any] = {}
        self.socket = socket
        self.ending: asyncio.Task[None] | None = None

    def hold(self, grant: Grant, gate: Gate) -> None:
        """Let the socket live as long as the grant."""
        self.grant = grant
        self.let_go()
        self.ending = asyncio.create_task(_close_when_over(self.socket, grant, gate))

    def let_go(self) -> None:
        """Wait no longer for the grant's end."""
        if self.ending is not None:
            self.ending.cancel()


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


class Handler(BaseGraphQLTransportWSHandler[Context, None]):
    """What the protocol leaves to us: renewal of the token, documents by hash or id, and how much may be sent."""

    view: GraphQLOverWebSocket
    context: SocketContext
    schema: Schema

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- the library's own
        super().__init__(*args, **kwargs)
        self._full_at = 0.0

    async def handle_message(self, message: Message) -> None:
        """Take a message, unless there are too many of them."""
        taken, self._full_at = take(MESSAGES, self._full_at, asyncio.get_running_loop().time(), need=1.0)
        if not taken:
            await self.websocket.close(CLOSE_FLOOD, "Too many messages")
            return
        await super().handle_message(message)

    async def handle_ping(self, message: PingMessage) -> None:
        """Answer; a token in the payload takes the place of the one that the socket has."""
        token = _token(message.get("payload") or {})
        if token is not None and self.connection_acknowledged and not await self._renew(token):
            return
        await super().handle_ping(message)

    async def _renew(self, token: str) -> bool:
        """Whether it is good, and says the same of the caller as the one before; if not, the socket is closed."""
        limiter, network = self.view.limiter, self.context.network
        try:
            limiter.knock(network)
            grant = await self.view.gate.admit(token)
        except Unavailable:
            await self.websocket.close(CLOSE_TRY_LATER, "engage cannot answer right now")
            return False
        except RateLimited as error:
            await self.websocket.close(CLOSE_TRY_LATER, error.message)
            return False
        except Unauthenticated:
            limiter.failed(network)
            await self.websocket.close(CLOSE_NOT_ACCEPTED, "Forbidden")
            return False
        if grant.actor != self.context.caller:
            await self.websocket.close(CLOSE_NOT_ACCEPTED, "This token is another's: open a socket with it")
            return False
        self.context.hold(grant, self.view.gate)
        return True

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begin an operation, whose document may come by a hash or an id."""
        payload: dict[str, Any] = dict(message["payload"])
        if self.connection_acknowledged:
            try:
                self.context.limiter.enter(self.context.caller, self.context.network)
                payload["query"] = await self._document(checked(payload))
            except BadRequestError as error:
                await self._refuse(message, GraphQLError(error.message, extensions={"code": error.code}))
                return
            except Refusal as error:
                await self._refuse(message, GraphQLError("", original_error=error))
                return
        await super().handle_subscribe({**message, "payload": payload})  # type: ignore[typeddict-item]

    async def _refuse(self, message: SubscribeMessage, error: GraphQLError) -> None:
        shown = formatted(error, self.context.request_id)
        await self.websocket.send_json({"id": message["id"], "type": "error", "payload": [shown]})

    async def _document(self, asked: Asked) -> str:
        documents = self.view.documents
        query = await documents.find(asked.query, asked.document_id, asked.digest)
        if asked.digest is not None and asked.query is not None:
            known = self.schema.prepare(query, asked.name, introspection=self.view.config.development)
            if not isinstance(known, Faulty):
                await documents.keep(query, asked.digest)
        return query


class GraphQLOverWebSocket(GraphQL[Context, None]):
    """The socket endpoint. `hub` is asked for at each socket, since it lives as long as the lifespan."""

    websocket_adapter_class = QuietAdapter
    graphql_transport_ws_handler_class = Handler

    def __init__(
        self,
        schema: Schema,
        config: Settings,
        hub: Callable[[], Hub],
        documents: Documents,
        gate: Gate,
        limiter: Limiter,
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
        self.gate = gate
        self.limiter = limiter
        self.open = OpenSockets(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        socket = WebSocket(scope, receive, send)
        context = SocketContext(self.hub(), self.config, self.limiter, socket)
        with self.open.room(context.network) as has_room:
            if not has_room:
                await _turn_away(socket)
                return
            try:
                await self.run(socket, context=context)
            finally:
                context.let_go()

    async def on_ws_connect(self, context: Context) -> dict[str, object]:
        """Take the token from `connection_init`: {"token": "…"} or {"Authorization": "Bearer …"}."""
        if not isinstance(context, SocketContext):
            raise TypeError("This endpoint is for websockets.")
        try:
            context.limiter.knock(context.network)
            await self._recognise(context)
            context.limiter.enter(context.caller, context.network)
        except Unavailable as error:
            await _close(context.socket, CLOSE_TRY_LATER, "engage cannot answer right now")
            raise ConnectionRejectionError from error
        except RateLimited as error:
            await _close(context.socket, CLOSE_TRY_LATER, error.message)
            raise ConnectionRejectionError from error
        except Unauthenticated as error:
            context.limiter.failed(context.network)
            raise ConnectionRejectionError from error
        return {}

    async def _recognise(self, context: SocketContext) -> None:
        token = _token(context.connection_params)
        if token is not None:
            context.hold(await self.gate.admit(token), self.gate)

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
        and (isinstance(payload.get("query"), str) or "documentId" in payload or "extensions" in payload)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        await socket.close(code, reason)


async def _turn_away(socket: WebSocket) -> None:
    """Close it with a code: a browser would not tell its page why a socket was never opened."""
    await socket.accept(next(iter(socket.scope.get("subprotocols", ())), None))
    await socket.close(CLOSE_TRY_LATER, "Too many sockets are open; connect again later")


async def _close_when_over(socket: WebSocket, grant: Grant, gate: Gate) -> None:
    await _close(socket, CLOSE_NOT_ACCEPTED, await gate.over(grant))


def _token(params: Mapping[str, Any]) -> str | None:
    token = params.get("token")
    if isinstance(token, str):
        return token
    for name, value in params.items():
        if name.lower() == "authorization" and isinstance(value, str):
            return value.removeprefix("Bearer ").strip()
    return None
