from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox import Bounds, OutboxEvent, rows
from engage.outbox.limits import ATTEMPTS_MAX, Limits
from engage.outbox.registry import Registry
from tests.outbox.working import (
    Happened,
    claim,
    effects,
    effects_twice,
    happen,
    leased,
    leave_effect,
    new_executor,
    only_row,
    undone,
    until,
    work_off,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


async def test_a_handler_is_told_what_was_recorded(clean: Registry) -> None:
    told: list[OutboxEvent] = []

    @clean.on(Happened)
    async def handle(event: OutboxEvent) -> None:
        told.append(event)

    subject = new_id()
    with clock.frozen(NOW):
        await happen(2, subject)
        await work_off(clean)
    first = next(event for event in told if event.position == 1)
    assert len(told) == 2
    assert first == OutboxEvent(
        id=first.id,
        name="tests.happened.v1",
        stream=f"test:{subject}",
        position=1,
        data={"subject": str(subject), "figure": 0},
        recorded_at=NOW,
        attempt=1,
        row_id=first.row_id,
    )
    assert await db.fetch_value("SELECT event_id FROM outbox WHERE id = $1", first.row_id) == first.id
    logged = await db.fetch_value("SELECT id FROM events WHERE stream = $1 AND position = 1", first.stream)
    assert first.id == logged


async def test_two_workers_on_the_same_rows_do_each_once(clean: Registry) -> None:
    clean.on(Happened)(leave_effect)
    await happen(40)
    claims = leased(await claim(clean))
    workers = [new_executor(clean), new_executor(clean)]
    await asyncio.gather(*[worker.take_events(claims) for worker in workers])
    for worker in workers:
        await worker.drain(30)
    assert (await effects(), await effects_twice(), await undone()) == (40, 0, 0)
    assert sum(worker.done for worker in workers) == 40


async def test_a_lease_that_was_given_to_another_changes_nothing(clean: Registry) -> None:
    clean.on(Happened)(leave_effect)
    with clock.frozen(NOW):
        await happen()
        stale = leased(await claim(clean))
    with clock.frozen(NOW + timedelta(seconds=61)):
        fresh = leased(await claim(clean))
        assert [lease for _, lease in fresh] == [2]
        executor = new_executor(clean)
        await executor.take_events(stale)
        await executor.drain(30)
        assert (executor.done, executor.failed, await effects()) == (0, 0, 0)
        row = await only_row()
        await rows.fail(stale[0][0], 1, "of the past", NOW)
        await rows.bury(stale[0][0], 1, "of the past", NOW)
        await rows.release(stale)
        assert not await rows.finish(stale[0][0], 1, NOW)
        assert await rows.extend(stale + fresh, NOW + timedelta(hours=1)) == stale
        assert await only_row() == row | {"leased_until": NOW + timedelta(hours=1)}


async def test_work_begins_within_its_lease_alone(clean: Registry) -> None:
    clean.on(Happened)(leave_effect)
    with clock.frozen(NOW):
        await happen()
        claims = leased(await claim(clean))
    with clock.frozen(NOW + timedelta(seconds=61)):
        executor = new_executor(clean)
        await executor.take_events(claims)
        await executor.drain(30)
        assert await effects() == 0
        await work_off(clean)
    assert (await effects(), (await only_row())["attempts"]) == (1, 2)


async def test_a_failure_undoes_the_effect_and_is_tried_again_later_and_later(clean: Registry) -> None:
    @clean.on(Happened)
    async def fail_twice(event: OutboxEvent) -> None:
        await leave_effect(event)
        if event.attempt < 3:
            raise KeyError("someone@example.org")

    with clock.frozen(NOW):
        await happen()
        await work_off(clean)
        row = await only_row()
        assert (row["attempts"], row["leased_until"], row["finished_at"], row["dead_at"]) == (1, None, None, None)
        assert NOW + timedelta(seconds=0.5) <= row["due_at"] <= NOW + timedelta(seconds=1)  # type: ignore[operator]
        assert row["last_error"] == "KeyError: …"
        assert await effects() == 0
        assert await work_off(clean) == 0, "not due yet"
    with clock.frozen(NOW + timedelta(seconds=1)):
        assert await work_off(clean) == 1
        due = (await only_row())["due_at"]
        assert clock.now() + timedelta(seconds=1) <= due <= clock.now() + timedelta(seconds=2)  # type: ignore[operator]
    with clock.frozen(NOW + timedelta(minutes=1)):
        assert await work_off(clean) == 1
    assert (await effects(), await undone()) == (1, 0)


async def test_what_always_fails_is_dead_in_the_end_and_says_why(clean: Registry) -> None:
    @clean.on(Happened)
    async def fail(_event: OutboxEvent) -> None:
        raise ValueError("card 4111 1111 1111 1111 of 'Ada' <ada@example.org> is refused\nsecond line")

    attempts = 0
    with clock.frozen(NOW):
        await happen()
    for hour in range(ATTEMPTS_MAX + 5):
        with clock.frozen(NOW + timedelta(hours=hour)):
            attempts += await work_off(clean)
    row = await only_row()
    assert attempts == row["attempts"] == ATTEMPTS_MAX
    assert row["dead_at"] == NOW + timedelta(hours=ATTEMPTS_MAX - 1)
    assert row["finished_at"] is None
    assert row["last_error"] == "ValueError: card … of … … is refused"


async def test_others_go_on_beside_one_that_fails(clean: Registry) -> None:
    @clean.on(Happened, name="bad")
    async def fail(_event: OutboxEvent) -> None:
        raise ValueError

    clean.on(Happened, name="good")(leave_effect)
    await happen(5)
    await work_off(clean)
    assert (await effects(), await undone()) == (5, 5)


async def test_a_handler_that_hangs_is_ended_and_fails(clean: Registry) -> None:
    @clean.on(Happened, bounds=Bounds(timeout_s=0.05))
    async def hang(event: OutboxEvent) -> None:
        await leave_effect(event)
        await asyncio.Event().wait()

    await happen()
    await work_off(clean)
    assert (await effects(), await undone()) == (0, 1)
    assert str((await only_row())["last_error"]).startswith("TimeoutError")


async def test_a_handler_that_cancels_itself_fails_like_any_other(clean: Registry) -> None:
    @clean.on(Happened)
    async def give_up(_event: OutboxEvent) -> None:
        raise asyncio.CancelledError

    await happen()
    await work_off(clean)
    row = await only_row()
    assert (row["attempts"], row["last_error"]) == (1, "CancelledError: ")


async def test_a_connection_lost_between_effect_and_completion_undoes_both(clean: Registry) -> None:
    lose = True

    @clean.on(Happened)
    async def handle(event: OutboxEvent) -> None:
        await leave_effect(event)
        if lose:
            backend = await db.fetch_value("SELECT pg_backend_pid()")
            async with db.acquired() as other:
                await other.execute("SELECT pg_terminate_backend($1, 5000)", backend)

    with clock.frozen(NOW):
        await happen()
        await work_off(clean)
    assert (await effects(), await undone()) == (0, 1)
    lose = False
    with clock.frozen(NOW + timedelta(minutes=2)):
        await work_off(clean)
    assert (await effects(), await effects_twice(), await undone()) == (1, 0, 0)


async def test_what_runs_at_shutdown_is_undone_and_given_back_uncounted(clean: Registry) -> None:
    started = asyncio.Event()

    @clean.on(Happened)
    async def hang(event: OutboxEvent) -> None:
        await leave_effect(event)
        started.set()
        await asyncio.Event().wait()

    await happen()
    executor = new_executor(clean)
    await executor.take_events(leased(await claim(clean)))
    await started.wait()
    await executor.drain(0.01)
    row = await only_row()
    assert (row["attempts"], row["leased_until"], row["last_error"]) == (0, None, None)
    assert (await effects(), executor.held) == (0, 0)


async def test_what_waits_for_a_free_place_at_shutdown_is_given_back(clean: Registry) -> None:
    release = asyncio.Event()

    @clean.on(Happened)
    async def hold(event: OutboxEvent) -> None:
        await leave_effect(event)
        await release.wait()

    await happen(5)
    executor = new_executor(clean, Limits(concurrency=1))
    taking = asyncio.create_task(executor.take_events(leased(await claim(clean))))

    async def is_running() -> bool:
        return executor.held == 5 and not taking.done()

    await until(is_running, "taking")
    taking.cancel()
    await asyncio.wait([taking])
    release.set()
    await executor.drain(30)
    assert (await effects(), executor.done) == (1, 1)
    assert await db.fetch_value("SELECT count(*) FROM outbox WHERE attempts = 0 AND leased_until IS NULL") == 4


async def test_a_row_of_another_release_is_left_to_those_who_know_its_handler(clean: Registry) -> None:
    clean.on(Happened, name="of-tomorrow")(leave_effect)
    await happen()
    claims = leased(await claim(clean))
    await db.execute("UPDATE outbox SET handler = 'of-yesterday'")
    executor = new_executor(clean)
    await executor.take_events(claims)
    await executor.drain(30)
    row = await only_row()
    assert (row["attempts"], row["finished_at"], row["leased_until"]) == (0, None, None)
    assert await claim(clean) == []


async def test_a_failed_statement_that_a_handler_ignores_does_not_count_as_done(clean: Registry) -> None:
    @clean.on(Happened)
    async def ignore_errors(event: OutboxEvent) -> None:
        await leave_effect(event)
        with suppress(asyncpg.DivisionByZeroError):
            await db.execute("SELECT 1 / 0")

    with clock.frozen(NOW):
        await happen()
        await work_off(clean)
    assert (await effects(), await undone()) == (0, 1)
    assert (await only_row())["finished_at"] is None
