"""One subscriber: reads what it must, then takes what its stream hands out, and never more than a bounded queue.

SNAPSHOT  read the state and its position     → LOG, or LIVE when nothing is missing
LOG       read a page above the position      → LOG, LIVE, or SNAPSHOT when the position means nothing
LIVE      take what the stream hands out      → LOG when the queue is full, SNAPSHOT when the stream is reset
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Generic, Protocol, Self

from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Change, Lag, S, Snapshot
from engage.realtime.errors import TooSlow
from engage.realtime.log import OUTAGES, Missed
from engage.realtime.reader import Reader, Snapshotter
from engage.realtime.rings import Ring
from engage.realtime.stream import Counters, Listener, Stream

MISSED_MAX = 1000
"""So many missed changes are told one by one to a subscriber of states; so far behind may one of facts fall."""

RETRY_S = 0.5  # between two tries to read while the database is away

Topic = Callable[[Ring], str | None]
"""What a ring is about for a subscriber; None when it is nothing to it. Newer replaces older of one topic."""


def one_topic(_ring: Ring) -> str | None:
    """All rings are about one thing."""
    return ""


class Phase(Enum):
    """Where a subscriber gets its next delivery from."""

    SNAPSHOT = auto()
    LOG = auto()
    LIVE = auto()


class Door(Protocol):
    """Where subscribers come in and go: the hub."""

    reader: Reader
    counters: Counters
    queue_max: int

    async def admit(self, stream: str, listener: Listener) -> Stream:
        """Register a listener and wait until rings arrive."""

    def dismiss(self, stream: Stream, listener: Listener, *, joined: bool) -> None:
        """Let it go."""


class Subscription(Generic[S]):
    """An asynchronous iterator of deliveries for one consumer; made by `Hub.subscribe`, entered by `async with`.

    Iterating raises what ended it: TooSlow, GoingAway, what `end` was given, or what the first read raised. Later
    reads are repeated while the database is away.
    """

    __slots__ = (
        "_door", "_epoch", "_error", "_far", "_knows", "_lag", "_name", "_phase", "_position", "_queue", "_reset",
        "_served", "_snapshot", "_stream", "_topic", "_turn", "_waiting",
    )  # fmt: skip

    def __init__(
        self, door: Door, name: str, snapshot: Snapshotter[S], after: Cursor | None, lag: Lag, topic: Topic
    ) -> None:
        self._door = door
        self._name = name
        self._snapshot = snapshot
        self._lag = lag
        self._topic = topic
        self._stream: Stream | None = None
        self._queue: list[Snapshot[S] | Change] = []
        self._waiting: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._turn = 0
        self._knows = after is not None  # the client knows something that a reset takes back
        self._served = False
        self._far = MISSED_MAX
        resumed = after is not None and after.stream == name
        self._phase = Phase.LOG if resumed else Phase.SNAPSHOT
        self._reset = after is not None and not resumed
        self._position = after.position if after is not None and resumed else 0
        self._epoch = after.epoch if after is not None and resumed else ""

    async def __aenter__(self) -> Self:
        self._stream = await self._door.admit(self._name, self)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            self._door.dismiss(self._stream, self, joined=self._phase is Phase.LIVE)
            self._stream = None
        self._error = StopAsyncIteration()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Snapshot[S] | Change:
        while True:
            if self._queue:
                self._door.counters.delivered += 1
                self._knows = True
                return self._queue.pop(0)
            if self._error is not None:
                raise self._error
            if self._stream is None:
                raise RuntimeError("Enter a subscription by `async with` before iterating.")
            if self._phase is Phase.LIVE:
                await self._wait(None)
            else:
                await self._read(self._stream)

    def end(self, error: Exception) -> None:
        """End it: what is queued is still delivered, then iterating raises `error`."""
        if self._error is None:
            self._error = error
        self._wake()

    def offer(self, change: Change) -> None:
        """Take the next change that the stream hands out; for the stream alone."""
        if self._error is not None or change.position <= self._position:
            return
        if self._phase is not Phase.LIVE:
            self._check_far(change.position)
            return
        wanted = self._wants(change.ring)
        if wanted and len(self._queue) >= self._door.queue_max:
            self._coalesce()
            if len(self._queue) >= self._door.queue_max and self._stream is not None:
                self._phase = Phase.LOG
                self._stream.fall_behind()
                return
        self._position = change.position
        if wanted:
            self._queue.append(change)
            self._wake()

    def reset(self) -> None:
        """Begin anew with a snapshot; for the stream alone."""
        self._turn += 1
        self._phase = Phase.SNAPSHOT
        self._reset = self._knows
        self._queue.clear()
        self._wake()

    async def _wait(self, seconds: float | None) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait([self._waiting], timeout=seconds) if seconds else await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _read(self, stream: Stream) -> None:
        try:
            if self._phase is Phase.SNAPSHOT:
                await self._read_state(stream)
            else:
                await self._read_log(stream)
        except OUTAGES:
            if not self._served:
                raise
            await self._wait(RETRY_S)
        else:
            self._served = True

    async def _read_state(self, stream: Stream) -> None:
        turn = self._turn
        at = await self._door.reader.state(self._snapshot)
        if turn != self._turn:
            return
        self._position, self._epoch = at.position, at.epoch
        self._queue.append(Snapshot(at.state, Cursor(self._name, at.position, at.epoch), self._reset))
        self._join(stream)

    async def _read_log(self, stream: Stream) -> None:
        lacking = stream.rejoin(self._position, self._epoch)
        if lacking is not None:
            self._go_live(lacking)
            return
        turn, known = self._turn, stream.position
        missed = await self._door.reader.missed(self._name, self._position)
        if turn != self._turn:
            return
        if not self._served:
            self._far += max(0, missed.head - self._position)  # it may be as far behind as it came
        if missed.epoch != self._epoch or not missed.follows(self._position):
            self._phase, self._reset = Phase.SNAPSHOT, True
        elif known is not None and missed.head < known:
            stream.reset()  # a restore without a new epoch, or a ring that no event stands behind
        elif self._lag == "coalesce" and missed.head - self._position > MISSED_MAX:
            self._phase, self._reset = Phase.SNAPSHOT, False
        else:
            self._take(missed)
            if missed.complete:
                self._join(stream)

    def _take(self, missed: Missed) -> None:
        for ring in missed.rings:
            self._position = ring.position
            if self._topic(ring) is not None:
                cursor = Cursor(self._name, ring.position, missed.epoch)
                self._queue.append(Change(ring, cursor, ring.position))

    def _join(self, stream: Stream) -> None:
        lacking = stream.join(self._position, self._epoch)
        if lacking is None:
            self._phase = Phase.LOG
        else:
            self._go_live(lacking)

    def _go_live(self, lacking: list[Change]) -> None:
        self._phase = Phase.LIVE
        for change in lacking:
            self.offer(change)

    def _wants(self, ring: Ring) -> bool:
        try:
            return self._topic(ring) is not None
        except Exception as error:  # noqa: BLE001 -- one subscriber's fault must not reach the others
            self.end(error)
            return False

    def _check_far(self, position: int) -> None:
        """End one of facts that falls further behind than it may, as it would never come to the end."""
        far = self._lag == "close" and self._phase is Phase.LOG and position - self._position > self._far
        if far and self._served:
            self._queue.clear()
            self._door.counters.closed_slow += 1
            self.end(TooSlow("You fell too far behind; subscribe again after your last cursor."))

    def _coalesce(self) -> None:
        """Of states keep the newest change of each topic; it covers those that it stands for."""
        if self._lag != "coalesce":
            return
        first: dict[str | None, int] = {}
        last: dict[str | None, Change] = {}
        kept: list[Snapshot[S] | Change] = [one for one in self._queue if isinstance(one, Snapshot)]
        for one in self._queue:
            if isinstance(one, Change):
                topic = self._topic(one.ring)
                first.setdefault(topic, one.from_position)
                last[topic] = one
        for topic, change in sorted(last.items(), key=lambda item: item[1].position):
            kept.append(Change(change.ring, change.cursor, first[topic]))
        self._door.counters.coalesced += len(self._queue) - len(kept)
        self._queue = kept
