from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import orjson

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.outbox import Run, Step, ask, checkpoints
from engage.outbox.checkpoints import RowResult, Written
from engage.outbox.limits import Limits
from engage.outbox.registry import Registry
from tests.outbox.stepping import KIND, LAST, counts, done_rows, with_steps
from tests.outbox.working import claim, leased, new_executor, only_row, work_off

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ALL = list(range(1, LAST + 1))


async def test_steps_commit_their_effect_with_counts_state_and_results(clean: Registry) -> None:
    @clean.job("tests.mixed")
    async def mixed(run: Run) -> None:
        async def first() -> Step:
            return Step(state={"at": 2}, done=1, total=3, results=[RowResult(1, "DONE")])

        async def second() -> Step:
            assert run.state == {"at": 2}
            return Step(done=1, failed=1, results=[RowResult(2, "DONE"), RowResult(3, "BAD", {"field": "amount"})])

        await run.step(first)
        await run.step(second)

    with clock.frozen(NOW):
        asked = await ask(SYSTEM, "tests.mixed")
        await work_off(clean)
    kept = await db.fetch_row("SELECT * FROM job_runs WHERE id = $1", asked.id)
    assert kept is not None
    assert (kept["steps"], kept["rows_done"], kept["rows_failed"], kept["rows_total"]) == (2, 2, 1, 3)
    assert (orjson.loads(kept["state"]), kept["began_at"], kept["told_at"]) == ({"at": 2}, NOW, NOW)
    found = await db.fetch("SELECT row, code, detail FROM job_results ORDER BY row")
    assert [(row, code, orjson.loads(detail)) for row, code, detail in found] == [
        (1, "DONE", {}),
        (2, "DONE", {}),
        (3, "BAD", {"field": "amount"}),
    ]
    assert (await only_row())["finished_at"] == NOW


async def test_a_step_that_fails_leaves_nothing_and_the_next_attempt_goes_on_there(clean: Registry) -> None:
    async def fail_once(run: Run, row: int) -> None:
        if row == 3 and run.attempt == 1:
            raise ValueError("bad row")

    with_steps(clean, within=fail_once)
    with clock.frozen(NOW):
        await ask(SYSTEM, KIND)
        await work_off(clean)
        assert (await done_rows(), await counts()) == ([1, 2], (2, 2, 0, 2))
    with clock.frozen(NOW + timedelta(minutes=1)):
        await work_off(clean)
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))
    assert (await only_row())["finished_at"] is not None


async def test_another_worker_goes_on_where_one_was_lost_and_that_one_can_do_nothing_more(clean: Registry) -> None:
    stuck, go_on = asyncio.Event(), asyncio.Event()

    async def hang_once(run: Run, row: int) -> None:
        if row == 4 and run.attempt == 1:
            stuck.set()
            await go_on.wait()

    with_steps(clean, before=hang_once)
    lost = new_executor(clean)
    with clock.frozen(NOW):
        await ask(SYSTEM, KIND)
        await lost.take_jobs(leased(await claim(clean)))
        await stuck.wait()
    with clock.frozen(NOW + timedelta(seconds=61)):
        await work_off(clean)
        assert await done_rows() == ALL
        before = await only_row()
        go_on.set()
        await lost.drain(30)
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))
    assert (await only_row(), lost.done, lost.failed) == (before, 0, 0)


async def test_a_step_whose_lease_was_lost_meanwhile_is_rolled_back_whole(clean: Registry) -> None:
    within, go_on = asyncio.Event(), asyncio.Event()

    async def hang(_run: Run, row: int) -> None:
        if row == 2:
            within.set()
            await go_on.wait()

    with_steps(clean, within=hang)
    await ask(SYSTEM, KIND)
    executor = new_executor(clean)
    await executor.take_jobs(leased(await claim(clean)))
    await within.wait()
    await db.execute("UPDATE outbox SET lease = lease + 1")
    go_on.set()
    await executor.drain(30)
    assert (await done_rows(), await counts()) == ([1], (1, 1, 0, 1))
    assert (await only_row())["last_error"] is None


