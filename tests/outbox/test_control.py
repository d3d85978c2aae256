from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.base.paging import Window
from engage.outbox import OutboxEvent, Run, Step, ask, lanes, queries, rows, service
from engage.outbox.errors import JobNotCancellable, JobNotRetryable
from engage.outbox.registry import Registry
from engage.outbox.types import JobFilter, JobState
from tests.outbox.standing import EVENT, JOB, put, put_progress, put_results, row_of
from tests.outbox.working import Happened, claim, leased, leave_effect, new_executor, until, work_off

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OPEN = (JobState.WAITING, JobState.READY, JobState.RUNNING)
STAFF = Actor("staff", Role.STAFF)
WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"


@pytest.fixture
def kinds(clean: Registry) -> Iterator[Registry]:
    """A handler and a job whose rows are put by hand; the clock stands still."""
    clean.on(Happened, name=EVENT)(leave)
    clean.job(JOB)(do_nothing)
    with clock.frozen(NOW):
        yield clean


async def leave(event: OutboxEvent) -> None:
    await leave_effect(event)


async def do_nothing() -> None:
    pass


async def state_of(row_id: UUID) -> JobState:
    return (await queries.get_job(SYSTEM, row_id)).state


async def test_only_admins_control(kinds: Registry) -> None:
    row = await put(EVENT, JobState.DEAD)
    for refused in (
        service.retry_jobs(STAFF, [row]),
        service.retry_dead(STAFF, EVENT),
        service.discard_dead(STAFF, EVENT),
        service.pause_kind(STAFF, EVENT),
        service.resume_kind(STAFF, EVENT),
        service.cancel_job(STAFF, row),
    ):
        with pytest.raises(Forbidden):
            await refused
    assert await state_of(row) is JobState.DEAD
    assert kinds.find(EVENT)


async def test_retry_does_dead_and_waiting_work_at_once(kinds: Registry) -> None:
    retried = [await put(EVENT, state) for state in (JobState.DEAD, JobState.WAITING, JobState.READY)]
    with clock.frozen(NOW + timedelta(minutes=1)):
        assert await service.retry_jobs(SYSTEM, [*retried, retried[0]]) == retried
        for row_id in retried:
            row = await row_of(row_id)
            assert (row["dead_at"], row["attempts"]) == (None, 0)
            assert row["due_at"] <= clock.now()
        assert await work_off(kinds) == 3
        assert {await state_of(row_id) for row_id in retried} == {JobState.DONE}


@pytest.mark.parametrize("state", [JobState.DONE, JobState.CANCELLED, JobState.RUNNING])
async def test_retry_is_all_or_nothing(kinds: Registry, state: JobState) -> None:
    dead, other = await put(EVENT, JobState.DEAD), await put(JOB, state)
    with pytest.raises(JobNotRetryable) as refused:
        await service.retry_jobs(SYSTEM, [dead, other])
    assert refused.value.extras == {"state": state}
    with pytest.raises(NotFound):
        await service.retry_jobs(SYSTEM, [dead, new_id()])
    assert await state_of(dead) is JobState.DEAD
    assert kinds.find(JOB)


@pytest.mark.parametrize("count", [0, service.RETRY_MAX + 1])
async def test_retry_takes_a_bounded_number(kinds: Registry, count: int) -> None:
    with pytest.raises(InvalidInput):
        await service.retry_jobs(SYSTEM, [new_id() for _ in range(count)])
    assert kinds.find(JOB)


async def test_retry_keeps_one_undone_job_of_a_key(kinds: Registry) -> None:
    dead = await put(JOB, JobState.DEAD, key="daily")
    await ask(SYSTEM, JOB, key="daily")
    with pytest.raises(JobNotRetryable, match="same key"):
        await service.retry_jobs(SYSTEM, [dead])
    assert await service.retry_dead(SYSTEM, JOB) == 0
    assert await state_of(dead) is JobState.DEAD
    twice = [await put(JOB, JobState.DEAD, key="weekly") for _ in range(2)]
    assert await service.retry_dead(SYSTEM, JOB) == 1
    assert [await state_of(one) for one in twice] == [JobState.DEAD, JobState.READY]
    assert kinds.find(JOB)


async def test_all_dead_are_retried_while_another_job_with_a_key_is_asked_for(kinds: Registry) -> None:
    dead, free = await put(JOB, JobState.DEAD, key="daily"), await put(JOB, JobState.DEAD)
    async with db.acquired() as other:
        async with other.transaction():
            await other.execute("UPDATE outbox SET key = 'daily', dead_at = NULL WHERE id = $1", await put(JOB))
            retrying = asyncio.create_task(service.retry_dead(SYSTEM, JOB))

            async def is_waiting() -> bool:
                return bool(await db.fetch_value(WAITS))

            await until(is_waiting, "the wait for the key")
        assert await retrying == 1
    assert [await state_of(one) for one in (dead, free)] == [JobState.DEAD, JobState.READY]
    assert kinds.find(JOB)


