"""Peers on a socket that do not read: nothing is kept for them without end, and others are not harmed."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import psutil
import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from engage.cli import wire
from tests.api.clients import DEADLINE_S, HttpClient
from tests.api.conftest import People
from tests.api.gateway import Gateway

CHANNELS = "{ channels { code name } }"
MUCH = 64 * 1024**2
PIECE = 64 * 1024


class Deaf:
    """A peer that has made its handshake, sends what it is told to and reads nothing."""

    def __init__(self, connection: sockets.socket) -> None:
        self.connection = connection

    async def send(self, data: bytes, *, at_most: int) -> int:
        """Send the same again and again, until the server takes no more for a second; answers how much it took."""
        loop = asyncio.get_running_loop()
        taken = 0
        while taken < at_most:
            try:
                async with asyncio.timeout(1):
                    await loop.sock_sendall(self.connection, data)
            except (TimeoutError, ConnectionError):
                break
            taken += len(data)
        return taken

    async def send_on(self) -> None:
        """Send until the connection is gone. Raises ConnectionError then, TimeoutError past the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await asyncio.get_running_loop().sock_sendall(self.connection, pings())


def masked(opcode: Opcode, payload: bytes) -> bytes:
    return Frame(opcode, payload).serialize(mask=True)


@asynccontextmanager
async def deaf(gateway: Gateway, token: str) -> AsyncIterator[Deaf]:
    loop = asyncio.get_running_loop()
    connection = sockets.socket()
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    connection.setblocking(False)
    try:
        await loop.sock_connect(connection, ("127.0.0.1", gateway.port))
        protocol = ClientProtocol(parse_uri(gateway.ws_url), subprotocols=["graphql-transport-ws"])  # type: ignore[list-item]
        protocol.send_request(protocol.connect())
        await loop.sock_sendall(connection, b"".join(protocol.data_to_send()))
        await loop.sock_recv(connection, 4096)
        begin = {"type": "connection_init", "payload": {"token": token}}
        await loop.sock_sendall(connection, masked(Opcode.TEXT, orjson.dumps(begin)))
        await loop.sock_recv(connection, 4096)
        yield Deaf(connection)
    finally:
        connection.close()


def pings() -> bytes:
    return masked(Opcode.PING, b"p" * 100) * (PIECE // 106)


def questions() -> bytes:
    asked = ({"type": "subscribe", "id": str(n), "payload": {"query": CHANNELS}} for n in range(PIECE // 120))
    return b"".join(masked(Opcode.TEXT, orjson.dumps(one)) for one in asked)


async def test_who_does_not_read_is_not_read_from(gateway: Gateway, http: HttpClient, people: People) -> None:
    """Pings are answered by the protocol itself: the answers would have no end."""
    async with deaf(gateway, people.staff) as peer:
        assert await peer.send(pings(), at_most=MUCH) < MUCH
        for _ in range(20):
            assert len((await http.ask(CHANNELS, token=people.staff)).data["channels"]) == 8


async def test_questions_without_end_whose_answers_nobody_reads(
    gateway: Gateway, http: HttpClient, people: People
) -> None:
    """The socket is closed, and what still comes is thrown away unread: memory stays as it was."""
    async with deaf(gateway, people.staff) as peer:
        await peer.send(questions(), at_most=PIECE)
        before = psutil.Process().memory_info().rss
        sending = asyncio.create_task(peer.send(questions(), at_most=MUCH))
        for _ in range(20):
            assert len((await http.ask(CHANNELS, token=people.staff)).data["channels"]) == 8
        await sending
        assert psutil.Process().memory_info().rss - before < MUCH / 2


async def test_who_never_reads_again_is_gone(
    gateway: Gateway, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "STALLED_S", 0.2)
    async with deaf(gateway, people.staff) as peer:
        await peer.send(pings(), at_most=MUCH)
        with pytest.raises(ConnectionError):
            await peer.send_on()
