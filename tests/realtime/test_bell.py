from __future__ import annotations

import asyncio
import contextlib

import orjson
import pytest
from structlog.testing import capture_logs

from engage.base import db
from engage.base.errors import InvalidInput
from engage.base.settings import Settings
from engage.realtime.bell import Bell, knock, ring_after_commit, start_bell
from engage.realtime.rings import Ring, channel_of, rings_of
from tests.realtime.watching import Ear, new_stream, until, write
from tests.realtime.wire import wired


def test_rings_are_made_of_what_the_kernel_answers() -> None:
    answer = [{"stream": "member:1", "position": 3, "name": "a.b.v1", "data": {"x": 1}}]
    assert rings_of(answer) == [Ring("member:1", 3, "a.b.v1", {"x": 1})]
    assert rings_of([]) == []


async def test_a_ring_is_published_when_its_transaction_has_committed(bell: Bell, ear: Ear) -> None:
    stream = new_stream()
    await ear.on(channel_of(stream))
    async with db.transaction():
        ring_after_commit([Ring(stream, 1, "test.v1", {"figure": 5})])
        assert not bell._pending()
    await until(lambda: len(ear.heard) == 1)
    assert orjson.loads(ear.heard[0]) == [1, "test.v1", {"figure": 5}]


async def test_outside_of_a_transaction_it_rings_at_once(bell: Bell, ear: Ear) -> None:
    stream = new_stream()
    await ear.on(channel_of(stream))
    ring_after_commit(Ring(stream, position, "test.v1", {}) for position in (1, 2))
    assert bell._pending()
    await until(lambda: len(ear.heard) == 2)
    assert [orjson.loads(message)[0] for message in ear.heard] == [1, 2]


@pytest.mark.usefixtures("bell")
async def test_what_is_rolled_back_rings_nobody(ear: Ear) -> None:
    stream, channel = new_stream(), "outbox-of-this-test"
    await ear.on(channel_of(stream))
    await ear.on(channel)

    async def refused() -> None:
        ring_after_commit([Ring(stream, 1, "undone", {})])
        knock(channel)
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        await db.command(refused)()
    async with db.transaction():
        with contextlib.suppress(InvalidInput):
            async with db.savepoint():
                await refused()
        ring_after_commit([Ring(stream, 1, "done", {})])
    await until(lambda: len(ear.heard) > 0)
    assert [orjson.loads(message)[1] for message in ear.heard] == ["done"]


@pytest.mark.usefixtures("bell")
async def test_a_knock_has_no_content_and_many_are_one(ear: Ear) -> None:
    await ear.on("outbox")
    await ear.on("end")
    async with db.transaction():
        for _ in range(10):
            knock("outbox")
    await until(lambda: len(ear.heard) > 0)
    knock("end")
    await until(lambda: len(ear.heard) > 1)
    assert ear.heard == [b"", b""]


async def test_thousands_of_rings_all_arrive_in_order(bell: Bell, ear: Ear) -> None:
    stream = new_stream()
    await ear.on(channel_of(stream))
    before = bell.rung
    ring_after_commit(Ring(stream, position, "test.v1", {}) for position in range(1, 3001))
    await until(lambda: len(ear.heard) == 3000)
    assert [orjson.loads(message)[0] for message in ear.heard] == list(range(1, 3001))
    assert bell.rung - before == 3000


async def test_a_ring_that_is_no_json_is_dropped_alone(bell: Bell, ear: Ear) -> None:
    stream = new_stream()
    await ear.on(channel_of(stream))
    dropped = bell.dropped
    with capture_logs() as logs:
        ring_after_commit([Ring(stream, 1, "bad", {"set": {1}}), Ring(stream, 2, "good", {})])
        await until(lambda: len(ear.heard) == 1)
    assert orjson.loads(ear.heard[0])[1] == "good"
    assert bell.dropped == dropped + 1
    assert [log["event"] for log in logs] == ["bell.unfit_ring"]


async def test_without_redis_nothing_waits_nothing_fails_and_what_is_lost_is_counted(config: Settings) -> None:
    async with wired(config.redis_url, 6379) as wire:
        await wire.cut(for_good=True)
        bell = Bell(wire.url, config.redis_prefix, queue_max=100)
        bell.start()
        with capture_logs() as logs:
            bell.ring(Ring("member:1", position, "test.v1", {}) for position in range(1, 251))
            assert bell.dropped == 150
            await until(lambda: bell.dropped == 250)
            bell.ring([Ring("member:1", 251, "test.v1", {})])
            await until(lambda: bell.dropped == 251)
        assert [log["event"] for log in logs] == ["bell.away"]
        await wire.mend()
        bell.knock("anything")
        bell.ring([Ring("member:1", 252, "test.v1", {})])
        await until(lambda: bell.rung + bell.dropped == 252)
        bell.ring([Ring("member:1", 253, "test.v1", {})])
        await until(lambda: bell.rung + bell.dropped == 253)
        assert bell.rung >= 1
        await bell.stop()


async def test_what_is_queued_is_sent_before_the_bell_stops(config: Settings, ear: Ear) -> None:
    stream = new_stream()
    await ear.on(channel_of(stream))
    bell = Bell(config.redis_url, config.redis_prefix)
    bell.start()
    bell.ring(Ring(stream, position, "test.v1", {}) for position in range(1, 1201))
    await bell.stop()
    await until(lambda: len(ear.heard) >= 1200)
    assert {orjson.loads(message)[0] for message in ear.heard} == set(range(1, 1201))
    assert (bell.rung, bell.dropped) == (1200, 0)


async def test_a_silent_redis_does_not_hold_up_stopping(config: Settings) -> None:
    async with wired(config.redis_url, 6379) as wire:
        wire.muted = True
        bell = Bell(wire.url, config.redis_prefix)
        bell.start()
        bell.ring([Ring("member:1", 1, "test.v1", {})])
        async with asyncio.timeout(15):
            await bell.stop()
        assert (bell.rung, bell.dropped) == (0, 1)


async def test_one_bell_a_process(bell: Bell, config: Settings) -> None:
    assert bell.rung >= 0
    with pytest.raises(RuntimeError, match="already"):
        await start_bell(config.redis_url, config.redis_prefix)


async def test_a_process_without_a_bell_writes_all_the_same(connected: Settings) -> None:
    assert connected.database_url
    from engage.realtime import bell as module  # noqa: PLC0415 -- its state is put aside for a moment

    kept, module._State.bell = module._State.bell, None
    try:
        assert [ring.position for ring in await write(new_stream())] == [1]
        knock("outbox")
    finally:
        module._State.bell = kept
