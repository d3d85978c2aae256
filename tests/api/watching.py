"""Watching a balance on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.api.clients import Json, Operation, socket
from tests.api.conftest import Person
from tests.api.gateway import Gateway

WATCH = """subscription ($id: ID!, $after: String, $program: String! = "default") {
    pointsChanged(memberId: $id, program: $program, after: $after) {
        cursor position fromPosition reset balance { available pending held debt }
        transfer { transferId kind amount reason cause { type id } postedAt } } }"""


class Watching:
    """A subscription of one member."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    async def frame(self) -> Json:
        """The next frame."""
        frame: Json = (await self.operation.data())["pointsChanged"]
        return frame

    async def until(self, position: int) -> list[Json]:
        """The frames up to a position."""
        frames = [await self.frame()]
        while frames[-1]["position"] < position:
            frames.append(await self.frame())
        return frames


@asynccontextmanager
async def watching(gateway: Gateway, member: Person, **variables: str | None) -> AsyncIterator[Watching]:
    async with socket(gateway.ws_url, member.token) as opened:
        yield Watching(await opened.start(WATCH, {"id": member.gid, **variables}))


def check_whole(position: int, frames: list[Json]) -> None:
    """No change is left out and none comes twice; a frame may stand for several, and says so."""
    for frame in frames:
        assert frame["fromPosition"] == position + 1, [(one["fromPosition"], one["position"]) for one in frames]
        assert frame["position"] >= frame["fromPosition"]
        assert frame["reset"] is False
        position = frame["position"]
