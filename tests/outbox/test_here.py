from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.errors import InvalidInput, NotFound, Unavailable
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.outbox import Asked, Run, ask, here
from engage.outbox.here import HOLD_S, JobSeen, run_here
from engage.outbox.registry import Registry
from engage.outbox.types import JobState
from tests.outbox.gates import Gate
from tests.outbox.here_process import HOLD_S as SHORT_S
from tests.outbox.stepping import KIND, LAST, counts, done_rows, with_steps
from tests.outbox.working import claim, leased, new_executor, only_row, until, work_off

ROOT = Path(__file__).parents[2]
ALL = list(range(1, LAST + 1))


async def ask_held() -> Asked:
    return await ask(SYSTEM, KIND, hold_s=HOLD_S)


async def test_it_is_run_without_redis_and_without_a_worker(clean: Registry) -> None:
    with_steps(clean)
    told: list[JobSeen] = []
    seen = await run_here(await ask_held(), told.append)
    assert (seen.state, seen.kept, seen.error) == (JobState.DONE, {"next": LAST + 1}, None)
    assert (seen.progress.rows_done, seen.progress.fraction) == (LAST, 1.0)
    assert told[-1] == seen
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))
    row = await only_row()
    assert (row["attempts"], row["leased_until"]) == (1, None)


async def test_what_runs_here_is_no_workers(clean: Registry) -> None:
    gate, told = Gate(2), []
    with_steps(clean, within=gate.pass_by)
    running = asyncio.create_task(run_here(await ask_held(), lambda seen: told.append(seen.here)))
    await gate.reached.wait()
    assert await work_off(clean) == 0
    gate.open.set()
    assert (await running).state is JobState.DONE
    assert told[0]


async def test_a_job_that_a_worker_has_is_watched_to_its_end(clean: Registry) -> None:
    gate, watched = Gate(3), asyncio.Event()
    with_steps(clean, within=gate.pass_by)
    asked = await ask(SYSTEM, KIND, key="one")
    worker = new_executor(clean)
    await worker.take_jobs(leased(await claim(clean)))
    await gate.reached.wait()
    again = await ask(SYSTEM, KIND, key="one", hold_s=HOLD_S)
    assert again == Asked(asked.id, new=False)

    def see(seen: JobSeen) -> None:
        if (seen.state, seen.here, seen.progress.rows_done) == (JobState.RUNNING, False, 2):
            watched.set()

    watching = asyncio.create_task(run_here(again, see))
    async with asyncio.timeout(30):
        await watched.wait()
    gate.open.set()
    assert (await watching).state is JobState.DONE
    await worker.drain(30)
    assert (worker.done, await done_rows()) == (1, ALL)


async def test_a_job_that_nobody_runs_is_run_here(clean: Registry) -> None:
    with_steps(clean)
    asked = await ask(SYSTEM, KIND)
    assert (await run_here(Asked(asked.id, new=False))).state is JobState.DONE
    assert await done_rows() == ALL


async def test_a_killed_process_is_made_up_for_once_its_lease_has_ended(clean: Registry, connected: Settings) -> None:
    with_steps(clean)
    environment = os.environ | {
        "ENGAGE_DATABASE_URL": connected.database_url,
        "ENGAGE_REDIS_URL": connected.redis_url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.outbox.here_process", cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"hanging\n"
        await asyncio.sleep(1.5 * SHORT_S)  # longer than the lease that it had at the start
        assert await work_off(clean) == 0, "its heartbeat keeps the lease"
    finally:
        process.kill()
        await process.communicate()
    assert await done_rows() == [1, 2, 3]

    async def is_taken() -> bool:
        return await work_off(clean) == 1

    await until(is_taken, "the end of the lease")
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))


async def test_a_lease_that_is_lost_ends_the_work_here(clean: Registry) -> None:
    """As after a pause of this process: another has the job, and the step at hand is undone."""
    gate = Gate(3)
    with_steps(clean, within=gate.pass_by)
    running = asyncio.create_task(run_here(await ask(SYSTEM, KIND, hold_s=0.6), hold_s=0.6))
    await gate.reached.wait()
    await db.execute("UPDATE outbox SET leased_until = now()")
    other = new_executor(clean)
    gate.open.set()
    await other.take_jobs(leased(await claim(clean)))
    assert (await running).state is JobState.DONE
    await other.drain(30)
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))


async def test_an_attempt_that_fails_is_repeated_here(clean: Registry) -> None:
    async def fail_once(run: Run, row: int) -> None:
        if row == 3 and run.attempt == 1:
            raise ValueError("bad row")

    with_steps(clean, within=fail_once)
    told: list[JobState] = []
    seen = await run_here(await ask_held(), lambda seen: told.append(seen.state))
    assert (seen.state, await done_rows()) == (JobState.DONE, ALL)
    assert JobState.WAITING in told
    assert (await only_row())["attempts"] == 2


async def test_a_job_that_is_given_up_says_why(clean: Registry) -> None:
    async def refuse(_run: Run, _row: int) -> None:
        raise InvalidInput("There is no such thing.")

    with_steps(clean, before=refuse)
    seen = await run_here(await ask_held())
    assert (seen.state, seen.error) == (JobState.DEAD, "There is no such thing.")


async def test_one_that_fails_and_fails_is_not_waited_for_for_ever(
    clean: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "PATIENCE_S", 0.3)

    async def fail(_run: Run, row: int) -> None:
        if row == 2:
            raise ValueError("bad row")

    with_steps(clean, within=fail)
    with pytest.raises(Unavailable, match="it failed with ValueError: bad row"):
        await run_here(await ask_held())
    row = await only_row()
    assert (row["leased_until"], row["finished_at"], row["dead_at"]) == (None, None, None)


async def test_stopped_it_ends_after_its_step(clean: Registry) -> None:
    gate, stop = Gate(3), asyncio.Event()
    with_steps(clean, within=gate.pass_by)
    running = asyncio.create_task(run_here(await ask_held(), stop=stop))
    await gate.reached.wait()
    stop.set()

    async def is_asked() -> bool:
        return (await only_row())["cancel_asked_at"] is not None

    await until(is_asked, "asking to cancel")
    gate.open.set()
    assert (await running).state is JobState.CANCELLED
    assert await done_rows() == [1, 2, 3]


async def test_stopped_before_it_began_it_is_not_begun(clean: Registry) -> None:
    with_steps(clean)
    stop = asyncio.Event()
    stop.set()
    asked = await ask(SYSTEM, KIND)
    assert (await run_here(Asked(asked.id, new=False), stop=stop)).state is JobState.CANCELLED
    assert (await work_off(clean), await done_rows()) == (0, [])


async def test_a_task_that_is_cancelled_gives_the_job_back(clean: Registry) -> None:
    gate = Gate(3)
    with_steps(clean, within=gate.pass_by)
    running = asyncio.create_task(run_here(await ask_held()))
    await gate.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    row = await only_row()
    assert (row["leased_until"], row["attempts"], await done_rows()) == (None, 0, [1, 2])
    gate.open.set()
    assert await work_off(clean) == 1
    assert await done_rows() == ALL


async def test_a_job_that_is_not_there(clean: Registry) -> None:
    with_steps(clean)
    with pytest.raises(NotFound):
        await run_here(Asked(new_id(), new=True))
