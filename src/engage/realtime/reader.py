"""A hub's reads: a few at a time, and each one looked at for a new epoch.

A few, so that a crowd of subscribers who come back together leaves database connections to requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from engage.realtime.deliveries import S, StateAt
from engage.realtime.log import Missed, read_heads, read_missed

READS_MAX = 4  # at once
PAGE = 500  # events read in one statement

Snapshotter = Callable[[], Awaitable[StateAt[S]]]
"""Reads a state with its stream's head and the epoch in one statement; see `engage.realtime.log.read_state`."""


class Reader:
    """Reads for a hub. Calls `on_new_epoch` when an answer is of another epoch than the one before."""

    def __init__(self, on_new_epoch: Callable[[], None]) -> None:
        self.epoch: str | None = None
        self._on_new_epoch = on_new_epoch
        self._slots = asyncio.Semaphore(READS_MAX)

    async def state(self, snapshot: Snapshotter[S]) -> StateAt[S]:
        """What the domain's own statement answers."""
        async with self._slots:
            answer = await snapshot()
        self._learn(answer.epoch)
        return answer

    async def missed(self, stream: str, above: int) -> Missed:
        """A page of the log."""
        async with self._slots:
            answer = await read_missed(stream, above, PAGE)
        self._learn(answer.epoch)
        return answer

    async def heads(self, streams: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Head and lowest kept position of each stream."""
        async with self._slots:
            epoch, heads = await read_heads(streams)
        self._learn(epoch)
        return heads

    def _learn(self, epoch: str) -> None:
        known, self.epoch = self.epoch, epoch
        if known is not None and known != epoch:
            self._on_new_epoch()
