"""A small HTTP/1.1 load generator: cheap enough that it does not measure itself.

Keep-alive, one request at a time on each of its connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bench.harness import CONNECTIONS

NextRequest = Callable[[], bytes]


class _Client(asyncio.Protocol):
    """One connection that sends the next request when the answer to the last has come whole."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.send()

    def send(self) -> None:
        if self.load.over():
            self.transport.close()
        else:
            self.transport.write(self.load.next_request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        end = lower.find(b"\r", at)
        length = int(lower[at : end if end > 0 else None])
        if len(body) < length:
            return
        self.buffer = b""
        if self.load.take(head, body):
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self.load.left.discard(self)
        if not self.load.left:
            self.load.finished.set()


class Load:
    """Sends requests for some seconds over several connections and counts the answers."""

    def __init__(self, port: int, next_request: NextRequest, expect: bytes, seconds: float) -> None:
        self.port = port
        self.next_request = next_request
        self.expect = expect
        self.seconds = seconds
        self.done = 0
        self.wrong = ""
        self.left: set[_Client] = set()
        self.finished = asyncio.Event()
        self._until = 0.0

    def over(self) -> bool:
        """Whether no more is to be sent."""
        return time.perf_counter() >= self._until

    def take(self, head: bytes, body: bytes) -> bool:
        """Count an answer; False for one that is not what was expected."""
        if b" 200 " not in head[:20] or self.expect not in body:
            self.wrong = f"Unexpected answer: {head[:80]!r} {body[:300]!r}"
            return False
        self.done += 1
        return True

    async def run(self) -> float:
        """Answers a second. Raises RuntimeError for an answer that is not what was expected, or none at all."""
        began = time.perf_counter()
        self._until = began + self.seconds
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, client = await loop.create_connection(lambda: _Client(self), "127.0.0.1", self.port)
            self.left.add(client)
        async with asyncio.timeout(self.seconds + 30):
            await self.finished.wait()
        if self.wrong:
            raise RuntimeError(self.wrong)
        return self.done / (time.perf_counter() - began)


def post(path: str, token: str, body: bytes) -> bytes:
    """A request for GraphQL."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nAccept: application/graphql-response+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    """A request for the hand-written handler."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()
