"""The promise itself: each subscriber sees each position of a stream once and in order, by whatever luck."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.base import db
from engage.base.settings import Settings
from engage.realtime.bell import Bell
from engage.realtime.hub import Hub
from tests.realtime.watching import LossyBroker, Watcher, hub_of, new_stream, until, watching, write
from tests.realtime.wire import Wire, wired


@pytest.fixture(scope="module")
async def wire(config: Settings) -> AsyncIterator[Wire]:
    async with wired(config.redis_url, 6379) as one:
        yield one


@pytest.fixture(scope="module")
async def hubs(connected: Settings, bell: Bell, wire: Wire) -> AsyncIterator[list[Hub]]:  # noqa: ARG001
    """Two gateways whose Redis loses, repeats and reorders, and one whose Redis is well."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(hub_of(connected))]
        for seed in (1, 2):
            broker = LossyBroker(wire.url, connected.redis_prefix)
            broker.dice = random.Random(seed)  # noqa: S311 -- a test's dice
            opened.append(await stack.enter_async_context(hub_of(connected, broker=broker, heal_interval_s=0.1)))
        yield opened


async def head_of(stream: str) -> int:
    return int(await db.fetch_value("SELECT coalesce(max(position), 0) FROM events WHERE stream = $1", stream))


async def test_concurrent_writers_and_many_subscribers_of_several_hubs(hubs: list[Hub], wire: Wire) -> None:
    streams = [new_stream() for _ in range(4)]
    async with AsyncExitStack() as stack:
        watchers: list[tuple[str, Watcher]] = []

        async def subscribe(number: int) -> None:
            stream, lag = streams[number % len(streams)], ("close", "coalesce")[number % 2]
            watcher = await stack.enter_async_context(
                watching(hubs[number % len(hubs)], stream, lag=lag)  # type: ignore[arg-type]
            )
            watchers.append((stream, watcher))

        async def write_some(seed: int) -> None:
            dice = random.Random(seed)  # noqa: S311 -- a test's dice
            for _ in range(25):
                await write(*dice.choices(streams, k=dice.randint(1, 4)))

        for number in range(12):
            await subscribe(number)
        writing = asyncio.gather(*(write_some(seed) for seed in range(12)))
        number = 12
        while not writing.done():
            await subscribe(number)
            number += 1
            if number % 20 == 0:
                await wire.cut(for_good=False)
            await asyncio.sleep(0.01)
        await writing
        heads = {stream: await head_of(stream) for stream in streams}
        await until(lambda: all(watcher.position == heads[stream] for stream, watcher in watchers))
    assert sum(heads.values()) > 600
    for _, watcher in watchers:
        assert watcher.ended is None
        watcher.check_whole()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5)),
        st.tuples(st.just("burst"), st.integers(50, 150)),
        st.tuples(st.just("subscribe"), st.integers(0, 2)),
        st.tuples(st.just("resume"), st.integers(0, 2)),
        st.tuples(st.just("leave"), st.integers(0, 10)),
        st.tuples(st.just("cut"), st.just(0)),
        st.tuples(st.just("breathe"), st.integers(0, 20)),
    ),
    min_size=3,
    max_size=25,
)


class Story:
    """Subscribers of one stream, each of which may leave and be resumed by another from its last cursor."""

    def __init__(self, hubs: list[Hub], wire: Wire) -> None:
        self.hubs = hubs
        self.wire = wire
        self.stream = new_stream()
        self.present: list[tuple[Watcher, AsyncExitStack, int | None]] = []
        self.gone: list[Watcher] = []

    async def enter(self, hub: int, resumed: Watcher | None = None) -> None:
        after = resumed.last if resumed is not None and resumed.deliveries else None
        stack = AsyncExitStack()
        watcher = await stack.enter_async_context(watching(self.hubs[hub], self.stream, after))
        self.present.append((watcher, stack, after.position if after else None))

    async def leave(self, which: int) -> None:
        if self.present:
            watcher, stack, after = self.present.pop(which % len(self.present))
            await stack.aclose()
            assert watcher.ended is None
            watcher.check_whole(after)
            self.gone.append(watcher)

    async def step(self, what: str, how: int) -> None:
        match what:
            case "write":
                await asyncio.gather(*(write(self.stream) for _ in range(how)))
            case "burst":
                await write(*[self.stream] * how)
            case "subscribe":
                await self.enter(how)
            case "resume" if self.gone:
                await self.enter(how, self.gone.pop())
            case "leave":
                await self.leave(how)
            case "cut":
                await self.wire.cut(for_good=False)
            case "breathe":
                for _ in range(how):
                    await asyncio.sleep(0)

    async def finish(self) -> None:
        head = await head_of(self.stream)
        await until(lambda: all(head in (watcher.position, after) for watcher, _, after in self.present))
        while self.present:
            await self.leave(0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_any_story_is_told_without_gap_or_repetition(
    hubs: list[Hub], wire: Wire, steps: list[tuple[str, int]]
) -> None:
    story = Story(hubs, wire)
    try:
        for what, how in steps:
            await story.step(what, how)
        await story.finish()
    finally:
        for _, stack, _ in story.present:
            await stack.aclose()
