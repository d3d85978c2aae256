"""Slow subscribers, too many of them, and the end of the hub."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from engage.base import db
from engage.base.errors import Forbidden, Refusal
from engage.base.settings import Settings
from engage.realtime.bell import Bell
from engage.realtime.broker import Broker
from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Change, Snapshot, StateAt
from engage.realtime.errors import GoingAway, TooManySubscribers, TooSlow
from engage.realtime.hub import Hub
from engage.realtime.log import Missed
from engage.realtime.rings import Ring
from engage.realtime.subscription import MISSED_MAX, Subscription
from tests.realtime.watching import counted, hub_of, new_stream, take, until, watching, write


@pytest.fixture(scope="module")
async def small(connected: Settings, bell: Bell) -> AsyncIterator[Hub]:  # noqa: ARG001 -- what is written rings
    async with hub_of(connected, queue_max=4) as hub:
        yield hub


async def write_until_handed_out(hub: Hub, stream: str, count: int, **event: str) -> None:
    for _ in range(count):
        [ring] = await write(stream, data=dict(event))
        await until(lambda position=ring.position: hub._streams[stream].position == position)  # type: ignore[misc]


async def positions(subscription: Subscription[int], count: int) -> list[tuple[int, int]]:
    got = await take(subscription, count)
    return [(one.from_position, one.position) for one in got if isinstance(one, Change)]


async def test_of_a_lagging_subscriber_of_states_newer_replaces_older(small: Hub) -> None:
    stream = new_stream()
    async with small.subscribe(stream, snapshot=counted(stream), lag="coalesce") as subscription:
        await take(subscription, 1)
        await write_until_handed_out(small, stream, 4)
        assert await positions(subscription, 4) == [(1, 1), (2, 2), (3, 3), (4, 4)]
        await write_until_handed_out(small, stream, 6)
        assert await positions(subscription, 3) == [(5, 8), (9, 9), (10, 10)]
        await write_until_handed_out(small, stream, 100)
        assert len(subscription._queue) <= 4
        last = 10
        while last < 110:
            [one] = await take(subscription, 1)
            assert isinstance(one, Change)
            assert one.from_position == last + 1
            assert one.cursor.position == one.position == one.ring.position
            last = one.position


def program(ring: Ring) -> str | None:
    return ring.data.get("program")


async def test_states_of_several_topics_are_each_kept(small: Hub) -> None:
    stream = new_stream()
    async with small.subscribe(stream, snapshot=counted(stream), topic=program) as subscription:
        await take(subscription, 1)
        await write_until_handed_out(small, stream, 1, program="a")
        await write_until_handed_out(small, stream, 1, program="b")
        await write_until_handed_out(small, stream, 50)  # nothing to this subscriber
        await write_until_handed_out(small, stream, 2, program="b")
        assert [one.cursor.position for one in subscription._queue] == [1, 2, 53, 54]
        await write_until_handed_out(small, stream, 1, program="a")
        assert await positions(subscription, 3) == [(1, 1), (2, 54), (55, 55)]


async def test_more_topics_than_a_queue_holds_are_read_from_the_log_later(small: Hub) -> None:
    stream = new_stream()
    async with small.subscribe(stream, snapshot=counted(stream), topic=program) as subscription:
        await take(subscription, 1)
        for number in range(10):
            await write_until_handed_out(small, stream, 1, program=str(number))
        assert len(subscription._queue) == 4
        assert await positions(subscription, 10) == [(number, number) for number in range(1, 11)]


async def test_a_lagging_subscriber_of_facts_reads_on_from_the_log(small: Hub) -> None:
    stream = new_stream()
    async with small.subscribe(stream, snapshot=counted(stream), lag="close") as subscription:
        await take(subscription, 1)
        await write_until_handed_out(small, stream, 20)
        assert len(subscription._queue) == 4
        await write(*[stream] * 700)
        assert await positions(subscription, 720) == [(number, number) for number in range(1, 721)]


async def test_a_subscriber_of_facts_too_far_behind_is_ended_and_resumes_without_gap(small: Hub) -> None:
    stream = new_stream()
    slow = small.counters.closed_slow
    async with small.subscribe(stream, snapshot=counted(stream), lag="close") as subscription:
        await take(subscription, 1)
        await write(stream)
        [last] = await take(subscription, 1)
        await write(*[stream] * (MISSED_MAX + 10))
        await until(lambda: small.counters.closed_slow == slow + 1)
        with pytest.raises(TooSlow, match="subscribe again after your last cursor"):
            await take(subscription, 1)
    async with watching(small, stream, last.cursor) as resumed:
        await until(lambda: resumed.position == MISSED_MAX + 11)
    resumed.check_whole(after=1)


async def test_one_who_resumes_from_far_behind_is_given_the_time(small: Hub) -> None:
    stream = new_stream()
    await write(*[stream] * 3000)
    epoch = str(await db.fetch_value("SELECT engage.epoch()"))
    async with (
        watching(small, stream) as quick,
        small.subscribe(
            stream, snapshot=counted(stream), after=Cursor(stream, 0, epoch), lag="close"
        ) as subscription,
    ):
        await until(lambda: quick.position == 3000)
        assert await positions(subscription, 1) == [(1, 1)]
        await write(*[stream] * 500)
        await until(lambda: quick.position == 3500)
        assert await positions(subscription, 3499) == [(number, number) for number in range(2, 3501)]


async def test_one_whose_first_read_takes_long_is_not_taken_for_slow(
    small: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = new_stream()
    await write(stream)
    epoch = str(await db.fetch_value("SELECT engage.epoch()"))
    read = small.reader.missed

    async def slowly(name: str, above: int) -> Missed:
        answer = await read(name, above)
        monkeypatch.undo()
        await write(*[stream] * (MISSED_MAX + 10))
        await until(lambda: quick.position == MISSED_MAX + 11)
        return answer

    async with watching(small, stream, lag="coalesce") as quick:
        await until(lambda: quick.position == 1)
        monkeypatch.setattr(small.reader, "missed", slowly)
        async with watching(small, stream, Cursor(stream, 0, epoch)) as watcher:
            await until(lambda: watcher.position == MISSED_MAX + 11)
    watcher.check_whole(after=0)


async def test_a_cursor_far_above_the_head_leaves_no_trace_after_its_reset(small: Hub) -> None:
    stream = new_stream()
    epoch = str(await db.fetch_value("SELECT engage.epoch()"))
    after = Cursor(stream, 10**15, epoch)
    async with small.subscribe(stream, snapshot=counted(stream), after=after, lag="close") as subscription:
        assert await take(subscription, 1) == [Snapshot(0, Cursor(stream, 0, epoch), reset=True)]
        await write_until_handed_out(small, stream, 20)
        assert await positions(subscription, 20) == [(number, number) for number in range(1, 21)]


async def test_a_slow_subscriber_slows_nobody_else(small: Hub) -> None:
    stream = new_stream()
    async with small.subscribe(stream, snapshot=counted(stream), lag="close") as slow:
        await take(slow, 1)
        async with watching(small, stream) as quick:
            await until(lambda: quick.position == 0)
            for position in range(1, 21):
                await write(stream)
                await until(lambda position=position: quick.position == position)  # type: ignore[misc]
        quick.check_whole()


async def test_a_topic_that_fails_ends_its_own_subscription_alone(small: Hub) -> None:
    stream = new_stream()

    def fail(ring: Ring) -> str:
        raise KeyError(ring.name)

    async with watching(small, stream, topic=fail) as failing, watching(small, stream) as other:
        await until(lambda: failing.position == other.position == 0)
        await write(stream)
        await until(lambda: other.position == 1 and isinstance(failing.ended, KeyError))


async def test_more_subscribers_than_allowed_are_refused(connected: Settings) -> None:
    async with hub_of(connected, subscribers_max=2) as hub:
        stream = new_stream()
        async with watching(hub, stream) as one:
            async with watching(hub, new_stream()) as two:
                await until(lambda: one.position == two.position == 0)
                with pytest.raises(TooManySubscribers, match="try again") as refused:
                    async with hub.subscribe(stream, snapshot=counted(stream)):
                        raise AssertionError("let in")
                assert isinstance(refused.value, Refusal)
            async with watching(hub, stream) as three:
                await until(lambda: three.position == 0)


@pytest.mark.usefixtures("bell")
async def test_closing_delivers_what_is_queued_and_then_says_why(connected: Settings) -> None:
    stream = new_stream()
    async with hub_of(connected) as hub:
        async with hub.subscribe(stream, snapshot=counted(stream)) as busy, watching(hub, stream) as idle:
            await take(busy, 1)
            await until(lambda: idle.position == 0)
            await write_until_handed_out(hub, stream, 2)
            await hub.close("This server restarts; connect again.")
            assert await positions(busy, 2) == [(1, 1), (2, 2)]
            with pytest.raises(GoingAway, match="restarts"):
                await take(busy, 1)
            await until(lambda: isinstance(idle.ended, GoingAway))
            assert idle.position == 2
        with pytest.raises(GoingAway, match="restarts"):
            async with hub.subscribe(stream, snapshot=counted(stream)):
                raise AssertionError("let in")
        assert hub.subscribers == 0


async def test_a_subscription_can_be_ended_from_outside(small: Hub) -> None:
    stream = new_stream()
    async with small.subscribe(stream, snapshot=counted(stream)) as subscription:
        await take(subscription, 1)
        waiting = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        subscription.end(Forbidden("Your token has expired."))
        with pytest.raises(Forbidden, match="expired"):
            await waiting


async def test_settings_set_the_limits(connected: Settings) -> None:
    config = connected.model_copy(update={"subscriber_queue_max": 3, "subscribers_max": 5, "heal_interval_s": 9.0})
    hub = Hub.of(Broker(config.redis_url, config.redis_prefix), config)
    assert (hub.queue_max, hub._subscribers_max, hub._heal_interval_s) == (3, 5, 9.0)


async def test_an_idle_subscription_is_small(connected: Settings) -> None:
    """Everything that the hub holds for it, its stream and its channel, and a task that waits for it."""

    async def state() -> StateAt[int]:
        return StateAt(0, 0, "epoch")

    async def wait(hub: Hub, stream: str) -> None:
        async with hub.subscribe(stream, snapshot=state) as subscription:
            async for delivery in subscription:
                assert isinstance(delivery, Snapshot)

    count = 1000
    names = [new_stream() for _ in range(count)]
    async with hub_of(connected) as hub:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            tasks = [asyncio.create_task(wait(hub, name)) for name in names]
            await until(lambda: hub.counters.delivered == count and not hub._broker._confirming)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert (after - before) / count < 6000
