from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.readings import Fetch
from engage.realtime.log import prune_events, read_events, read_heads, read_missed, read_state
from engage.realtime.rings import Ring
from tests.realtime.watching import COUNTED, counted, new_stream, write

pytestmark = pytest.mark.usefixtures("connected")

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def kept_from(stream: str) -> int:
    _, heads = await read_heads([stream])
    return heads[stream][1]


async def write_at(moment: datetime, stream: str, count: int) -> None:
    with clock.frozen(moment):
        for _ in range(count):
            await write(stream)


async def test_events_are_read_in_order_above_a_position() -> None:
    stream = new_stream()
    for figure in range(5):
        await write(stream, data={"figure": figure})
    assert await read_events(stream, 1, 2) == [
        Ring(stream, 2, "test.counted.v1", {"figure": 1}),
        Ring(stream, 3, "test.counted.v1", {"figure": 2}),
    ]
    assert await read_events(stream, 5, 2) == []


async def test_heads_of_known_and_unknown_streams_come_with_the_epoch() -> None:
    known, unknown = new_stream(), new_stream()
    await write(known, known)
    epoch, heads = await read_heads([known, unknown])
    assert heads == {known: (2, 1), unknown: (0, 1)}
    assert epoch == await db.fetch_value("SELECT engage.epoch()")
    assert await read_heads([]) == (epoch, {})


async def test_missed_events_say_whether_they_are_whole() -> None:
    stream = new_stream()
    await write(*[stream] * 4)
    page = await read_missed(stream, 1, 2)
    assert (page.head, page.kept_from, [ring.position for ring in page.rings]) == (4, 1, [2, 3])
    assert page.follows(1)
    assert not page.complete
    rest = await read_missed(stream, 3, 2)
    assert rest.follows(3)
    assert rest.complete
    assert not (await read_missed(stream, 5, 2)).follows(5)
    nothing = await read_missed(new_stream(), 0, 2)
    assert (nothing.head, nothing.rings) == (0, [])
    assert nothing.follows(0)


async def test_a_hole_in_the_log_is_seen() -> None:
    stream = new_stream()
    await write(*[stream] * 4)
    await db.execute("DELETE FROM events WHERE stream = $1 AND position = 3", stream)
    assert not (await read_missed(stream, 1, 10)).follows(1)
    await db.execute("DELETE FROM events WHERE stream = $1 AND position = 4", stream)
    assert not (await read_missed(stream, 1, 10)).follows(1)


async def test_a_state_comes_with_its_head_even_while_others_write() -> None:
    stream = new_stream()
    assert (await counted(stream)()).position == 0
    writing = asyncio.gather(*(write(stream) for _ in range(60)))
    while not writing.done():
        at = await counted(stream)()
        assert at.state == at.position
    await writing
    assert (await counted(stream)()).position == 60


async def test_a_state_is_of_one_member() -> None:
    ids = (UUID(int=1), UUID(int=2))
    with pytest.raises(ValueError, match="one member"):
        await read_state("member:x", Fetch(COUNTED, ids))


async def test_pruning_removes_old_events_in_batches_and_says_what_is_kept() -> None:
    old, new = new_stream(), new_stream()
    await write_at(LONG_AGO, old, 5)
    await write_at(clock.now(), old, 2)
    await write_at(clock.now(), new, 1)
    before = LONG_AGO + timedelta(days=1)
    assert [await prune_events(before, 3) for _ in range(3)] == [3, 2, 0]
    assert await kept_from(old) == 6
    assert await kept_from(new) == 1
    assert [ring.position for ring in await read_events(old, 0, 10)] == [6, 7]
    assert not (await read_missed(old, 4, 10)).follows(4)
    assert (await read_missed(old, 5, 10)).follows(5)
    await write(old)
    assert (await read_heads([old]))[1][old] == (8, 6)


async def test_events_out_of_order_in_time_leave_no_hole_that_looks_kept() -> None:
    stream = new_stream()
    await write_at(clock.now(), stream, 1)
    await write_at(LONG_AGO, stream, 1)
    await write_at(clock.now(), stream, 1)
    assert await prune_events(LONG_AGO + timedelta(days=1), 10) == 1
    assert await kept_from(stream) == 3
    assert not (await read_missed(stream, 0, 10)).follows(0)
    assert not (await read_missed(stream, 0, 1)).follows(0)
    assert (await read_missed(stream, 2, 10)).follows(2)


async def test_pruning_waits_for_nobody_and_leaves_a_busy_stream_for_later() -> None:
    busy, idle = new_stream(), new_stream()
    await write_at(LONG_AGO, busy, 2)
    await write_at(LONG_AGO, idle, 2)
    before = LONG_AGO + timedelta(days=1)
    async with db.transaction():
        await write(busy)
        async with asyncio.timeout(10):
            assert await asyncio.create_task(on_its_own(before)) == 2
    assert await kept_from(idle) == 3
    assert await kept_from(busy) == 1
    assert await prune_events(before, 10) == 2
    assert await kept_from(busy) == 3


async def on_its_own(before: datetime) -> int:
    """Prune outside of the transaction of the task that started this one."""
    db._current.set(None)
    return await prune_events(before, 10)


async def test_two_pruners_and_writers_at_once_keep_heads_and_log_together() -> None:
    streams = [new_stream() for _ in range(5)]
    for stream in streams:
        await write_at(LONG_AGO, stream, 20)
    before = LONG_AGO + timedelta(days=1)

    pruned: list[int] = []

    async def prune() -> None:
        async with asyncio.timeout(20):
            while sum(pruned) < 100:
                pruned.append(await prune_events(before, 7))

    await asyncio.gather(prune(), prune(), *(write(*streams) for _ in range(20)))
    assert sum(pruned) == 100
    for stream in streams:
        assert (await read_heads([stream]))[1][stream] == (40, 21)
        assert (await read_missed(stream, 20, 100)).follows(20)
