"""A subscriber of pointsChanged who comes back after every break with the cursor of its last frame."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.exceptions import WebSocketException

from tests.api.clients import Closed, Refused, socket

CHANGES = """
subscription ($member: ID!, $after: String) {
  pointsChanged(memberId: $member, after: $after) {
    cursor fromPosition position reset balance { available } transfer { transferId amount }
  }
}"""
PAUSE_S = 0.1


class Follower:
    """Frames of one member, in the order in which they came; `breaks` counts how often the line was cut."""

    def __init__(self, info: dict[str, Any], member: str) -> None:
        self.frames: list[dict[str, Any]] = []
        self.breaks = 0
        self._info = info
        self._member = member

    async def follow(self) -> None:
        """For ever: cancel it."""
        while True:
            try:
                await self._listen()
            except (Closed, Refused, StopAsyncIteration, TimeoutError, OSError, WebSocketException):
                self.breaks += 1
            await asyncio.sleep(PAUSE_S)

    async def _listen(self) -> None:
        after = self.frames[-1]["cursor"] if self.frames else None
        async with socket(self._info["ws_url"], self._info["tokens"]["staff"]) as opened:
            operation = await opened.start(CHANGES, {"member": self._member, "after": after})
            while True:
                self.frames.append((await operation.data())["pointsChanged"])

    async def is_at(self, position: int) -> bool:
        """Whether a frame of this position, or of a later one, has come."""
        return bool(self.frames) and self.frames[-1]["position"] >= position

    def assert_gapless(self, head: int) -> None:
        """A snapshot first, then each position up to `head` exactly once, in order."""
        snapshot, *changes = self.frames
        assert snapshot["transfer"] is None
        covered = snapshot["position"]
        for frame in changes:
            assert not frame["reset"], frame
            assert frame["fromPosition"] == covered + 1, (frame, covered)
            assert frame["position"] >= frame["fromPosition"]
            covered = frame["position"]
        assert covered == head
