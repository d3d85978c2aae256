"""What a subscriber gets first: a snapshot, what it missed, or a reset."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
import redis.asyncio

from engage.base import clock, db
from engage.base.errors import InvalidInput
from engage.base.settings import Settings
from engage.realtime import subscription as subscribing
from engage.realtime.bell import ring_after_commit
from engage.realtime.broker import Broker
from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Change, Lag, Snapshot, StateAt
from engage.realtime.hub import Hub
from engage.realtime.log import prune_events
from engage.realtime.reader import PAGE
from engage.realtime.rings import Ring, channel_of
from engage.realtime.stream import RECENT_MAX
from tests.realtime.watching import counted, hub_of, new_stream, take, until, watching, write
from tests.realtime.wire import wired


async def epoch() -> str:
    return str(await db.fetch_value("SELECT engage.epoch()"))


async def test_without_a_cursor_the_state_comes_first_and_then_each_change(hub: Hub) -> None:
    stream = new_stream()
    await write(stream, stream)
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 2)
        await write(stream, data={"figure": 7})
        await until(lambda: watcher.position == 3)
    now = await epoch()
    first, second = watcher.deliveries
    assert first == Snapshot(2, Cursor(stream, 2, now), reset=False)
    assert isinstance(second, Change)
    assert second.ring == Ring(stream, 3, "test.counted.v1", {"figure": 7})
    assert (second.cursor, second.from_position, second.position) == (Cursor(stream, 3, now), 3, 3)


async def test_a_stream_without_events_begins_at_zero(hub: Hub) -> None:
    stream = new_stream()
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        await write(stream)
        await until(lambda: watcher.position == 1)
    watcher.check_whole()


async def test_all_subscribers_of_a_stream_share_a_change(hub: Hub) -> None:
    stream = new_stream()
    async with watching(hub, stream) as one, watching(hub, stream) as other:
        await until(lambda: one.position == other.position == 0)
        await write(stream)
        await until(lambda: one.position == other.position == 1)
    assert one.deliveries[1] is other.deliveries[1]


async def test_leaving_ends_everything_about_a_stream(hub: Hub) -> None:
    stream, before = new_stream(), hub.subscribers
    async with watching(hub, stream) as one:
        await until(lambda: one.position == 0)
        assert hub.subscribers == before + 1
        assert stream in hub._streams
    assert hub.subscribers == before
    assert stream not in hub._streams
    async with watching(hub, stream) as again:
        await until(lambda: again.position == 0)
        await write(stream)
        await until(lambda: again.position == 1)


async def test_what_is_kept_for_those_who_join_is_let_go(hub: Hub) -> None:
    stream = new_stream()
    async with watching(hub, stream) as one:
        await until(lambda: one.position == 0)
        entered = hub._streams[stream]
        async with hub.subscribe(stream, snapshot=counted(stream)):
            await write(stream)
            await until(lambda: one.position == 1)
            assert (entered.joining, len(entered._recent or ())) == (1, 1)
        assert (entered.joining, entered._recent) == (0, None)
        await write(stream)
        await until(lambda: one.position == 2)
        assert entered._recent is None


async def test_with_a_cursor_what_was_missed_comes_first(hub: Hub) -> None:
    stream = new_stream()
    await write(*[stream] * 5)
    async with watching(hub, stream, Cursor(stream, 2, await epoch())) as watcher:
        await until(lambda: watcher.position == 5)
        await write(stream)
        await until(lambda: watcher.position == 6)
    assert [delivery.cursor.position for delivery in watcher.deliveries] == [3, 4, 5, 6]
    watcher.check_whole(after=2)


async def test_a_cursor_at_the_head_misses_nothing_and_gets_no_snapshot(hub: Hub) -> None:
    stream = new_stream()
    await write(stream, stream)
    async with watching(hub, stream, Cursor(stream, 2, await epoch())) as watcher:
        await until(lambda: stream in hub._streams and hub._streams[stream].position == 2)
        await write(stream)
        await until(lambda: watcher.position == 3)
    assert len(watcher.deliveries) == 1


@pytest.mark.parametrize("lag", ["coalesce", "close"])
async def test_more_than_a_page_is_missed(hub: Hub, lag: Lag) -> None:
    stream = new_stream()
    await write(*[stream] * (PAGE * 2))
    async with watching(hub, stream, Cursor(stream, 0, await epoch()), lag) as watcher:
        await until(lambda: watcher.position == PAGE * 2)
    assert len(watcher.deliveries) == PAGE * 2
    watcher.check_whole(after=0)


async def test_of_states_missed_long_a_snapshot_is_told_and_of_facts_each_one(hub: Hub) -> None:
    stream = new_stream()
    many = subscribing.MISSED_MAX + 1
    await write(*[stream] * many)
    start = Cursor(stream, 0, await epoch())
    async with watching(hub, stream, start, "coalesce") as states, watching(hub, stream, start, "close") as facts:
        await until(lambda: states.position == facts.position == many)
        await write(stream)
        await until(lambda: states.position == facts.position == many + 1)
    assert states.deliveries[0] == Snapshot(many, Cursor(stream, many, start.epoch), reset=False)
    assert len(states.deliveries) == 2
    assert len(facts.deliveries) == many + 1
    facts.check_whole(after=0)


@pytest.mark.parametrize("company", [False, True])
@pytest.mark.parametrize("wrong", ["another stream", "another epoch", "above the head", "below what is kept"])
async def test_a_cursor_that_means_nothing_here_gets_a_reset(hub: Hub, wrong: str, *, company: bool) -> None:
    stream = new_stream()
    with clock.frozen(datetime(2020, 1, 1, tzinfo=UTC)):
        await write(stream, stream, stream)
    await write(stream)
    now = await epoch()
    await prune_events(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=1), 100)
    cursor = {
        "another stream": Cursor(new_stream(), 4, now),
        "another epoch": Cursor(stream, 4, "other"),
        "above the head": Cursor(stream, 5, now),
        "below what is kept": Cursor(stream, 2, now),
    }[wrong]
    async with contextlib.AsyncExitStack() as stack:
        if company:  # another subscriber, so that the stream's position is known without a look at the log
            other = await stack.enter_async_context(watching(hub, stream))
            await until(lambda: other.position == 4)
        watcher = await stack.enter_async_context(watching(hub, stream, cursor))
        await until(lambda: watcher.position == 4)
        await write(stream)
        await until(lambda: watcher.position == 5)
    assert watcher.deliveries[0] == Snapshot(4, Cursor(stream, 4, now), reset=True)
    watcher.check_whole()


async def test_the_lowest_kept_cursor_resumes(hub: Hub) -> None:
    stream = new_stream()
    with clock.frozen(datetime(2020, 1, 1, tzinfo=UTC)):
        await write(stream, stream, stream)
    await write(stream)
    await prune_events(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=1), 100)
    async with watching(hub, stream, Cursor(stream, 3, await epoch())) as watcher:
        await until(lambda: watcher.position == 4)
    watcher.check_whole(after=3)


BURSTS = [1, 64, 65, RECENT_MAX, RECENT_MAX + 100]


@pytest.mark.parametrize("count", BURSTS)
async def test_what_is_written_while_the_first_subscriber_reads_comes_once(hub: Hub, count: int) -> None:
    stream = new_stream()
    read = counted(stream)

    async def slowly() -> StateAt[int]:
        at = await read()
        heard = hub.counters.heard
        await write(*[stream] * count)
        await until(lambda: hub.counters.heard >= heard + count)
        return at

    async with hub.subscribe(stream, snapshot=slowly, lag="close") as subscription:
        got = await take(subscription, count + 1)
    assert [delivery.cursor.position for delivery in got] == list(range(count + 1))


@pytest.mark.parametrize("count", BURSTS)
async def test_what_is_written_while_another_subscriber_reads_comes_once(hub: Hub, count: int) -> None:
    stream = new_stream()
    read = counted(stream)

    async def slowly() -> StateAt[int]:
        at = await read()
        await write(*[stream] * count)
        await until(lambda: first.position == count)
        return at

    async with watching(hub, stream, lag="coalesce") as first:
        await until(lambda: first.position == 0)
        async with hub.subscribe(stream, snapshot=slowly, lag="close") as subscription:
            got = await take(subscription, count + 1)
            [ring] = await write(stream)
            got += await take(subscription, 1)
    assert [delivery.cursor.position for delivery in got] == list(range(ring.position + 1))


@pytest.mark.parametrize("count", BURSTS)
async def test_a_burst_ends_no_subscriber_who_takes_what_comes(hub: Hub, count: int) -> None:
    stream = new_stream()
    async with watching(hub, stream) as one, watching(hub, stream) as other:
        await until(lambda: one.position == other.position == 0)
        await write(*[stream] * count)
        await write(*[stream] * count)
        await until(lambda: one.position == other.position == 2 * count)
    for watcher in (one, other):
        watcher.check_whole()
        assert len(watcher.deliveries) == 2 * count + 1


async def test_who_has_entered_is_rung(hub: Hub, redis_client: redis.asyncio.Redis, connected: Settings) -> None:
    stream = new_stream()
    async with hub.subscribe(stream, snapshot=counted(stream)):
        channel = f"{connected.redis_prefix}:{channel_of(stream)}"
        assert await redis_client.publish(channel, b'[1, "heard before the state is read", {}]') == 1


async def test_entering_waits_for_redis_but_not_for_ever(connected: Settings) -> None:
    stream = new_stream()
    async with wired(connected.redis_url, 6379) as wire:
        broker = Broker(wire.url, connected.redis_prefix)
        async with hub_of(connected, broker=broker) as hub:
            await until(lambda: broker.connected)
            wire.muted = True
            async with watching(hub, stream) as watcher:
                await until(lambda: bool(broker._confirming))
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not watcher.deliveries
                await until(lambda: watcher.position == 0)


async def test_an_event_seen_in_the_snapshot_is_not_told_again_when_its_ring_comes_late(hub: Hub) -> None:
    stream = new_stream()
    async with db.transaction():
        rings = await write(stream)
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 1)
        repeated = hub.counters.repeated
        ring_after_commit(rings)
        await until(lambda: hub.counters.repeated > repeated)
        await write(stream)
        await until(lambda: watcher.position == 2)
    assert [delivery.cursor.position for delivery in watcher.deliveries] == [1, 2]


async def test_what_the_first_read_raises_is_raised_to_the_subscriber(hub: Hub) -> None:
    before = hub.subscribers

    async def refuse() -> StateAt[int]:
        raise InvalidInput("Not for you.")

    async def fail() -> StateAt[int]:
        raise OSError("away")

    for snapshot, error in ((refuse, InvalidInput), (fail, OSError)):
        with pytest.raises(error):
            async with hub.subscribe(new_stream(), snapshot=snapshot) as subscription:
                await anext(subscription)
    assert hub.subscribers == before


async def test_a_subscription_is_entered_before_it_is_iterated(hub: Hub) -> None:
    stream = new_stream()
    subscription = hub.subscribe(stream, snapshot=counted(stream))
    with pytest.raises(RuntimeError, match="async with"):
        await anext(subscription)
    async with subscription:
        await take(subscription, 1)
    assert [delivery async for delivery in subscription] == []


async def test_a_subscriber_cancelled_at_any_moment_leaves_nothing_behind(connected: Settings) -> None:
    stream = new_stream()
    async with hub_of(connected) as hub:
        for steps in range(40):
            block = watching(hub, stream)
            async with block:
                for _ in range(steps):
                    await asyncio.sleep(0)
        assert hub.subscribers == 0
        assert hub._streams == {}
