"""Rows that another release has written: older ones are put right, newer ones left to who knows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.outbox import OutboxEvent, Run, ask
from engage.outbox.execute import OTHER_RELEASE_AGAIN
from engage.outbox.registry import Registry
from tests.outbox.working import Happened, happen, only_row, work_off

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def with_handler(registry: Registry, *events: str) -> list[OutboxEvent]:
    told: list[OutboxEvent] = []

    @registry.on(*events, name="handler")
    async def note(event: OutboxEvent) -> None:
        told.append(event)

    return told


async def happen_in_an_older_release(registry: Registry) -> None:
    """Events that were promised to the handler when it still took their older version."""
    registry.on(Happened, name="older")(ignore)
    await happen()
    await db.execute("UPDATE outbox SET handler = 'handler'")


async def ignore(_event: OutboxEvent) -> None:
    raise AssertionError("nobody works here")


async def test_an_event_of_an_older_version_comes_as_the_present_one(clean: Registry) -> None:
    told = with_handler(clean, "tests.happened.v3")
    clean.upgrade("tests.happened.v1", "tests.happened.v2")(lambda data: data | {"unit": "points"})
    clean.upgrade("tests.happened.v2", "tests.happened.v3")(lambda data: data | {"figure": data["figure"] * 100})
    await happen_in_an_older_release(clean)
    await db.execute("UPDATE outbox SET payload = jsonb_set(payload, '{data,figure}', '7')")
    await work_off(clean)
    [event] = told
    assert (event.name, event.data["figure"], event.data["unit"]) == ("tests.happened.v3", 700, "points")
    assert event.position == 1


async def test_an_event_of_an_older_version_that_nobody_upgrades_is_dead_at_once_and_says_why(
    clean: Registry,
) -> None:
    told = with_handler(clean, "tests.happened.v2")
    await happen_in_an_older_release(clean)
    with clock.frozen(NOW):
        await db.execute("UPDATE outbox SET due_at = $1", NOW)
        await work_off(clean)
    row = await only_row()
    assert (told, row["dead_at"], row["attempts"]) == ([], NOW, 1)
    assert row["last_error"] == (
        "handler takes tests.happened.v2, not tests.happened.v1, and there is no upgrade of that."
    )


async def test_an_upgrade_that_fails_is_a_failure_like_any_other(clean: Registry) -> None:
    told = with_handler(clean, "tests.happened.v2")
    clean.upgrade("tests.happened.v1", "tests.happened.v2")(lambda data: {"name": data["nothing"]})
    await happen_in_an_older_release(clean)
    await work_off(clean)
    row = await only_row()
    assert (told, row["dead_at"], row["finished_at"]) == ([], None, None)
    assert str(row["last_error"]).startswith("KeyError")


def with_job(registry: Registry, version: int, *, upgrades: bool = False) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []

    def upgrade(args: dict[str, Any], old: int) -> dict[str, Any]:
        return {"rows": args["lines"], "was": old}

    @registry.job("tests.versioned", version=version, upgrade=upgrade if upgrades else None)
    async def note(run: Run) -> None:
        told.append(run.args)

    return told


async def ask_in_release(version: int) -> None:
    """Ask for the job as a release does whose arguments have this version."""
    await ask(SYSTEM, "tests.versioned", {"lines": 3})
    await db.execute("UPDATE outbox SET payload = jsonb_set(payload, '{version}', to_jsonb($1::int))", version)


async def test_arguments_of_an_older_version_are_put_right(clean: Registry) -> None:
    told = with_job(clean, 3, upgrades=True)
    await ask_in_release(1)
    await work_off(clean)
    assert told == [{"rows": 3, "was": 1}]


async def test_arguments_of_the_present_version_are_not_touched(clean: Registry) -> None:
    told = with_job(clean, 3, upgrades=True)
    await ask_in_release(3)
    await work_off(clean)
    assert told == [{"lines": 3}]


async def test_arguments_of_an_older_version_without_an_upgrade_are_dead_at_once_and_say_why(clean: Registry) -> None:
    told = with_job(clean, 2)
    await ask_in_release(1)
    await work_off(clean)
    row = await only_row()
    assert (told, row["dead_at"] is not None, row["attempts"]) == ([], True, 1)
    assert row["last_error"] == "tests.versioned takes arguments of version 2, not 1."


async def test_arguments_of_a_newer_version_are_left_to_the_workers_of_that_release(clean: Registry) -> None:
    told = with_job(clean, 1)
    with clock.frozen(NOW):
        await ask_in_release(2)
        await work_off(clean)
        row = await only_row()
        assert (told, row["attempts"], row["due_at"]) == ([], 0, NOW + OTHER_RELEASE_AGAIN)
        assert (row["leased_until"], row["last_error"], row["dead_at"]) == (None, None, None)
        assert timedelta(seconds=30) == OTHER_RELEASE_AGAIN
        assert await work_off(clean) == 0


async def test_a_job_that_has_become_a_handler_is_left_to_the_workers_of_the_other_release(clean: Registry) -> None:
    told = with_handler(clean, "tests.other.v1")
    with clock.frozen(NOW):
        clean.job("tests.moved")(ignore_run)
        await ask(SYSTEM, "tests.moved")
        await db.execute("UPDATE outbox SET handler = 'handler'")
        await work_off(clean)
    row = await only_row()
    assert (told, row["attempts"], row["due_at"]) == ([], 0, NOW + OTHER_RELEASE_AGAIN)


async def ignore_run(_run: Run) -> None:
    raise AssertionError("nobody works here")
