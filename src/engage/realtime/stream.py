"""A stream as one process sees it: how far it has come, and who listens.

All in memory and without waiting. What has to be read from the log is asked for through `fill`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Change
from engage.realtime.rings import Ring, decode_ring

RECENT_MAX = 256  # changes kept for those who are joining

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Counters:
    """What a hub has done since its start."""

    heard: int = 0
    """Rings that came over Redis."""
    malformed: int = 0
    """Messages that are no ring."""
    repeated: int = 0
    """Rings of positions that were known."""
    delivered: int = 0
    """Snapshots and changes that subscribers took."""
    coalesced: int = 0
    """Changes that a newer one stood for, since their subscriber lagged."""
    closed_slow: int = 0
    """Subscribers ended since they lagged."""
    healed: int = 0
    """Streams that healing found further on than their rings had told."""
    resets: int = 0
    """Streams whose positions had lost their meaning."""


class Listener(Protocol):
    """Who gets what a stream hands out."""

    def offer(self, change: Change) -> None:
        """Take the next change; never waits and never raises."""

    def reset(self) -> None:
        """Forget the position; it means nothing any more."""

    def end(self, error: Exception) -> None:
        """Deliver what is queued, then raise `error`."""


class Stream:
    """One stream. Hands out each position once and in order; `position` is the last, None until someone told it."""

    __slots__ = (
        "_counters", "_fill", "_recent", "_warned",
        "epoch", "filling", "joining", "listeners", "name", "position", "target", "turn",
    )  # fmt: skip

    def __init__(self, name: str, counters: Counters, fill: Callable[[Stream], None]) -> None:
        self.name = name
        self.position: int | None = None
        self.epoch = ""
        self.target = 0  # the highest position that was told of
        self.turn = 0  # grows with each reset: what was read before it is of no use
        self.filling = False
        self.joining = 0  # listeners who are still reading; `_recent` is kept for them
        self.listeners: set[Listener] = set()
        self._recent: deque[Change] | None = None
        self._counters = counters
        self._fill = fill
        self._warned = False

    def enter(self, listener: Listener) -> None:
        """Register a listener, who then reads and calls `join`; what is handed out meanwhile is kept."""
        self.listeners.add(listener)
        self.joining += 1

    def leave(self, listener: Listener, *, joined: bool) -> None:
        """Let a listener go."""
        self.listeners.discard(listener)
        if not joined:
            self._one_less_joining()

    def _one_less_joining(self) -> None:
        self.joining -= 1
        if not self.joining:
            self._recent = None

    def join(self, position: int, epoch: str) -> list[Change] | None:
        """What a listener who has just read up to `position` lacks; from now on it gets what is handed out.

        None when it lacks more than is kept in memory: it must read on and come again.
        """
        if self.position is None:
            self.position, self.epoch = position, epoch
            self.reach(position)
        return self._let_in(position)

    def rejoin(self, position: int, epoch: str) -> list[Change] | None:
        """The same for one who has read nothing, but was at `position` before."""
        if self.position is None or self.epoch != epoch or self.position < position:
            return None
        return self._let_in(position)

    def _let_in(self, position: int) -> list[Change] | None:
        lacking: list[Change] = []
        if self.position is not None and position < self.position:
            lacking = [change for change in self._recent or () if change.position > position]
            if not lacking or lacking[0].position != position + 1:
                return None
        self._one_less_joining()
        return lacking

    def fall_behind(self) -> None:
        """A listener cannot take the change that it is offered: it reads on later, and joins again."""
        self.joining += 1

    def reset(self) -> None:
        """The positions have lost their meaning: everybody begins anew."""
        self._counters.resets += 1
        self.position = None
        self.target = 0
        self.turn += 1
        self._recent = None
        self.joining = len(self.listeners)
        for listener in list(self.listeners):
            listener.reset()

    def hear(self, message: bytes) -> None:
        """Take a message from the stream's channel."""
        try:
            ring = decode_ring(self.name, message)
        except ValueError as error:
            self._counters.malformed += 1
            if not self._warned:
                logger.warning("stream.malformed_message", stream=self.name, size=len(message), reason=str(error))
            self._warned = True
            return
        self._counters.heard += 1
        if self.position is None or ring.position > self.position + 1:
            self.reach(ring.position)
        elif ring.position == self.position + 1:
            self._hand_out(ring)
        else:
            self._counters.repeated += 1

    def reach(self, position: int) -> None:
        """The log is said to go up to `position`: read what is missing."""
        self.target = max(self.target, position)
        if self.position is not None and self.target > self.position and not self.filling:
            self.filling = True
            self._fill(self)

    def take(self, rings: Iterable[Ring]) -> None:
        """Hand out of events read from the log those that were not handed out yet."""
        for ring in rings:
            if self.position is not None and ring.position == self.position + 1:
                self._hand_out(ring)

    def _hand_out(self, ring: Ring) -> None:
        self.position = ring.position
        change = Change(ring, Cursor(self.name, ring.position, self.epoch), ring.position)
        for listener in self.listeners:
            listener.offer(change)
        if self.joining:
            if self._recent is None:
                self._recent = deque(maxlen=RECENT_MAX)
            self._recent.append(change)
