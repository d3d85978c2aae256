"""Clients of the API, as apps have them: GraphQL over HTTP, and graphql-transport-ws over a websocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

DEADLINE_S = 30.0
"""No test waits longer than this for anything."""

MEDIA_TYPE = "application/graphql-response+json"
SUBPROTOCOL = "graphql-transport-ws"

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    headers: httpx.Headers
    body: Json

    @property
    def data(self) -> Json:
        """What was asked for; fails where there are errors."""
        assert "errors" not in self.body, self.body["errors"]
        return cast("Json", self.body["data"])

    @property
    def error(self) -> Json:
        """The one error; fails where there is none or more than one."""
        [error] = self.body["errors"]
        return cast("Json", error)

    @property
    def code(self) -> str:
        """The code of the one error."""
        return cast("str", self.error["extensions"]["code"])


def without_cost(body: Json) -> Json:
    """All of an answer but what it cost and how the budget stands, which any two requests differ in."""
    assert body["extensions"].keys() == {"cost"}
    return {name: value for name, value in body.items() if name != "extensions"}


class HttpClient:
    """Posts operations to a gateway. `raw` is for requests that no GraphQL client would send."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.raw = http

    async def ask(self, query: str, variables: Json | None = None, *, token: str | None = None) -> Answer:
        """Run an operation as the bearer of a token."""
        headers = {"Accept": MEDIA_TYPE}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        answer = await self.raw.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        return read(answer)


def read(answer: httpx.Response) -> Answer:
    """The answer in a response."""
    return Answer(answer.status_code, answer.headers, answer.json())


@asynccontextmanager
async def http_client(url: str) -> AsyncIterator[HttpClient]:
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S, trust_env=False) as http:
        yield HttpClient(http)


class Refused(Exception):  # noqa: N818 -- as the server's own refusals are named
    """The server answered a subscribe message with `error`: the operation never began."""

    def __init__(self, errors: list[Json]) -> None:
        super().__init__(str(errors))
        self.errors = errors


class Closed(Exception):  # noqa: N818 -- tells of an end, not of a fault
    """The server closed the socket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Operation:
    """One operation on a socket."""

    def __init__(self, socket: Socket, name: str) -> None:
        self.name = name
        self.completed = False
        self._socket = socket
        self._inbox: asyncio.Queue[Json | Closed] = asyncio.Queue()

    async def next(self) -> Json:
        """The payload of the next `next` message.

        Raises Refused, Closed, StopAsyncIteration once it is complete, and TimeoutError past the deadline.
        """
        async with asyncio.timeout(DEADLINE_S):
            message = await self._inbox.get()
        if isinstance(message, Closed):
            self._inbox.put_nowait(message)
            raise message
        if message["type"] == "error":
            raise Refused(message["payload"])
        if message["type"] == "complete":
            self.completed = True
            raise StopAsyncIteration
        return cast("Json", message["payload"])

    async def data(self) -> Json:
        """The data of the next payload; fails where it has errors."""
        payload = await self.next()
        assert "errors" not in payload, payload["errors"]
        return cast("Json", payload["data"])

    async def completion(self) -> None:
        """Wait for `complete`; fails when another message comes."""
        try:
            message = await self.next()
        except StopAsyncIteration:
            return
        raise AssertionError(message)

    async def stop(self) -> None:
        """Tell the server that no more is wanted."""
        await self._socket.send({"type": "complete", "id": self.name})

    def take(self, message: Json | Closed) -> None:
        """A message of this operation has come; for `Socket` alone."""
        self._inbox.put_nowait(message)


class Socket:
    """A websocket that speaks graphql-transport-ws; made by `socket` below."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._others: asyncio.Queue[Json | Closed] = asyncio.Queue()
        self._operations: dict[str, Operation] = {}

    async def send(self, message: object) -> None:
        """Send any JSON; text as it is."""
        await self.connection.send(message if isinstance(message, str) else orjson.dumps(message).decode())

    async def init(self, payload: Json | None = None) -> Json:
        """Begin: answers the acknowledgement. Raises Closed."""
        await self.send(
            {"type": "connection_init"} if payload is None else {"type": "connection_init", "payload": payload}
        )
        return await self.other()

    async def other(self) -> Json:
        """The next message that belongs to no operation. Raises Closed, and TimeoutError past the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            message = await self._others.get()
        if isinstance(message, Closed):
            raise message
        return message

    async def start(self, query: str, variables: Json | None = None, *, name: str | None = None) -> Operation:
        """Begin an operation."""
        operation = Operation(self, name or f"op-{len(self._operations)}")
        self._operations[operation.name] = operation
        payload = {"query": query, "variables": variables}
        await self.send({"type": "subscribe", "id": operation.name, "payload": payload})
        return operation

    async def end(self) -> Closed:
        """Wait until the server closes the socket. Raises TimeoutError past the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.shield(self.closed)

    async def read_for_ever(self) -> None:
        """Hand messages to whom they belong, until the socket is closed; for `socket` alone."""
        try:
            async for text in self.connection:
                assert isinstance(text, str), "frames are text: clients reject binary ones"
                message: Json = orjson.loads(text)
                operation = self._operations.get(message.get("id", ""))
                if operation is None:
                    self._others.put_nowait(message)
                else:
                    operation.take(message)
        except ConnectionClosed:
            pass
        closed = Closed(self.connection.close_code or 1006, self.connection.close_reason or "")
        self.closed.set_result(closed)
        self._others.put_nowait(closed)
        for operation in self._operations.values():
            operation.take(closed)


@asynccontextmanager
async def socket(url: str, token: str | None = None, *, init: bool = True) -> AsyncIterator[Socket]:
    """A socket; with `init` it is acknowledged before it is handed out."""
    async with connect(
        url, subprotocols=[Subprotocol(SUBPROTOCOL)], proxy=None, open_timeout=DEADLINE_S, max_size=None
    ) as connection:
        opened = Socket(connection)
        reading = asyncio.create_task(opened.read_for_ever())
        try:
            if init:
                acknowledged = await opened.init({} if token is None else {"token": token})
                assert acknowledged["type"] == "connection_ack"
            yield opened
        finally:
            await connection.close()
            await asyncio.wait([reading])