async def test_retry_wakes_what_waits_behind_in_the_stream(clean: Registry) -> None:
    clean.on(Happened, name=EVENT, ordered=True)(leave)
    with clock.frozen(NOW):
        first, behind, apart = [
            await put(EVENT, JobState.WAITING, stream=name) for name in ("test:a", "test:a", "test:b")
        ]
        await service.retry_jobs(SYSTEM, [first])
        assert [await state_of(one) for one in (first, behind, apart)] == [
            JobState.READY,
            JobState.READY,
            JobState.WAITING,
        ]


async def test_retry_while_a_worker_claims(kinds: Registry) -> None:
    for state in (JobState.DEAD, JobState.READY):
        row_id = await put(EVENT, state)
        claims, retried = await asyncio.gather(
            claim(kinds), service.retry_jobs(SYSTEM, [row_id]), return_exceptions=True
        )
        assert isinstance(claims, list)
        assert retried == [row_id] or isinstance(retried, JobNotRetryable)
        row = await row_of(row_id)
        assert row["dead_at"] is None
        assert (row["lease"], row["leased_until"] is not None) == (len(claims), bool(claims))
        await work_off(kinds)


async def test_an_event_at_work_is_neither_retried_nor_cancelled(kinds: Registry) -> None:
    """It has locked its row, and nobody waits for that, nor cuts in when its lease is over."""
    row_id = await put(EVENT)
    [claimed] = await claim(kinds)
    with clock.frozen(NOW + timedelta(hours=1)):
        async with db.acquired() as other, other.transaction():
            await other.execute("UPDATE outbox SET finished_at = $2 WHERE id = $1", row_id, NOW)
            with pytest.raises(JobNotRetryable) as not_retried:
                await service.retry_jobs(SYSTEM, [row_id])
            with pytest.raises(JobNotCancellable) as not_cancelled:
                await service.cancel_job(SYSTEM, row_id)
    assert not_retried.value.extras == not_cancelled.value.extras == {"state": JobState.RUNNING}
    assert claimed.id == row_id
    assert await state_of(row_id) is JobState.DONE


async def test_all_dead_of_a_kind_are_retried_in_batches(kinds: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    dead = [await put("hooks", JobState.DEAD, target=target) for target in ("a", "a", "a", "b")]
    other = await put(EVENT, JobState.DEAD)
    assert await service.retry_dead(SYSTEM, "hooks", "a") == 3
    assert [await state_of(one) for one in (*dead, other)] == [JobState.READY] * 3 + [JobState.DEAD] * 2
    assert await service.retry_dead(SYSTEM, "hooks") == 1
    assert await service.retry_dead(SYSTEM, "hooks") == 0
    assert await state_of(other) is JobState.DEAD
    assert kinds.find(EVENT)


async def test_dead_work_is_discarded_with_all_that_belongs_to_it(
    kinds: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    dead = [await put(JOB, JobState.DEAD) for _ in range(3)]
    stays = [await put(JOB, JobState.READY), await put(EVENT, JobState.DEAD)]
    for one in (*dead, stays[0]):
        await put_progress(one, 5, 10)
        await put_results(one, 2)
    assert await service.discard_dead(SYSTEM, JOB) == 3
    assert await service.discard_dead(SYSTEM, JOB) == 0
    for job_id in dead:
        with pytest.raises(NotFound):
            await queries.get_job(SYSTEM, job_id)
    assert [await state_of(one) for one in stays] == [JobState.READY, JobState.DEAD]
    assert await db.fetch("SELECT DISTINCT id FROM job_runs UNION SELECT job_id FROM job_results") == [(stays[0],)]
    assert kinds.find(EVENT)


async def test_a_paused_kind_is_not_begun_until_it_is_resumed(kinds: Registry) -> None:
    row_id = await put(EVENT)
    await service.pause_kind(SYSTEM, EVENT)
    with clock.frozen(NOW + timedelta(minutes=1)):
        await service.pause_kind(Actor("another", Role.ADMIN), EVENT)
        lane = await lanes.find(EVENT)
        assert lane is not None
        assert (lane.paused_at, lane.paused_by) == (NOW, "system")
        assert await work_off(kinds) == 0
        await service.resume_kind(SYSTEM, EVENT)
        await service.resume_kind(SYSTEM, EVENT)
        assert await work_off(kinds) == 1
    assert await state_of(row_id) is JobState.DONE


async def test_resume_forgets_failures(kinds: Registry) -> None:
    await lanes.route("hooks", "a", ["*"])
    await lanes.slow_down("hooks", "a", NOW + timedelta(hours=1))
    await service.resume_kind(SYSTEM, "hooks", "a")
    assert await lanes.find("hooks", "a") == lanes.Lane("hooks", "a")
    assert kinds.find(EVENT)


async def test_what_there_is_not_is_neither_paused_nor_resumed(kinds: Registry) -> None:
    await put("of.another.release", JobState.DEAD, target="a")
    for known in (("of.another.release", ""), ("of.another.release", "a"), (EVENT, "")):
        await service.pause_kind(SYSTEM, *known)
        await service.resume_kind(SYSTEM, *known)
    for *unknown, words in (("nobody", "", EVENT), ("of.another.release", "b", "target 'b'"), (EVENT, "a", "target")):
        for command in (service.pause_kind, service.resume_kind):
            with pytest.raises(NotFound, match=words):
                await command(SYSTEM, *unknown)
    assert kinds.find(EVENT)


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.READY])
@pytest.mark.parametrize("kind", [EVENT, JOB])
async def test_what_nobody_does_is_cancelled_at_once(kinds: Registry, kind: str, state: JobState) -> None:
    row_id = await put(kind, state)
    record = await service.cancel_job(SYSTEM, row_id)
    assert (record.id, record.state, record.finished_at) == (row_id, JobState.CANCELLED, NOW)
    with clock.frozen(NOW + timedelta(hours=1)):
        assert await work_off(kinds) == 0
        with pytest.raises(JobNotCancellable) as again:
            await service.cancel_job(SYSTEM, row_id)
    assert again.value.extras == {"state": JobState.CANCELLED}


