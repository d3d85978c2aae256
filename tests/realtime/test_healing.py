"""Whatever happens to Redis, to the database or to what is published: no gap, no repetition, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import redis.asyncio
from structlog.testing import capture_logs

from engage.base import db
from engage.base.settings import Settings
from engage.migrations import orm_config
from engage.realtime.bell import Bell, ring_after_commit
from engage.realtime.broker import Broker
from engage.realtime.deliveries import Snapshot
from engage.realtime.hub import Hub
from engage.realtime.rings import Ring, channel_of
from tests.realtime.watching import Watcher, hub_of, new_stream, until, watching, write
from tests.realtime.wire import Wire, wired


@pytest.fixture(scope="module")
async def database_wire(config: Settings) -> AsyncIterator[Wire]:
    async with wired(config.database_url, 5432) as wire:
        yield wire


@pytest.fixture(scope="module")
async def statements() -> list[str]:
    """Every statement of this process."""
    return []


@pytest.fixture(scope="module")
async def connected(config: Settings, database_wire: Wire, statements: list[str]) -> AsyncIterator[Settings]:
    """As everywhere, but through a wire that can be cut, and with an ear on it."""

    async def listen(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(lambda logged: statements.append(logged.query))

    await db.connect(
        config.model_copy(update={"database_url": database_wire.url}), orm_config(config.database_url), init=listen
    )
    yield config
    await db.disconnect()


async def taken(statements: list[str]) -> list[str]:
    """The statements since the last call. The library tells of each in one of the event loop's next rounds."""
    for _ in range(5):
        await asyncio.sleep(0)
    since = list(statements)
    statements.clear()
    return since


async def test_one_statement_heals_all_streams_and_finds_what_nobody_rang(hub: Hub, statements: list[str]) -> None:
    streams = [new_stream() for _ in range(30)]
    async with asyncio.TaskGroup() as group:
        done = asyncio.Event()
        watchers = [await hold(group, hub, stream, done) for stream in streams]
        await until(lambda: all(watcher.position == 0 for watcher in watchers))
        await taken(statements)
        await hub.heal()
        assert len(await taken(statements)) == 1
        for stream in streams[:3]:
            await write(*[stream] * 2, rung=False)
        await taken(statements)
        healed = hub.counters.healed
        await hub.heal()
        await until(lambda: all(watcher.position == 2 for watcher in watchers[:3]))
        assert len(await taken(statements)) == 1 + 3  # the heads, and a page of the log for each that had gone on
        assert hub.counters.healed == healed + 3
        await taken(statements)
        await hub.heal()
        assert len(await taken(statements)) == 1
        done.set()
    for watcher in watchers:
        watcher.check_whole()


async def hold(group: asyncio.TaskGroup, hub: Hub, stream: str, done: asyncio.Event) -> Watcher:
    ready: asyncio.Future[Watcher] = asyncio.get_running_loop().create_future()

    async def watch() -> None:
        async with watching(hub, stream) as watcher:
            ready.set_result(watcher)
            await done.wait()

    group.create_task(watch())
    return await ready


async def test_without_subscribers_healing_asks_nothing(hub: Hub, statements: list[str]) -> None:
    await taken(statements)
    await hub.heal()
    assert await taken(statements) == []


async def test_a_jump_is_filled_from_the_log_and_an_old_ring_is_dropped(hub: Hub, statements: list[str]) -> None:
    stream = new_stream()
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        await write(*[stream] * 3, rung=False)
        await taken(statements)
        rings = await write(stream)
        await until(lambda: watcher.position == 4)
        repeated = hub.counters.repeated
        ring_after_commit([Ring(stream, 2, "test.counted.v1", {}), *rings])
        await until(lambda: hub.counters.repeated == repeated + 2)
        assert len([statement for statement in await taken(statements) if "FROM events" in statement]) == 1
    watcher.check_whole()
    assert len(watcher.deliveries) == 5


async def test_healing_comes_by_itself_every_so_often(connected: Settings) -> None:
    stream = new_stream()
    async with hub_of(connected, heal_interval_s=0.05) as hub, watching(hub, stream) as watcher:
        for position in range(3):
            await until(lambda position=position: watcher.position == position)  # type: ignore[misc]
            await write(*[stream] * 1, rung=False)
        await until(lambda: watcher.position == 3)
    watcher.check_whole()


