"""Receivers on loopback: small HTTP servers that keep what they are sent and answer as a test wants."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

Answer = Callable[["Delivery"], bytes]
Behaviour = Callable[["Delivery", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Delivery:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return json.loads(self.body)

    def signed_with(self, secret: str) -> bool:
        """As a receiver checks it who knows the specification and not our code."""
        key = base64.b64decode(secret.split("_", 1)[1])
        signed = b".".join(
            [self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body]
        )
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return any(hmac.compare_digest(one, expected) for one in self.headers["webhook-signature"].split(" "))


class Receiver:
    """Where it is, and what it has been sent."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/hook"
        self.deliveries: list[Delivery] = []
        self.connections = 0
        self.answers: list[bytes] = []
        """Given one after another before the usual one."""

    def positions(self, stream: str) -> list[int]:
        messages = [one.message for one in self.deliveries]
        return [one["position"] for one in messages if one["stream"] == stream]


def answer(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", "content-length: 0", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


OK = answer(200)


async def never(_delivery: Delivery, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def saying(*parts: bytes) -> Behaviour:
    """Write these and hang up."""

    async def say(_delivery: Delivery, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()

    return say


async def endless(_delivery: Delivery, writer: asyncio.StreamWriter) -> None:
    """Say yes and go on talking."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def receiving(
    behaviour: Behaviour | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver on a free port; without a behaviour it says yes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                delivery = await _read(reader)
                receiver.deliveries.append(delivery)
                if behaviour is not None:
                    await behaviour(delivery, writer)
                    return
                writer.write(receiver.answers.pop(0) if receiver.answers else OK)
                await writer.drain()

    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(lambda _: writer.close())

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    receiver = Receiver(server.sockets[0].getsockname()[1])
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Delivery:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Delivery(head[0].split(" ")[1], headers, await reader.readexactly(int(headers["content-length"])))
