from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox import Bounds, OutboxEvent, Priority, lanes
from engage.outbox.registry import Registry
from tests.outbox.working import Happened, claim, happen, leave_effect, new_executor, take, undone, work_off

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def with_handlers(registry: Registry, *names: str) -> None:
    for name in names:
        registry.on(Happened, name=name)(leave_effect)


async def claimed(registry: Registry, limit: int = 100) -> list[str]:
    """The handlers of what is claimed now."""
    return sorted({one.handler for one in await claim(registry, limit)})


async def promise(handler: str, *, due_at: datetime, count: int = 1, stream: str = "test:1") -> None:
    """Rows as recording an event makes them, due as we like."""
    await db.execute(
        """INSERT INTO outbox (id, handler, event_id, stream, payload, created_at, due_at)
           SELECT gen_random_uuid(), $1, gen_random_uuid(), $2,
                  jsonb_build_object('name', 'tests.happened.v1', 'position', n, 'data', '{}'::jsonb),
                  $3::timestamptz, $3::timestamptz + n * interval '1 microsecond'
             FROM generate_series(1, $4) n""",
        handler,
        stream,
        due_at,
        count,
    )


async def test_a_paused_handler_waits_and_the_others_go_on(clean: Registry) -> None:
    with_handlers(clean, "paused", "other")
    await lanes.pause("paused", by="admin-7")
    await happen(3)
    await work_off(clean)
    assert await db.fetch_value("SELECT count(*) FROM outbox WHERE handler = 'other' AND finished_at IS NULL") == 0
    assert await undone() == 3
    lane = await lanes.find("paused")
    assert lane is not None
    assert (lane.paused_by, lane.paused_at is not None) == ("admin-7", True)
    await lanes.resume("paused")
    await work_off(clean)
    assert await undone() == 0
    assert (await lanes.find("paused")) == lanes.Lane("paused", "")


async def test_what_runs_when_its_handler_is_paused_ends_as_usual(clean: Registry) -> None:
    with_handlers(clean, "paused")
    await happen(3)
    claims = await claim(clean)
    await lanes.pause("paused", by="admin-7")
    executor = new_executor(clean)
    await take(executor, clean, claims)
    await executor.drain(30)
    assert await undone() == 0


async def test_a_paused_target_waits_and_the_others_go_on_until_the_whole_handler_is_paused(clean: Registry) -> None:
    clean.on(routed=True, name="routed", bounds=Bounds(in_flight_max=9))(leave_effect)
    for target in ("one", "two"):
        await lanes.route("routed", target, ["*"])
    await lanes.pause("routed", "one", by="admin-7")
    await happen()
    assert [one.target for one in await claim(clean)] == ["two"]
    await happen()
    await lanes.pause("routed", by="admin-7")
    assert await claim(clean) == []
    await lanes.resume("routed", "one")
    assert await claim(clean) == [], "the handler is paused"
    await lanes.resume("routed")
    assert sorted(one.target for one in await claim(clean)) == ["one", "one", "two"]


async def test_pausing_a_target_that_a_handler_does_not_have_leaves_its_rows_alone(clean: Registry) -> None:
    with_handlers(clean, "plain")
    await lanes.pause("plain", "mistyped", by="admin-7")
    await happen()
    assert await claimed(clean) == ["plain"]


async def test_high_goes_before_normal_before_low_and_within_each_what_is_due_longest(clean: Registry) -> None:
    for name, priority in (("low", Priority.LOW), ("normal", Priority.NORMAL), ("high", Priority.HIGH)):
        clean.on(Happened, name=name, bounds=Bounds(priority=priority))(leave_effect)
        clean.on(Happened, name=f"{name}-too", bounds=Bounds(priority=priority))(leave_effect)
    for seconds, name in enumerate(["low", "high-too", "normal", "low-too", "high", "normal-too"]):
        await promise(name, due_at=NOW + timedelta(seconds=seconds))
    order = []
    with clock.frozen(NOW + timedelta(minutes=1)):
        while one := await claim(clean, 1):
            order.append(one[0].handler)
    assert order == ["high-too", "high", "normal", "normal-too", "low", "low-too"]


async def test_a_lane_that_waits_with_a_long_backlog_keeps_no_other_from_being_claimed(clean: Registry) -> None:
    with_handlers(clean, "paused", "other")
    clean.on("none.v1", name="ordered", ordered=True, bounds=Bounds(priority=Priority.HIGH))(leave_effect)
    clean.on("none.v1", name="full", bounds=Bounds(priority=Priority.HIGH, in_flight_max=1))(leave_effect)
    clean.on("none.v1", name="slow", bounds=Bounds(priority=Priority.HIGH, per_minute=1))(leave_effect)
    await lanes.ensure(clean.kinds())
    await lanes.pause("paused", by="admin-7")
    for name in ("paused", "ordered", "full", "slow"):
        await promise(name, due_at=NOW, count=2_000)
    await promise("other", due_at=NOW + timedelta(seconds=1), count=3)
    with clock.frozen(NOW + timedelta(seconds=2)):
        first = sorted(one.handler for one in await claim(clean, 10))
        assert first == ["full", "ordered", "other", "other", "other", "slow"]
        assert await claim(clean, 10) == []


async def test_what_waits_behind_a_failed_event_is_due_with_it_and_done_in_order(clean: Registry) -> None:
    done: list[int] = []

    @clean.on(Happened, ordered=True)
    async def note(event: OutboxEvent) -> None:
        if event.position == 1 and event.attempt < 3:
            raise ValueError("not yet")
        done.append(event.position)

    subject = new_id()
    with clock.frozen(NOW):
        await happen(4, subject)
        await work_off(clean)
        [due_at] = await db.fetch("SELECT DISTINCT due_at FROM outbox")
        assert due_at[0] > NOW
        await happen(1, subject)
        assert await claim(clean) == [], "a later one waits too"
    for minute in range(1, 8):
        with clock.frozen(NOW + timedelta(minutes=minute)):
            await work_off(clean)
    assert (done, await undone()) == ([1, 2, 3, 4, 5], 0)
