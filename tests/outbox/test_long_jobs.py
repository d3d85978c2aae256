from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox import Run
from engage.outbox.limits import Limits
from engage.outbox.registry import Registry
from tests.outbox.working import (
    claim,
    leased,
    new_executor,
    only_row,
    undone,
    until,
    work_off,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


async def promise_tick(name: str) -> None:
    await db.execute(
        """INSERT INTO outbox (id, handler, stream, payload, created_at, due_at)
           VALUES ($1, $2::text, 'job:' || $2::text, jsonb_build_object('name', $2::text, 'position', 1,
                   'at', $3::text, 'data', jsonb_build_object()), $4, $4)""",
        new_id(),
        name,
        NOW.isoformat(),
        clock.now(),
    )


async def test_a_long_job_keeps_its_lease_while_it_runs(clean: Registry) -> None:
    go_on = asyncio.Event()

    @clean.job("long", cron="* * * * *")
    async def long(run: Run) -> None:
        assert (run.kind, run.at, run.attempt, run.args, run.state) == ("long", NOW, 1, {}, {})
        await go_on.wait()

    await promise_tick("long")
    executor = new_executor(clean, Limits(lease_s=0.5))
    beating = asyncio.create_task(executor.keep_leases())
    await executor.take_jobs(leased(await claim(clean)))
    first = (await only_row())["leased_until"]

    async def is_extended() -> bool:
        row = await only_row()
        return row["lease"] == 2 and row["leased_until"] != first and row["leased_until"] is not None

    await until(is_extended, "a heartbeat")
    go_on.set()
    await executor.drain(30)
    executor.stop_keeping()
    await beating
    assert (executor.done, await undone()) == (1, 0)


async def test_a_job_whose_lease_is_lost_is_stopped_and_writes_nothing(clean: Registry) -> None:
    stopped = asyncio.Event()

    @clean.job("long", cron="* * * * *")
    async def long() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    await promise_tick("long")
    executor = new_executor(clean, Limits(lease_s=0.3))
    beating = asyncio.create_task(executor.keep_leases())
    await executor.take_jobs(leased(await claim(clean)))

    async def is_taken_over() -> bool:
        return (await only_row())["lease"] == 2

    await until(is_taken_over, "the start")
    await db.execute("UPDATE outbox SET lease = 3, leased_until = $1", NOW + timedelta(days=999))
    before = await only_row()
    async with asyncio.timeout(30):
        await stopped.wait()
    await executor.drain(30)
    executor.stop_keeping()
    await beating
    assert await only_row() == before


async def test_a_job_that_fails_is_repeated_and_a_message_that_comes_twice_is_not(clean: Registry) -> None:
    ran: list[int] = []

    @clean.job("sweep", cron="* * * * *")
    async def sweep(run: Run) -> None:
        ran.append(run.attempt)
        if run.attempt == 1:
            raise OSError("full disk")

    with clock.frozen(NOW):
        await promise_tick("sweep")
        claims = leased(await claim(clean))
        executor = new_executor(clean)
        await executor.take_jobs(claims * 2)
        await executor.drain(30)
        assert (ran, (await only_row())["last_error"]) == ([1], "OSError: full disk")
    with clock.frozen(NOW + timedelta(minutes=1)):
        await work_off(clean)
    assert (ran, await undone()) == ([1, 2], 0)