async def test_a_job_at_work_is_asked_to_end(kinds: Registry) -> None:
    job_id = await put(JOB, JobState.RUNNING)
    for minutes in (0, 1):
        with clock.frozen(NOW + timedelta(minutes=minutes) / 2):
            record = await service.cancel_job(SYSTEM, job_id)
            assert (record.state, record.cancel_asked_at) == (JobState.RUNNING, NOW)
    with clock.frozen(NOW + timedelta(hours=1)):  # its worker was lost
        assert (await service.cancel_job(SYSTEM, job_id)).state is JobState.CANCELLED
    assert kinds.find(EVENT)


@pytest.mark.parametrize(
    ("kind", "state"),
    [(EVENT, JobState.RUNNING), (EVENT, JobState.DONE), (JOB, JobState.DONE), (JOB, JobState.DEAD)],
)
async def test_what_cannot_be_cancelled(kinds: Registry, kind: str, state: JobState) -> None:
    row_id = await put(kind, state)
    with pytest.raises(JobNotCancellable) as refused:
        await service.cancel_job(SYSTEM, row_id)
    assert refused.value.extras == {"state": state}
    assert await state_of(row_id) is state
    with pytest.raises(NotFound):
        await service.cancel_job(SYSTEM, new_id())
    assert kinds.find(EVENT)


async def test_a_job_ends_at_the_step_in_which_it_is_cancelled(clean: Registry) -> None:
    go_on, stepped = asyncio.Event(), asyncio.Event()

    @clean.job(JOB)
    async def work(run: Run) -> None:
        async def step() -> Step:
            stepped.set()
            await go_on.wait()
            return Step(done=10, total=30)

        for _ in range(3):
            await run.step(step)

    asked = await ask(SYSTEM, JOB)
    executor = new_executor(clean)
    await executor.take_jobs(leased(await claim(clean)))
    await stepped.wait()
    assert (await service.cancel_job(SYSTEM, asked.id)).state is JobState.RUNNING
    go_on.set()
    await executor.drain(30)
    record = await queries.get_job(SYSTEM, asked.id)
    assert record.state is JobState.CANCELLED
    assert record.progress is not None
    assert (record.progress.rows_done, record.progress.rows_total) == (10, 30)


@pytest.mark.parametrize("begun", [True, False])
async def test_cancel_racing_with_a_worker_has_one_winner(kinds: Registry, begun: bool) -> None:  # noqa: FBT001
    """With its end when it has begun, else with the claim."""
    for _ in range(5):
        job_id = await put(JOB)
        if begun:
            [held] = await claim(kinds)
            worker = rows.finish(job_id, held.lease, NOW)
        else:
            worker = claim(kinds)  # type: ignore[assignment]  # either answers something when it has won
        won, cancelled = await asyncio.gather(worker, service.cancel_job(SYSTEM, job_id), return_exceptions=True)
        row = await row_of(job_id)
        if begun:
            assert won is True
            assert (row["finished_at"], row["cancel_asked_at"]) == (NOW, None)
            assert isinstance(cancelled, JobNotCancellable) or cancelled.state is JobState.RUNNING
        else:
            assert cancelled.state is (JobState.RUNNING if won else JobState.CANCELLED)
            assert (row["leased_until"] is not None, row["finished_at"] is None) == (bool(won), bool(won))


async def test_two_who_decide_at_once(kinds: Registry) -> None:
    dead, ready = await put(EVENT, JobState.DEAD), await put(JOB)
    done = await asyncio.gather(
        *[service.retry_jobs(SYSTEM, [dead]) for _ in range(2)],
        *[service.cancel_job(SYSTEM, ready) for _ in range(2)],
        return_exceptions=True,
    )
    assert [dead] in done[:2]
    assert sum(isinstance(one, JobNotCancellable) for one in done[2:]) == 1
    assert (await state_of(dead), await state_of(ready)) == (JobState.READY, JobState.CANCELLED)
    assert [one.id for one in (await queries.list_jobs(SYSTEM, JobFilter(JobState.CANCELLED), Window(10))).rows] == [
        ready
    ]
    assert kinds.find(EVENT)
