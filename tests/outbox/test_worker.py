"""The whole worker in this process, against real servers: relay, arq, scheduler, and what happens when Redis goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.errors import Unavailable
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.migrations import orm_config
from engage.outbox import Bounds, OutboxEvent, ask
from engage.outbox.limits import Limits
from engage.outbox.registry import Registry
from engage.outbox.relay import connect_queue
from engage.worker import run_worker
from tests.outbox.stepping import KIND, LAST, counts, with_steps
from tests.outbox.working import (
    EFFECTS,
    Happened,
    effects,
    effects_twice,
    forget_all,
    happen,
    leave_effect,
    only_row,
    undone,
    until,
)
from tests.realtime.wire import wired

LIMITS = Limits(concurrency=4, lease_s=2, poll_s=0.2, grace_s=10)


@asynccontextmanager
async def working(config: Settings, limits: Limits = LIMITS) -> AsyncIterator[asyncio.Event]:
    """A worker that runs; it has the process's database connections, which the test uses too."""
    async with working_database(config):
        await db.execute(EFFECTS)
        await forget_all()
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(config, stop, limits))

    async def is_connected() -> bool:
        assert not task.done(), task.result()
        try:
            return bool(await db.fetch_value("SELECT true"))
        except (RuntimeError, AttributeError):
            return False

    await until(is_connected, "the start of the worker")
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await task


@asynccontextmanager
async def working_database(config: Settings) -> AsyncIterator[None]:
    await db.connect(config, orm_config(config.database_url))
    try:
        yield
    finally:
        await db.disconnect()


async def all_is_done() -> bool:
    return await undone() == 0


async def test_what_is_recorded_is_done_once(registry: Registry, config: Settings) -> None:
    registry.on(Happened, name="one")(leave_effect)
    registry.on(Happened, name="two", ordered=True)(leave_effect)
    async with working(config):
        await happen(150)
        await happen(5, None)
        await until(all_is_done, "all of it")
        assert (await effects(), await undone()) == (310, 0)
        assert await db.fetch_value("SELECT max(attempts) FROM outbox") == 1


async def test_a_knock_is_enough_and_a_lost_one_does_not_matter(registry: Registry, config: Settings) -> None:
    registry.on(Happened)(leave_effect)
    async with working(config, Limits(concurrency=4, poll_s=3600)):
        await happen()
        await until(all_is_done, "work after a knock")
    async with working(config):
        async with db.acquired() as other:  # as a process would that has no bell
            await other.execute(
                """INSERT INTO outbox (id, handler, event_id, stream, payload, created_at, due_at)
                   SELECT gen_random_uuid(), $1, gen_random_uuid(), 'test:1',
                          '{"name": "n", "position": 1, "data": {}}', now(), now()""",
                registry.names()[0],
            )
        await until(all_is_done, "work without a knock")


async def test_a_tick_that_is_promised_is_run(registry: Registry, config: Settings) -> None:
    ran = asyncio.Event()

    @registry.job("tests.job", cron="* * * * *")
    async def job() -> None:
        ran.set()

    async with working(config):
        await db.execute(
            """INSERT INTO outbox (id, handler, stream, payload, created_at, due_at)
               VALUES (gen_random_uuid(), 'tests.job', 'job:tests.job',
                       '{"name": "tests.job", "position": 1, "at": "2026-06-01T12:00:00+00:00", "data": {}}',
                       now(), now())"""
        )
        await until(all_is_done, "the job")
        assert ran.is_set()


async def test_calls_are_made_and_jobs_that_were_asked_for_are_run(registry: Registry, config: Settings) -> None:
    registry.on(Happened, name="calls", outside=True, bounds=Bounds(in_flight_max=10))(leave_effect)
    with_steps(registry)
    async with working(config):
        await happen(30)
        await ask(SYSTEM, KIND)
        await until(all_is_done, "calls and job")
        assert (await effects(), await counts()) == (30 + LAST, (LAST, LAST, 0, LAST))


async def test_room_in_a_lane_is_used_at_once_and_not_at_the_next_look(registry: Registry, config: Settings) -> None:
    registry.on(Happened, name="bounded", bounds=Bounds(in_flight_max=1))(leave_effect)
    registry.on(Happened, name="ordered", ordered=True)(leave_effect)
    async with working(config, Limits(concurrency=4, poll_s=3600)):
        await happen(20, new_id())
        await until(all_is_done, "all of it, one after another")
        assert (await effects(), await undone()) == (40, 0)


async def test_an_outage_of_redis_is_outlived_and_nothing_is_lost_or_doubled(
    registry: Registry, config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    registry.on(Happened)(leave_effect)
    caplog.set_level(logging.CRITICAL, "arq")
    async with wired(config.redis_url, 6379) as wire, working(config.model_copy(update={"redis_url": wire.url})):
        for _ in range(5):
            await happen(40)
            await wire.cut(for_good=False)
            await asyncio.sleep(0.05)
        await wire.cut(for_good=True)
        await happen(40)
        await wire.mend()
        await until(all_is_done, "work after the outage")
        assert (await effects(), await effects_twice()) == (240, 0)


async def test_what_redis_forgets_is_done_all_the_same(registry: Registry, config: Settings) -> None:
    hold = asyncio.Event()

    @registry.on(Happened)
    async def wait_first(event: OutboxEvent) -> None:
        await hold.wait()
        await leave_effect(event)

    redis = connect_queue(config)
    async with working(config):
        await happen(300)

        async def is_queued() -> bool:
            return bool(await redis.zcard(redis.default_queue_name) >= LIMITS.messages)

        await until(is_queued, "messages in Redis")
        names = [name.decode() for name in await redis.zrange(redis.default_queue_name, 0, -1)]
        await redis.delete(
            redis.default_queue_name,
            *(f"arq:{kind}:{name}" for name in names for kind in ("job", "in-progress", "retry")),
        )
        hold.set()
        await until(all_is_done, "work after the loss")
        assert (await effects(), await effects_twice()) == (300, 0)
    await redis.aclose()


async def test_a_worker_that_stops_lets_handlers_end(registry: Registry, config: Settings) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    @registry.on(Happened)
    async def finish_slowly(event: OutboxEvent) -> None:
        await leave_effect(event)
        started.set()
        await go_on.wait()

    async with working(config) as stop:
        await happen()
        async with asyncio.timeout(30):
            await started.wait()
        stop.set()
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    async with working_database(config):
        assert (await effects(), await undone()) == (1, 0)


async def test_a_worker_that_stops_gives_back_what_does_not_end(registry: Registry, config: Settings) -> None:
    started = asyncio.Event()

    @registry.on(Happened)
    async def hang(event: OutboxEvent) -> None:
        await leave_effect(event)
        started.set()
        await asyncio.Event().wait()

    async with working(config, Limits(concurrency=4, grace_s=0.05)):
        await happen()
        async with asyncio.timeout(30):
            await started.wait()
    async with working_database(config):
        row = await only_row()
        assert (row["attempts"], row["leased_until"], row["finished_at"], await effects()) == (0, None, None, 0)


async def test_a_worker_that_is_told_to_stop_at_once_stops(registry: Registry, config: Settings) -> None:
    registry.on(Happened)(leave_effect)
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(30):
        await run_worker(config, stop, LIMITS)


async def test_without_a_database_it_says_which_setting_to_look_at(registry: Registry, config: Settings) -> None:
    assert registry.names() == []
    with pytest.raises(Unavailable, match="ENGAGE_DATABASE_URL"):
        await run_worker(config.model_copy(update={"database_url": "postgres://127.0.0.1:1/none"}), asyncio.Event())
