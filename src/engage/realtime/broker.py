"""The broker: one Redis connection a process on which everything that it listens to arrives.

It outlives Redis: when the connection is lost or silent it dials again, tells Redis what it listens to, and only
then says so to whoever must make up for what was missed meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio.connection import AbstractConnection, ConnectionPool

CONNECT_S = 3.0  # to dial and log in
CONFIRM_S = 1.0  # a new listener waits this long for Redis to say that it is one
PAUSE_MIN_S, PAUSE_MAX_S = 0.05, 2.0  # between two tries to dial
SILENCE_MAX_S = 10.0  # a connection on which nothing comes, not even an answer to PING
CHANNELS_MAX = 500  # named in one command
ALL_TOLD = b"all-told"  # comes back on the connection after what was sent before it has taken effect

Hear = Callable[[bytes], None]

logger = structlog.get_logger(__name__)


class Broker:
    """Listens on channels. `messages` and `connects` count since the start."""

    def __init__(self, redis_url: str, prefix: str, *, silence_max_s: float = SILENCE_MAX_S) -> None:
        self.messages = 0
        self.connects = 0
        self.connected = False
        self._pool = ConnectionPool.from_url(redis_url)
        self._prefix = prefix
        self._silence_max_s = silence_max_s
        self._heard_at = 0.0
        self._hears: dict[bytes, Hear] = {}
        self._told: set[bytes] = set()  # what Redis was told on this connection to send
        self._changed: set[bytes] = set()  # what it may have to be told
        self._confirming: dict[bytes, asyncio.Future[None]] = {}
        self._work = asyncio.Event()
        self._on_connect: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._away = False

    def start(self) -> None:
        """Begin to dial. Redis may be away."""
        self._task = asyncio.create_task(self._run(), name="broker")

    async def stop(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def on_connect(self, call: Callable[[], None]) -> None:
        """Have `call` called each time that all channels are listened to again; messages before may be lost."""
        self._on_connect.append(call)

    def listen(self, channel: str, hear: Hear) -> None:
        """Hand each message on a channel to `hear`. Raises ValueError when the channel has a listener already."""
        name = self._name(channel)
        if name in self._hears:
            raise ValueError(f"The channel {channel} has a listener already.")
        self._hears[name] = hear
        self._changed.add(name)
        if self.connected and name not in self._told:
            self._confirming[name] = asyncio.get_running_loop().create_future()
        self._work.set()

    async def confirmed(self, channel: str) -> None:
        """Wait until Redis sends what is published on a channel; not for a Redis that is away or does not answer."""
        waiting = self._confirming.get(self._name(channel))
        if waiting is not None:
            await asyncio.wait([waiting], timeout=CONFIRM_S)

    def leave(self, channel: str) -> None:
        """Listen no more on a channel."""
        name = self._name(channel)
        self._hears.pop(name, None)
        self._confirm(name)
        self._changed.add(name)
        self._work.set()

    def _name(self, channel: str) -> bytes:
        return f"{self._prefix}:{channel}".encode()

    def _confirm(self, name: bytes) -> None:
        waiting = self._confirming.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def _run(self) -> None:
        pause = PAUSE_MIN_S
        while True:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                async with asyncio.timeout(CONNECT_S):
                    await connection.connect()  # type: ignore[no-untyped-call]
                pause = PAUSE_MIN_S
                self._opened()
                await self._serve(connection)
            except Exception as error:  # noqa: BLE001 -- whatever happened, dial again
                self._lost(error)
            finally:
                self._closed()
                await connection.disconnect(nowait=True)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 -- spreads the processes
            pause = min(pause * 2, PAUSE_MAX_S)

    def _opened(self) -> None:
        self.connects += 1
        self.connected = True
        self._told.clear()
        self._changed = set(self._hears)
        if self._away:
            logger.info("broker.back", channels=len(self._hears))
        self._away = False

    def _lost(self, error: Exception) -> None:
        if not self._away:
            logger.warning("broker.away", reason=f"{type(error).__name__}: {error}")
        self._away = True

    def _closed(self) -> None:
        self.connected = False
        for name in list(self._confirming):
            self._confirm(name)

    async def _serve(self, connection: AbstractConnection) -> None:
        """Read and write until either fails."""
        self._heard_at = asyncio.get_running_loop().time()
        tasks = {asyncio.create_task(self._read(connection)), asyncio.create_task(self._write(connection))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, connection: AbstractConnection) -> None:
        await self._tell(connection)
        await connection.send_command("PING", ALL_TOLD)
        while True:
            try:
                async with asyncio.timeout(self._silence_max_s / 3):
                    await self._work.wait()
            except TimeoutError:
                if asyncio.get_running_loop().time() - self._heard_at > self._silence_max_s:
                    raise TimeoutError("Redis has not answered for too long.") from None
                async with asyncio.timeout(self._silence_max_s):
                    await connection.send_command("PING")
            self._work.clear()
            await self._tell(connection)

    async def _tell(self, connection: AbstractConnection) -> None:
        changed, self._changed = self._changed, set()
        come = [name for name in changed if name in self._hears and name not in self._told]
        gone = [name for name in changed if name not in self._hears and name in self._told]
        self._told.update(come)
        self._told.difference_update(gone)
        for command, names in (("UNSUBSCRIBE", gone), ("SUBSCRIBE", come)):
            for first in range(0, len(names), CHANNELS_MAX):
                async with asyncio.timeout(self._silence_max_s):
                    await connection.send_command(command, *names[first : first + CHANNELS_MAX])

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            message: Any = await connection.read_response(disable_decoding=True)
            self._heard_at = asyncio.get_running_loop().time()
            # Outside of a subscription PING is answered by its bare argument.
            kind, *rest = message if isinstance(message, list) else (b"pong", message)
            if kind == b"message":
                self._hand_over(*rest)
            elif kind == b"subscribe":
                self._confirm(rest[0])
            elif kind == b"pong" and rest[0] == ALL_TOLD:
                for call in self._on_connect:
                    call()

    def _hand_over(self, name: bytes, message: bytes) -> None:
        self.messages += 1
        hear = self._hears.get(name)
        if hear is None:
            return
        try:
            hear(message)
        except Exception:
            logger.exception("broker.listener_failed", channel=name.decode())
