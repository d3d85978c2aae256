"""The bell: after commit, tell other processes that something happened.

Ringing puts a ring in a queue in memory and returns; one task sends what has gathered. So it adds no round trip to
a request, and cannot fail it: what Redis does not take is dropped and counted, and healing makes up for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import hiredis
import structlog
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError

from engage.base import db
from engage.realtime.rings import Ring, channel_of, encode_ring

QUEUE_MAX = 10_000  # rings; at a thousand a second that is a Redis restart
BATCH = 500  # rings sent in one round trip
TIMEOUT_S = 2.0  # Redis answers within this or counts as away
PAUSE_S = 0.5  # after a failure, before the next try
FLUSH_S = 2.0  # what is queued when the bell stops may take this long

logger = structlog.get_logger(__name__)


class Bell:
    """Publishes rings and knocks. `rung` and `dropped` count rings since the start."""

    def __init__(self, redis_url: str, prefix: str, *, queue_max: int = QUEUE_MAX) -> None:
        self.rung = 0
        self.dropped = 0
        self._prefix = prefix
        self._pool = ConnectionPool.from_url(redis_url)
        self._connection: AbstractConnection | None = None
        self._rings: deque[Ring] = deque(maxlen=queue_max)
        self._knocks: set[str] = set()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._away = False

    def start(self) -> None:
        """Begin to send. Redis may be away."""
        self._task = asyncio.create_task(self._send_for_ever(), name="bell")

    async def stop(self) -> None:
        """Send what is queued if Redis takes it in time, then stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        try:
            async with asyncio.timeout(FLUSH_S):
                while self._pending() and await self._send():
                    pass
        except TimeoutError:
            pass
        self.dropped += len(self._rings)
        self._rings.clear()
        if self._connection is not None:
            await self._connection.disconnect()

    def ring(self, rings: Iterable[Ring]) -> None:
        """Queue rings. Never waits, never raises; of too many the oldest go, as newer ones tell of them too."""
        for ring in rings:
            if len(self._rings) == self._rings.maxlen:
                self.dropped += 1
            self._rings.append(ring)
        self._work.set()

    def knock(self, channel: str) -> None:
        """Queue a knock: a message without content, once however often it is asked for meanwhile."""
        self._knocks.add(channel)
        self._work.set()

    def _pending(self) -> bool:
        return bool(self._rings or self._knocks)

    async def _send_for_ever(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._pending():
                if not await self._send():
                    await asyncio.sleep(PAUSE_S)

    async def _send(self) -> bool:
        """Send one batch; False when Redis did not take it, and then it is gone."""
        batch = [self._rings.popleft() for _ in range(min(BATCH, len(self._rings)))]
        knocks, self._knocks = self._knocks, set()
        messages = [self._packed(channel, b"") for channel in knocks] + [self._packed_ring(ring) for ring in batch]
        fit = [message for message in messages if message is not None]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._publish(fit)
        except (RedisError, OSError) as error:
            self.dropped += len(batch)
            if not self._away:
                logger.warning("bell.away", reason=f"{type(error).__name__}: {error}")
            self._away = True
            return False
        except asyncio.CancelledError:
            self._rings.extendleft(reversed(batch))  # for `stop`, which sends what is left
            raise
        unfit = len(messages) - len(fit)
        self.rung += len(batch) - unfit
        self.dropped += unfit
        if self._away:
            logger.info("bell.back", dropped=self.dropped)
        self._away = False
        return True

    async def _publish(self, messages: list[bytes]) -> None:
        """Send packed commands in one go and read their answers; hang up when anything goes wrong."""
        if self._connection is None:
            self._connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        connection = self._connection
        try:
            await connection.send_packed_command(b"".join(messages))
            for _ in messages:
                await connection.read_response()
        except BaseException:
            self._connection = None
            await connection.disconnect(nowait=True)
            raise

    def _packed(self, channel: str, message: bytes) -> bytes:
        words = ("PUBLISH", f"{self._prefix}:{channel}", message)
        packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub allows one word only
        return packed

    def _packed_ring(self, ring: Ring) -> bytes | None:
        """The command that publishes a ring; None for one that cannot be."""
        try:
            return self._packed(channel_of(ring.stream), encode_ring(ring))
        except TypeError:
            logger.exception("bell.unfit_ring", stream=ring.stream, name=ring.name)
            return None


class _State:
    """The bell of this process; None where nobody listens, as in the command line's own commands."""

    bell: Bell | None = None


async def start_bell(redis_url: str, prefix: str, *, queue_max: int = QUEUE_MAX) -> Bell:
    """Start the bell of this process; answers it, for its counters. Redis may be away.

    Raises RuntimeError when it has been started already.
    """
    if _State.bell is not None:
        raise RuntimeError("The bell of this process has been started already.")
    _State.bell = Bell(redis_url, prefix, queue_max=queue_max)
    _State.bell.start()
    return _State.bell


async def stop_bell() -> None:
    """Send what is queued, and stop. Nothing to do when it was not started."""
    bell, _State.bell = _State.bell, None
    if bell is not None:
        await bell.stop()


def ring_after_commit(rings: Iterable[Ring]) -> None:
    """Ring once the present transaction has committed; at once outside of one."""
    bell = _State.bell
    if bell is not None:
        kept = list(rings)
        db.after_commit(lambda: bell.ring(kept))


def knock(channel: str) -> None:
    """Wake whoever listens on `channel`, such as the outbox's relay, once the present transaction has committed."""
    bell = _State.bell
    if bell is not None:
        db.after_commit(lambda: bell.knock(channel))
