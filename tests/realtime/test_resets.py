"""When positions lose their meaning: a new epoch, a database that went back, events that are gone or never were."""

from __future__ import annotations

import pytest
import redis.asyncio

from engage.base import db
from engage.base.settings import Settings
from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Snapshot, StateAt
from engage.realtime.hub import Hub
from engage.realtime.log import Missed
from engage.realtime.rings import channel_of
from tests.realtime.watching import counted, new_stream, take, until, watching, write


async def test_a_new_epoch_resets_every_subscriber_once(hub: Hub) -> None:
    streams = [new_stream() for _ in range(3)]
    async with (
        watching(hub, streams[0]) as one,
        watching(hub, streams[0]) as two,
        watching(hub, streams[1], lag="coalesce") as three,
        watching(hub, streams[2]) as four,
    ):
        watchers = [one, two, three, four]
        await until(lambda: all(watcher.position == 0 for watcher in watchers))
        await write(*streams)
        await until(lambda: all(watcher.position == 1 for watcher in watchers))
        before = await db.fetch_value("SELECT engage.epoch()")
        await db.execute("UPDATE stream_epoch SET token = gen_random_uuid()::text")
        after = await db.fetch_value("SELECT engage.epoch()")
        await hub.heal()
        await until(lambda: all(len(watcher.deliveries) == 3 for watcher in watchers))
        await write(*streams)
        await until(lambda: all(watcher.position == 2 for watcher in watchers))
        await hub.heal()
    for watcher in watchers:
        _, change, reset, next_change = watcher.deliveries
        assert change.cursor.epoch == before
        assert isinstance(reset, Snapshot)
        assert (reset.reset, reset.state, reset.cursor.epoch) == (True, 1, after)
        assert next_change.cursor == Cursor(next_change.cursor.stream, 2, after)
        assert len(watcher.deliveries) == 4


async def test_a_new_epoch_seen_first_by_a_new_subscriber_resets_the_old_ones(hub: Hub) -> None:
    stream = new_stream()
    async with watching(hub, stream) as old:
        await until(lambda: old.position == 0)
        await db.execute("UPDATE stream_epoch SET token = gen_random_uuid()::text")
        async with watching(hub, stream) as new:
            await until(lambda: new.position == 0 and len(old.deliveries) == 2)
            await write(stream)
            await until(lambda: new.position == old.position == 1)
        assert hub._streams[stream].joining == 0
        assert hub._streams[stream]._recent is None
    assert isinstance(new.deliveries[0], Snapshot)
    assert not new.deliveries[0].reset
    assert isinstance(old.deliveries[1], Snapshot)
    assert old.deliveries[1].reset


