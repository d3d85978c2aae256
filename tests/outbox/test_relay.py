from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from arq.connections import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.settings import Settings
from engage.outbox import Bounds, ask
from engage.outbox.limits import ATTEMPTS_MAX, Limits
from engage.outbox.registry import Registry
from engage.outbox.relay import Relay, connect_queue, queue_name
from tests.outbox.stepping import KIND, with_steps
from tests.outbox.working import (
    Happened,
    effects,
    effects_twice,
    happen,
    leave_effect,
    new_executor,
    only_row,
    undone,
)
from tests.realtime.wire import wired

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LIMITS = Limits()


@pytest.fixture
async def queue(connected: Settings) -> AsyncIterator[ArqRedis]:
    redis = connect_queue(connected)
    yield redis
    await lose(redis)
    await redis.aclose()


async def lose(redis: ArqRedis) -> None:
    """What a flush of Redis does to us."""
    jobs = [f"arq:job:{name.decode()}" for name in await redis.zrange(redis.default_queue_name, 0, -1)]
    await redis.delete(redis.default_queue_name, *jobs)


async def messages(redis: ArqRedis) -> list[dict[str, list[tuple[UUID, int]]]]:
    found = []
    for name in await redis.zrange(redis.default_queue_name, 0, -1):
        message = orjson.loads(await redis.get(f"arq:job:{name.decode()}") or b"{}")
        found.append({message["f"]: [(UUID(row), lease) for row, lease in message["a"][0]]})
    return found


async def test_arq_carries_ids_and_nothing_else(clean: Registry, queue: ArqRedis) -> None:
    clean.on(Happened)(leave_effect)
    await happen()
    assert await Relay(queue, clean, LIMITS).relay(100) == 1
    row = await only_row()
    assert await messages(queue) == [{"run_events": [(row["id"], 1)]}]
    assert await queue.zrange(queue.default_queue_name, 0, -1) == [f"{row['id']}:1".encode()]


async def test_events_calls_and_jobs_have_messages_of_their_own(clean: Registry, queue: ArqRedis) -> None:
    clean.on(Happened, name="events")(leave_effect)
    clean.on(Happened, name="calls", outside=True, bounds=Bounds(in_flight_max=10))(leave_effect)
    with_steps(clean)
    await happen(4)
    for _ in range(2):
        await ask(SYSTEM, KIND)
    assert await Relay(queue, clean, LIMITS).relay(100) == 10
    told = Counter(f"{kind} {len(part)}" for message in await messages(queue) for kind, part in message.items())
    assert told == {"run_events 1": 4, "run_calls 1": 4, "run_jobs 1": 2}


async def test_a_batch_is_shared_out_in_a_few_messages(clean: Registry, queue: ArqRedis) -> None:
    clean.on(Happened)(leave_effect)
    await happen(150)
    relay = Relay(queue, clean, LIMITS)
    assert [await relay.relay(100), await relay.relay(100), await relay.relay(100)] == [100, 50, 0]
    sizes = sorted(len(part) for message in await messages(queue) for part in message.values())
    assert sum(sizes) == 150
    assert sizes[-1] <= LIMITS.message_max


async def test_what_redis_loses_is_run_when_its_lease_has_ended(clean: Registry, queue: ArqRedis) -> None:
    clean.on(Happened)(leave_effect)
    relay = Relay(queue, clean, LIMITS)
    with clock.frozen(NOW):
        await happen(30)
        assert await relay.relay(100) == 30
        await lose(queue)
    with clock.frozen(NOW + timedelta(seconds=59)):
        assert await relay.relay(100) == 0
    with clock.frozen(NOW + timedelta(seconds=61)):
        assert await relay.relay(100) == 30
        executor = new_executor(clean)
        for message in await messages(queue):
            await executor.take_events(message["run_events"])
        await executor.drain(30)
    assert (await effects(), await effects_twice(), await undone()) == (30, 0, 0)


async def test_while_redis_is_away_rows_stay_as_they_were(clean: Registry, connected: Settings) -> None:
    clean.on(Happened)(leave_effect)
    await happen(3)
    async with wired(connected.redis_url, 6379) as wire:
        redis = connect_queue(connected.model_copy(update={"redis_url": wire.url}))
        relay = Relay(redis, clean, LIMITS)
        await wire.cut(for_good=True)
        for _ in range(20):
            with pytest.raises(RedisConnectionError):
                await relay.relay(100)
        await redis.aclose()
    found = await db.fetch("SELECT attempts, leased_until, dead_at FROM outbox")
    assert [tuple(row) for row in found] == [(0, None, None)] * 3


async def test_a_row_that_takes_its_worker_down_each_time_is_dead_in_the_end(
    clean: Registry, queue: ArqRedis
) -> None:
    clean.on(Happened, bounds=Bounds(attempts_max=3))(leave_effect)
    with clock.frozen(NOW):
        await happen()
    for minute in range(ATTEMPTS_MAX + 2):
        with clock.frozen(NOW + timedelta(minutes=minute)):
            await Relay(queue, clean, Limits(lease_s=60)).relay(100)
    row = await only_row()
    assert row["dead_at"] == NOW + timedelta(minutes=ATTEMPTS_MAX)
    assert "worker ended while this ran" in str(row["last_error"])


async def test_rows_of_unknown_handlers_are_left_alone(clean: Registry, queue: ArqRedis) -> None:
    clean.on(Happened, name="known")(leave_effect)
    await happen()
    await db.execute("UPDATE outbox SET handler = 'unknown'")
    assert await Relay(queue, clean, LIMITS).relay(100) == 0


async def test_installations_that_share_redis_have_queues_of_their_own(connected: Settings) -> None:
    other = connected.model_copy(update={"redis_prefix": "other"})
    assert queue_name(other) != queue_name(connected)
    assert queue_name(connected).startswith(connected.redis_prefix)
