from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from engage.base import clock, db
from engage.outbox import Bounds, OutboxEvent, TargetDown, lanes
from engage.outbox.faults import backoff
from engage.outbox.registry import Registry
from tests.outbox.working import claim, happen, leave_effect, new_executor, take, undone, work_off

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BOUNDED = Bounds(in_flight_max=8, retry_for=timedelta(days=30))


class Targets:
    """Two targets that are called; `down` names those that do not answer."""

    def __init__(self) -> None:
        self.down: set[str] = {"one"}
        self.called: list[str] = []
        self.retry_after: timedelta | None = None

    async def call(self, event: OutboxEvent) -> None:
        self.called.append(event.target)
        if event.target in self.down:
            raise TargetDown("503 from the target", self.retry_after)
        await leave_effect(event)


async def with_targets(registry: Registry) -> Targets:
    targets = Targets()

    @registry.on(routed=True, outside=True, name="calls", bounds=BOUNDED)
    async def call(event: OutboxEvent) -> None:
        await targets.call(event)

    for target in ("one", "two"):
        await lanes.route("calls", target, ["*"])
    return targets


async def lane_of(target: str) -> lanes.Lane:
    lane = await lanes.find("calls", target)
    assert lane is not None
    return lane


async def test_a_target_that_is_down_is_tried_one_at_a_time_and_later_and_later(clean: Registry) -> None:
    targets = await with_targets(clean)
    with clock.frozen(NOW):
        await happen(1)
        await work_off(clean)
        assert sorted(targets.called) == ["one", "two"]
        await happen(20)
        for _ in range(5):
            await work_off(clean)
        assert targets.called.count("one") == 1, "its lane waits"
        assert targets.called.count("two") == 21, "the other does not"
    moment = NOW
    for failures in range(1, 6):
        lane = await lane_of("one")
        assert (lane.failures, lane.failing_since) == (failures, NOW)
        assert lane.not_before is not None
        assert backoff_min(failures) <= lane.not_before - moment <= 2 * backoff_min(failures)
        moment = lane.not_before
        with clock.frozen(moment):
            answers = await asyncio.gather(*[claim(clean) for _ in range(4)])
            [probe] = [one for answer in answers for one in answer]
            executor = new_executor(clean)
            await take(executor, clean, [probe])
            await executor.drain(30)
    assert (targets.called.count("one"), await undone()) == (6, 21)


def backoff_min(failures: int) -> timedelta:
    return timedelta(seconds=2 ** (failures - 1) / 2)


async def test_a_target_that_answers_again_is_called_as_before(clean: Registry) -> None:
    targets = await with_targets(clean)
    with clock.frozen(NOW):
        await happen(20)
        await work_off(clean)
        assert targets.called.count("one") == 8
    targets.down.clear()
    with clock.frozen(NOW + timedelta(minutes=10)):
        await work_off(clean)
        assert targets.called.count("one") == 9, "one is tried"
        assert await lane_of("one") == lanes.Lane("calls", "one")
        while await work_off(clean):
            pass
    assert await undone() == 0


async def test_calls_that_fail_together_count_as_one_failure(clean: Registry) -> None:
    targets = await with_targets(clean)
    with clock.frozen(NOW):
        await happen(8)
        await work_off(clean)
    lane = await lane_of("one")
    assert (targets.called.count("one"), lane.failures) == (8, 1)
    assert lane.not_before is not None
    assert lane.not_before <= NOW + timedelta(seconds=2)


async def test_a_target_that_names_a_time_is_left_alone_until_then(clean: Registry) -> None:
    targets = await with_targets(clean)
    targets.retry_after = timedelta(minutes=7)
    with clock.frozen(NOW):
        await happen()
        await work_off(clean)
    assert (await lane_of("one")).not_before == NOW + timedelta(minutes=7)
    with clock.frozen(NOW + timedelta(minutes=7) - timedelta(seconds=1)):
        assert await work_off(clean) == 0
    targets.down.clear()
    with clock.frozen(NOW + timedelta(minutes=7)):
        assert await work_off(clean) == 1


async def test_a_target_that_asks_for_a_short_time_again_and_again_is_called_later_and_later(clean: Registry) -> None:
    targets = await with_targets(clean)
    targets.retry_after = timedelta(seconds=1)
    moment = NOW
    with clock.frozen(NOW):
        await happen()
    for _ in range(12):
        with clock.frozen(moment):
            await work_off(clean)
        lane = await lane_of("one")
        moment = max(lane.not_before or NOW, await db.fetch_value("SELECT due_at FROM outbox WHERE target = 'one'"))
    assert moment > NOW + timedelta(minutes=20)


async def test_a_failure_that_is_not_the_targets_slows_nobody_down(clean: Registry) -> None:
    @clean.on(routed=True, outside=True, name="calls", bounds=BOUNDED)
    async def fail(_event: OutboxEvent) -> None:
        raise ValueError("a bug of ours")

    await lanes.route("calls", "one", ["*"])
    await happen(3)
    await work_off(clean)
    assert (await lane_of("one")).failures == 0


async def test_lanes_that_have_failed_for_long_are_listed_until_somebody_pauses_them(clean: Registry) -> None:
    await with_targets(clean)
    with clock.frozen(NOW):
        await happen()
        await work_off(clean)
    assert await lanes.list_failing("calls", NOW) == []
    [lane] = await lanes.list_failing("calls", NOW + timedelta(seconds=1))
    assert lane.target == "one"
    await lanes.pause("calls", "one", by="system")
    assert await lanes.list_failing("calls", NOW + timedelta(days=5)) == []


def test_pauses_have_an_end_however_many_failures_there_were() -> None:
    assert backoff(5_000) <= timedelta(minutes=30)


async def test_what_waits_for_a_target_that_is_given_up_is_buried_in_bounded_batches(clean: Registry) -> None:
    await with_targets(clean)
    await happen(5)
    assert [await lanes.bury_waiting("calls", "one", "The target is gone.", 3) for _ in range(3)] == [3, 2, 0]
    dead = await db.fetch("SELECT DISTINCT target, last_error FROM outbox WHERE dead_at IS NOT NULL")
    assert [tuple(row) for row in dead] == [("one", "The target is gone.")]