async def test_a_gap_that_is_read_while_the_epoch_ends_is_told_by_the_reset(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = new_stream()
    read = hub.reader.missed
    epochs: list[str] = []

    async def slowly(name: str, above: int) -> Missed:
        answer = await read(name, above)
        if not epochs:
            epochs.append(await new_epoch(hub))
        return answer

    monkeypatch.setattr(hub.reader, "missed", slowly)
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        await write(stream, stream, rung=False)
        await write(stream)
        await until(lambda: watcher.position == 3)
        await until(lambda: not hub._streams[stream].filling)
        await write(stream, rung=False)
        await write(stream)
        await until(lambda: watcher.position == 5)
    assert watcher.deliveries[1] == Snapshot(3, Cursor(stream, 3, epochs[0]), reset=True)
    watcher.check_whole()


async def test_a_database_that_went_back_resets_its_streams(hub: Hub) -> None:
    stream = new_stream()
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        await write(stream, stream, stream)
        await until(lambda: watcher.position == 3)
        await db.execute("DELETE FROM events WHERE stream = $1 AND position > 1", stream)
        await db.execute("UPDATE stream_heads SET position = 1 WHERE id = $1", stream)
        await hub.heal()
        await until(lambda: watcher.position == 1)
        await write(stream)
        await until(lambda: watcher.position == 2)
    assert isinstance(watcher.deliveries[-2], Snapshot)
    assert watcher.deliveries[-2].reset
    watcher.check_whole()


async def new_epoch(hub: Hub) -> str:
    """As after a restore, and the hub has seen it."""
    await db.execute("UPDATE stream_epoch SET token = gen_random_uuid()::text")
    async with watching(hub, new_stream()) as other:
        await until(lambda: other.position == 0)
    return str(await db.fetch_value("SELECT engage.epoch()"))


async def test_a_state_of_an_epoch_that_ended_while_it_was_read_is_not_told(hub: Hub) -> None:
    stream = new_stream()
    read = counted(stream)
    epochs: list[str] = []

    async def slowly() -> StateAt[int]:
        at = await read()
        if not epochs:
            epochs.append(await new_epoch(hub))
        return at

    async with hub.subscribe(stream, snapshot=slowly) as subscription:
        assert await take(subscription, 1) == [Snapshot(0, Cursor(stream, 0, epochs[0]), reset=False)]
        await write(stream)
        [change] = await take(subscription, 1)
        assert change.cursor == Cursor(stream, 1, epochs[0])


async def test_events_of_an_epoch_that_ended_while_they_were_read_are_not_told(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = new_stream()
    await write(stream, stream)
    start = Cursor(stream, 0, str(await db.fetch_value("SELECT engage.epoch()")))
    read = hub.reader.missed
    epochs: list[str] = []

    async def slowly(name: str, above: int) -> Missed:
        answer = await read(name, above)
        if not epochs:
            epochs.append(await new_epoch(hub))
        return answer

    monkeypatch.setattr(hub.reader, "missed", slowly)
    async with hub.subscribe(stream, snapshot=counted(stream), after=start) as subscription:
        assert await take(subscription, 1) == [Snapshot(2, Cursor(stream, 2, epochs[0]), reset=True)]


async def test_what_is_pruned_before_it_was_told_is_a_reset(hub: Hub) -> None:
    stream = new_stream()
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        await write(*[stream] * 3, rung=False)
        await db.execute("DELETE FROM events WHERE stream = $1 AND position < 3", stream)
        await db.execute("UPDATE stream_heads SET kept_from = 3 WHERE id = $1", stream)
        await hub.heal()
        await until(lambda: watcher.position == 3)
    assert isinstance(watcher.deliveries[-1], Snapshot)
    assert watcher.deliveries[-1].reset


async def test_a_ring_without_an_event_is_taken_back_by_healing(
    hub: Hub, redis_client: redis.asyncio.Redis, connected: Settings
) -> None:
    stream = new_stream()
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        await redis_client.publish(f"{connected.redis_prefix}:{channel_of(stream)}", b'[1, "false", {}]')
        await until(lambda: watcher.position == 1)
        await hub.heal()
        await until(lambda: watcher.position == 0)
    assert isinstance(watcher.deliveries[-1], Snapshot)
    assert watcher.deliveries[-1].reset


@pytest.mark.parametrize("resumes", [False, True])
async def test_a_ring_without_an_event_is_taken_back_when_another_subscribes(
    hub: Hub, redis_client: redis.asyncio.Redis, connected: Settings, *, resumes: bool
) -> None:
    stream = new_stream()
    async with watching(hub, stream) as old:
        await until(lambda: old.position == 0)
        await write(stream, stream)
        await until(lambda: old.position == 2)
        await redis_client.publish(f"{connected.redis_prefix}:{channel_of(stream)}", b'[3, "false", {}]')
        await until(lambda: old.position == 3)
        after = Cursor(stream, 1, old.last.epoch) if resumes else None
        async with watching(hub, stream, after) as new:
            await until(lambda: old.position == new.position == 2)
            await write(stream)
            await until(lambda: old.position == new.position == 3)
    for watcher in (old, new):
        assert isinstance(watcher.deliveries[-2], Snapshot)
        assert watcher.deliveries[-1].cursor.position == 3
