"""Writing events as commands do, and watching what subscribers get."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.ids import new_id
from engage.base.readings import Fetch, Reading
from engage.base.settings import Settings
from engage.realtime.bell import ring_after_commit
from engage.realtime.broker import Broker
from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Change, Lag, Snapshot, StateAt
from engage.realtime.hub import Hub
from engage.realtime.log import read_state
from engage.realtime.reader import Snapshotter
from engage.realtime.rings import Ring
from engage.realtime.subscription import Subscription, Topic, one_topic

Delivery = Snapshot[int] | Change

# The state of these streams is how many events they have had, which is their position too.
COUNTED: Reading[int] = Reading(
    """SELECT m::text, to_json(coalesce((SELECT position FROM stream_heads WHERE id = 'member:' || m), 0))
         FROM unnest($1::uuid[]) AS m""",
    int,
    -1,
)


class Ear:
    """Hears what is published on channels."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.heard: list[bytes] = []

    async def on(self, channel: str) -> None:
        self.broker.listen(channel, self.heard.append)
        await self.broker.confirmed(channel)


def new_stream() -> str:
    return f"member:{new_id()}"


def counted(stream: str) -> Snapshotter[int]:
    async def read() -> StateAt[int]:
        return await read_state(stream, Fetch(COUNTED, (UUID(stream.removeprefix("member:")),)))

    return read


async def write(
    *streams: str, name: str = "test.counted.v1", data: dict[str, Any] | None = None, rung: bool = True
) -> list[Ring]:
    """Record an event of each stream in a transaction, and ring unless the process is to have died before."""
    async with db.transaction():
        rows = await db.fetch(
            "SELECT stream, position, name, data::text FROM engage.record_events($1, $2, $3, $4, '{}')",
            list(streams),
            [name] * len(streams),
            [orjson.dumps(data or {}).decode()] * len(streams),
            clock.now(),
        )
        rings = [Ring(stream, position, name, orjson.loads(text)) for stream, position, name, text in rows]
        if rung:
            ring_after_commit(rings)
    return rings


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- nobody tells when
            await asyncio.sleep(0.005)


async def take(subscription: Subscription[int], count: int, seconds: float = 20) -> list[Delivery]:
    """The next deliveries; fail when they do not come in time."""
    async with asyncio.timeout(seconds):
        return [await anext(subscription) for _ in range(count)]


class Watcher:
    """A subscriber that takes deliveries as they come, and remembers them."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.ended: Exception | None = None

    @property
    def position(self) -> int:
        return self.deliveries[-1].cursor.position if self.deliveries else -1

    @property
    def last(self) -> Cursor:
        return self.deliveries[-1].cursor

    async def watch(self, hub: Hub, stream: str, after: Cursor | None, lag: Lag, topic: Topic) -> None:
        try:
            subscribing = hub.subscribe(stream, snapshot=counted(stream), after=after, lag=lag, topic=topic)
            async with subscribing as subscription:
                async for delivery in subscription:
                    self.deliveries.append(delivery)
        except Exception as error:  # noqa: BLE001 -- the test looks at it
            self.ended = error

    def check_whole(self, after: int | None = None) -> None:
        """Fail unless the deliveries leave out nothing and repeat nothing since `after` or their last snapshot."""
        position = after
        for delivery in self.deliveries:
            if isinstance(delivery, Snapshot):
                assert delivery.state == delivery.cursor.position
                assert position is None or delivery.reset or delivery.cursor.position > position
            else:
                assert position is not None
                assert delivery.from_position == position + 1, [one.cursor.position for one in self.deliveries]
            position = delivery.cursor.position


@asynccontextmanager
async def watching(
    hub: Hub, stream: str, after: Cursor | None = None, lag: Lag = "close", topic: Topic = one_topic
) -> AsyncIterator[Watcher]:
    """A watcher of a stream while the block runs; it has read what it must once it has `after` or a snapshot."""
    watcher = Watcher()
    task = asyncio.create_task(watcher.watch(hub, stream, after, lag, topic))
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])


class LossyBroker(Broker):
    """Loses, repeats and reorders what Redis sends, as its dice say."""

    dice = random.Random(0)  # noqa: S311 -- a test's dice
    held: tuple[bytes, bytes] | None = None

    def _hand_over(self, name: bytes, message: bytes) -> None:
        fate = self.dice.random()
        if fate < 0.25:
            return
        if fate < 0.5 and self.held is None:
            self.held = (name, message)
            return
        super()._hand_over(name, message)
        if fate > 0.75:
            super()._hand_over(name, message)
        if self.held is not None:
            held, self.held = self.held, None
            super()._hand_over(*held)


@asynccontextmanager
async def hub_of(
    config: Settings,
    *,
    broker: Broker | None = None,
    heal_interval_s: float = 3600,
    subscribers_max: int = 20_000,
    queue_max: int = 64,
) -> AsyncIterator[Hub]:
    """A hub with its broker, connected where Redis is there; it heals only when told, unless the test says."""
    used = broker or Broker(config.redis_url, config.redis_prefix)
    hub = Hub(used, heal_interval_s=heal_interval_s, subscribers_max=subscribers_max, queue_max=queue_max)
    ready = asyncio.Event()
    used.on_connect(ready.set)
    used.start()
    hub.start()
    try:
        if broker is None:
            async with asyncio.timeout(20):
                await ready.wait()
        yield hub
    finally:
        await hub.close("The test is over.")
        await used.stop()