async def test_a_step_that_had_committed_before_is_told_and_changes_nothing(clean: Registry) -> None:
    with_steps(clean)
    asked = await ask(SYSTEM, KIND)
    [(row_id, lease)] = leased(await claim(clean))
    step = Step(state={"next": 2}, done=1, results=[RowResult(1, "DONE")])
    written = [await checkpoints.write(row_id, lease, 0, step, NOW, 5) for _ in range(2)]
    assert (row_id, written) == (asked.id, [Written.GO_ON, Written.REPEATED])
    assert await checkpoints.write(row_id, lease + 1, 1, step, NOW, 5) is Written.LOST
    assert await counts() == (1, 1, 0, 1)


async def test_a_step_waits_for_a_database_that_throws_it_out(clean: Registry) -> None:
    thrown_out = 0

    async def throw_out(_run: Run, row: int) -> None:
        nonlocal thrown_out
        if row == 3 and thrown_out < 2:
            thrown_out += 1
            backend = await db.fetch_value("SELECT pg_backend_pid()")
            async with db.acquired() as other:
                await other.execute("SELECT pg_terminate_backend($1, 5000)", backend)

    with_steps(clean, within=throw_out)
    await ask(SYSTEM, KIND)
    await work_off(clean)
    assert (thrown_out, await done_rows(), await counts()) == (2, ALL, (LAST, LAST, 0, LAST))
    assert (await only_row())["attempts"] == 1


async def test_a_job_that_is_cancelled_ends_with_its_present_step(clean: Registry) -> None:
    async def cancel(_run: Run, row: int) -> None:
        if row == 3:
            async with db.acquired() as other:
                await other.execute("UPDATE outbox SET cancel_asked_at = $1", NOW)

    with_steps(clean, within=cancel)
    with clock.frozen(NOW + timedelta(seconds=5)):
        await ask(SYSTEM, KIND)
        await work_off(clean)
    row = await only_row()
    assert (await done_rows(), await counts()) == ([1, 2, 3], (3, 3, 0, 3))
    assert (row["finished_at"], row["dead_at"], row["last_error"]) == (NOW + timedelta(seconds=5), None, None)
    assert row["cancel_asked_at"] is not None


async def test_a_cancelled_job_that_hangs_outside_of_a_step_is_stopped(clean: Registry) -> None:
    hanging = asyncio.Event()

    async def hang(_run: Run, row: int) -> None:
        if row == 3:
            hanging.set()
            await asyncio.Event().wait()

    with_steps(clean, before=hang)
    await ask(SYSTEM, KIND)
    executor = new_executor(clean, Limits(lease_s=0.3))
    beating = asyncio.create_task(executor.keep_leases())
    await executor.take_jobs(leased(await claim(clean)))
    await hanging.wait()
    await db.execute("UPDATE outbox SET cancel_asked_at = $1", clock.now())
    await executor.drain(30)
    executor.stop_keeping()
    await beating
    row = await only_row()
    assert (row["finished_at"] is not None, row["leased_until"], row["last_error"]) == (True, None, None)
    assert (row["cancel_asked_at"] is not None, await done_rows()) == (True, [1, 2])


async def test_a_job_that_was_cancelled_before_it_began_does_nothing(clean: Registry) -> None:
    with_steps(clean)
    await ask(SYSTEM, KIND)
    claims = leased(await claim(clean))
    await db.execute("UPDATE outbox SET cancel_asked_at = $1", clock.now())
    executor = new_executor(clean)
    await executor.take_jobs(claims)
    await executor.drain(30)
    row = await only_row()
    assert (await done_rows(), row["finished_at"] is not None, row["cancel_asked_at"] is not None) == ([], True, True)


async def test_a_job_that_ends_before_it_hears_of_its_cancellation_is_done_and_not_cancelled(clean: Registry) -> None:
    @clean.job("tests.short")
    async def short() -> None:
        await db.execute("UPDATE outbox SET cancel_asked_at = $1", NOW)

    await ask(SYSTEM, "tests.short")
    await work_off(clean)
    row = await only_row()
    assert (row["finished_at"] is not None, row["cancel_asked_at"]) == (True, None)
