from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import InvalidInput
from engage.outbox import Asked, Run, ask
from engage.outbox.asking import ARGS_BYTES_MAX, KEY_LENGTH_MAX
from engage.outbox.registry import Registry
from tests.outbox.working import only_row, undone, until, work_off

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ADMIN = Actor("admin-7", Role.ADMIN)


def with_job(registry: Registry) -> list[Run]:
    """Register a job; answers the list in which its runs are noted."""
    runs: list[Run] = []

    @registry.job("tests.asked")
    async def note(run: Run) -> None:
        runs.append(run)

    return runs


async def nothing() -> None:
    raise AssertionError("nobody works here")


async def somebody_waits() -> bool:
    """Whether a connection of this database waits for a lock."""
    async with db.acquired() as other:
        return bool(
            await other.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )


async def test_a_job_that_is_asked_for_gets_its_arguments_and_who_asked(clean: Registry) -> None:
    runs = with_job(clean)
    with clock.frozen(NOW):
        asked = await ask(ADMIN, "tests.asked", {"program": "demo"})
        await work_off(clean)
    (run,) = runs
    assert (run.id, run.args, run.asked_by) == (asked.id, {"program": "demo"}, "admin-7")
    assert (run.at, run.attempt, run.state, run.steps) == (NOW, 1, {}, 0)
    assert (asked.new, await undone()) == (True, 0)


async def test_a_job_exists_if_and_only_if_the_command_that_asks_for_it_commits(clean: Registry) -> None:
    runs = with_job(clean)

    @db.command
    async def command(*, fail: bool) -> None:
        await ask(SYSTEM, "tests.asked", {"fail": fail})
        if fail:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await command(fail=True)
    assert (await undone(), await db.fetch_value("SELECT count(*) FROM job_runs")) == (0, 0)
    await command(fail=False)
    await work_off(clean)
    assert [run.args for run in runs] == [{"fail": False}]


async def test_a_key_answers_the_same_job_until_that_is_done(clean: Registry) -> None:
    runs = with_job(clean)
    clean.job("tests.other")(nothing)
    first = await ask(SYSTEM, "tests.asked", {"n": 1}, key="program:demo")
    again = await ask(SYSTEM, "tests.asked", {"n": 2}, key="program:demo")
    assert (first.new, again.new, again.id) == (True, False, first.id)
    for kind, key in (("tests.asked", "program:two"), ("tests.other", "program:demo"), ("tests.asked", None)):
        assert (await ask(SYSTEM, kind, key=key)).new
    await db.execute("DELETE FROM outbox WHERE id <> $1", first.id)
    await work_off(clean)
    later = await ask(SYSTEM, "tests.asked", {"n": 3}, key="program:demo")
    await work_off(clean)
    assert (later.new, [run.args["n"] for run in runs]) == (True, [1, 3])


async def test_many_who_ask_at_once_with_a_key_get_one_job(clean: Registry) -> None:
    runs = with_job(clean)
    asked = await asyncio.gather(*[ask(SYSTEM, "tests.asked", {"n": n}, key="one") for n in range(20)])
    assert sorted(one.new for one in asked) == [False] * 19 + [True]
    assert len({one.id for one in asked}) == 1
    await work_off(clean)
    assert [run.id for run in runs] == [asked[0].id]


@pytest.mark.parametrize("commits", [True, False])
async def test_who_asks_while_the_first_has_not_committed_waits_for_what_becomes_of_it(
    clean: Registry, *, commits: bool
) -> None:
    with_job(clean)
    first_asked = asyncio.Event()

    async def ask_second() -> Asked:
        await first_asked.wait()
        return await ask(SYSTEM, "tests.asked", key="one")

    second = asyncio.create_task(ask_second())
    with suppress(ZeroDivisionError):
        async with db.transaction():
            first = await ask(SYSTEM, "tests.asked", key="one")
            first_asked.set()
            await until(somebody_waits, "the second one waiting")
            if not commits:
                raise ZeroDivisionError
    answer = await second
    assert (answer.id == first.id, answer.new) == (commits, not commits)
    assert await undone() == 1


async def test_a_job_may_be_due_later(clean: Registry) -> None:
    runs = with_job(clean)
    with clock.frozen(NOW):
        await ask(SYSTEM, "tests.asked", due_at=NOW + timedelta(hours=1))
        assert await work_off(clean) == 0
    with clock.frozen(NOW + timedelta(hours=1)):
        assert await work_off(clean) == 1
    assert len(runs) == 1


async def test_who_holds_a_job_has_its_lease_and_a_worker_takes_over_after(clean: Registry) -> None:
    runs = with_job(clean)
    with clock.frozen(NOW):
        await ask(SYSTEM, "tests.asked", hold_s=30)
        row = await only_row()
        assert (row["lease"], row["leased_until"]) == (1, NOW + timedelta(seconds=30))
    with clock.frozen(NOW + timedelta(seconds=29)):
        assert await work_off(clean) == 0
    with clock.frozen(NOW + timedelta(seconds=30)):
        assert await work_off(clean) == 1
    assert [run.attempt for run in runs] == [2]


async def test_what_is_too_long_is_refused(clean: Registry) -> None:
    with_job(clean)
    with pytest.raises(InvalidInput, match="put more into a file"):
        await ask(SYSTEM, "tests.asked", {"text": "é" * (ARGS_BYTES_MAX // 2)})
    for key in ("", "k" * (KEY_LENGTH_MAX + 1)):
        with pytest.raises(InvalidInput, match="1 to 120 characters"):
            await ask(SYSTEM, "tests.asked", key=key)
    assert await undone() == 0
    assert (await ask(SYSTEM, "tests.asked", {"text": "x" * (ARGS_BYTES_MAX - 200)}, key="k" * KEY_LENGTH_MAX)).new


async def test_what_is_no_job_cannot_be_asked_for(clean: Registry) -> None:
    assert clean.names() == []
    with pytest.raises(ValueError, match="There is no job"):
        await ask(SYSTEM, "tests.nowhere")
