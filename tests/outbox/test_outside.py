"""Handlers that call others: no transaction and no connection while they wait, at least once, and in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from engage.base import clock, db
from engage.base.settings import Settings
from engage.migrations import orm_config
from engage.outbox import Bounds, OutboxEvent
from engage.outbox.execute import FULL_AGAIN
from engage.outbox.limits import Limits
from engage.outbox.registry import Registry
from tests.outbox.working import (
    EFFECTS,
    Happened,
    claim,
    effects,
    forget_all,
    happen,
    leased,
    leave_effect,
    new_executor,
    only_row,
    take,
    undone,
    until,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CALLS = 20
CONNECTIONS = 2


@pytest.fixture
async def few_connections(config: Settings, registry: Registry) -> AsyncIterator[Registry]:
    """The process has two connections, and a registry to fill."""
    await db.connect(config.model_copy(update={"pool_size_max": CONNECTIONS}), orm_config(config.database_url))
    await db.execute(EFFECTS)
    await forget_all()
    yield registry
    await db.disconnect()


class Doors:
    """A call that waits until it is let go, and how many wait in it."""

    def __init__(self) -> None:
        self.waiting = 0
        self.called = 0
        self.let_go = asyncio.Event()

    async def call(self, _event: OutboxEvent) -> None:
        self.waiting += 1
        self.called += 1
        try:
            await self.let_go.wait()
        finally:
            self.waiting -= 1

    async def wait_for(self, count: int) -> None:
        async def are_waiting() -> bool:
            return self.waiting == count

        await until(are_waiting, f"{count} calls at once")


def with_calls(registry: Registry, bounds: Bounds | None = None) -> Doors:
    doors = Doors()

    @registry.on(Happened, name="calls", outside=True, bounds=bounds or Bounds(in_flight_max=1000))
    async def call(event: OutboxEvent) -> None:
        await doors.call(event)

    return doors


async def test_calls_hold_no_transaction_and_no_connection_while_they_wait(few_connections: Registry) -> None:
    doors = with_calls(few_connections)
    await happen(CALLS)
    executor = new_executor(few_connections)
    await take(executor, few_connections, await claim(few_connections))
    await doors.wait_for(CALLS)
    in_transaction = await db.fetch_value(
        """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"""
    )
    assert in_transaction == 0
    doors.let_go.set()
    await executor.drain(30)
    assert (executor.done, await undone()) == (CALLS, 0)


async def test_slow_calls_do_not_take_the_places_of_events(few_connections: Registry) -> None:
    doors = with_calls(few_connections)
    few_connections.on(Happened, name="events")(leave_effect)
    limits = Limits(concurrency=1, calls=3)
    executor = new_executor(few_connections, limits)
    with clock.frozen(NOW):
        await happen(10)
        await take(executor, few_connections, await claim(few_connections))
        await doors.wait_for(3)

        async def events_are_done() -> bool:
            return await effects() == 10

        await until(events_are_done, "all events while the calls wait")
        due = await db.fetch("SELECT due_at, attempts FROM outbox WHERE handler = 'calls' AND leased_until IS NULL")
        assert [tuple(row) for row in due] == [(NOW + FULL_AGAIN, 0)] * 7, "given back and not counted"
    doors.let_go.set()
    await executor.drain(30)
    assert executor.done == 13


async def test_a_call_that_was_begun_when_its_worker_died_is_made_again(few_connections: Registry) -> None:
    doors = with_calls(few_connections)
    dead, heir = new_executor(few_connections), new_executor(few_connections)
    with clock.frozen(NOW):
        await happen()
        await take(dead, few_connections, await claim(few_connections))
        await doors.wait_for(1)
    with clock.frozen(NOW + timedelta(seconds=61)):
        await take(heir, few_connections, await claim(few_connections))
        await doors.wait_for(2)
        doors.let_go.set()
        for executor in (dead, heir):
            await executor.drain(30)
    row = await only_row()
    assert (doors.called, dead.done, heir.done) == (2, 0, 1)
    assert (row["attempts"], row["finished_at"]) == (2, NOW + timedelta(seconds=61))


async def test_a_message_that_comes_twice_makes_one_call(few_connections: Registry) -> None:
    doors = with_calls(few_connections)
    doors.let_go.set()
    await happen()
    executor = new_executor(few_connections)
    await executor.take_calls(leased(await claim(few_connections)) * 2)
    await executor.drain(30)
    assert (doors.called, await undone()) == (1, 0)


async def test_a_slow_call_keeps_its_lease_and_is_ended_in_time(few_connections: Registry) -> None:
    doors = with_calls(few_connections, Bounds(timeout_s=1.0, in_flight_max=4))
    await happen()
    executor = new_executor(few_connections, Limits(lease_s=0.4))
    beating = asyncio.create_task(executor.keep_leases())
    await take(executor, few_connections, await claim(few_connections))
    await doors.wait_for(1)
    first = (await only_row())["leased_until"]

    async def is_kept() -> bool:
        return (await only_row())["leased_until"] not in {first, None}

    await until(is_kept, "a heartbeat")
    await executor.drain(30)
    executor.stop_keeping()
    await beating
    row = await only_row()
    assert (row["finished_at"], row["attempts"], executor.failed) == (None, 1, 1)
    assert str(row["last_error"]).startswith("TimeoutError")


async def test_calls_that_run_at_shutdown_are_given_back_uncounted(few_connections: Registry) -> None:
    doors = with_calls(few_connections)
    await happen(3)
    executor = new_executor(few_connections)
    await take(executor, few_connections, await claim(few_connections))
    await doors.wait_for(3)
    await executor.drain(0.01)
    left = await db.fetch("SELECT DISTINCT attempts, leased_until, last_error FROM outbox")
    assert ([tuple(row) for row in left], executor.held) == ([(0, None, None)], 0)