async def test_a_cut_redis_connection_is_healed_when_it_is_back(connected: Settings, bell: Bell) -> None:
    stream = new_stream()
    async with wired(connected.redis_url, 6379) as wire:
        broker = Broker(wire.url, connected.redis_prefix)
        async with hub_of(connected, broker=broker) as hub, watching(hub, stream) as watcher:
            await until(lambda: watcher.position == 0 and broker.connected)
            await wire.cut(for_good=True)
            await until(lambda: not broker.connected)
            rung = bell.rung
            for _ in range(5):
                await write(stream)
            await until(lambda: bell.rung == rung + 5)
            assert watcher.position == 0
            await wire.mend()
            await until(lambda: watcher.position == 5)
            await write(stream)
            await until(lambda: watcher.position == 6)
        watcher.check_whole()


async def test_with_redis_away_all_the_time_healing_alone_delivers(connected: Settings) -> None:
    stream = new_stream()
    async with wired(connected.redis_url, 6379) as wire:
        await wire.cut(for_good=True)
        broker = Broker(wire.url, connected.redis_prefix)
        async with hub_of(connected, broker=broker, heal_interval_s=0.05) as hub, watching(hub, stream) as watcher:
            for position in range(20):
                await until(lambda position=position: watcher.position >= position)  # type: ignore[misc]
                await write(stream)
            await until(lambda: watcher.position == 20)
        assert broker.connects == 0
    watcher.check_whole()


async def test_the_database_away_while_healing_is_waited_for_and_logged_once(
    connected: Settings, database_wire: Wire
) -> None:
    stream = new_stream()
    async with hub_of(connected, heal_interval_s=0.02) as hub, watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        failures = 0
        heal = hub.heal

        async def counting() -> None:
            nonlocal failures
            try:
                await heal()
            except Exception:
                failures += 1
                raise

        hub.heal = counting  # type: ignore[method-assign]
        with capture_logs() as logs:
            await database_wire.cut(for_good=True)
            await until(lambda: failures >= 5)
            await database_wire.mend()
            await until(lambda: logs[-1]["event"] == "hub.healing_again")
        assert [log["event"] for log in logs] == ["hub.healing_failed", "hub.healing_again"]
        await write(*[stream] * 2, rung=False)
        await until(lambda: watcher.position == 2)
    watcher.check_whole()


async def test_a_subscriber_who_reads_while_the_database_goes_away_goes_on_later(
    connected: Settings, database_wire: Wire
) -> None:
    stream = new_stream()
    async with hub_of(connected, heal_interval_s=0.05) as hub, watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        await database_wire.cut(for_good=True)
        hub._streams[stream].reset()
        await until(lambda: len(hub._streams) == 1 and hub._streams[stream].position is None)
        await database_wire.mend()
        await until(lambda: len(watcher.deliveries) == 2)
        await write(stream)
        await until(lambda: watcher.position == 1)
    assert isinstance(watcher.deliveries[1], Snapshot)
    assert watcher.deliveries[1].reset
    assert watcher.ended is None


JUNK = [
    b"",
    b"junk",
    b"\xff\xfe",
    b"{}",
    b"7",
    b"null",
    b"[]",
    b"[1]",
    b'["1", "a", {}]',
    b'[true, "a", {}]',
    b'[1.0, "a", {}]',
    b'[1, "a", []]',
    b"[1, null, {}]",
    b'[0, "a", {}]',
    b'[-5, "a", {}]',
    b'[1, "a", {}, 4]',
    b"[" * 10_000,
]


async def test_malformed_messages_are_ignored_counted_and_logged_once(
    hub: Hub, redis_client: redis.asyncio.Redis, connected: Settings
) -> None:
    stream = new_stream()
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        malformed = hub.counters.malformed
        with capture_logs() as logs:
            for message in JUNK:
                await redis_client.publish(f"{connected.redis_prefix}:{channel_of(stream)}", message)
            await write(stream)
            await until(lambda: watcher.position == 1)
        assert hub.counters.malformed == malformed + len(JUNK)
        assert [log["event"] for log in logs] == ["stream.malformed_message"]
        assert logs[0]["stream"] == stream
    watcher.check_whole()


async def test_a_ring_far_ahead_of_the_log_costs_one_read_and_changes_nothing(
    hub: Hub, redis_client: redis.asyncio.Redis, connected: Settings, statements: list[str]
) -> None:
    stream = new_stream()
    channel = f"{connected.redis_prefix}:{channel_of(stream)}"
    async with watching(hub, stream) as watcher:
        await until(lambda: watcher.position == 0)
        await taken(statements)
        await redis_client.publish(channel, b'[9000000000000000000, "a", {}]')
        await until(lambda: len(statements) == 1)
        await until(lambda: not hub._streams[stream].filling)
        await write(stream)
        await until(lambda: watcher.position == 1)
        assert len([statement for statement in await taken(statements) if "FROM events" in statement]) == 1
    watcher.check_whole()
