"""Work that routes alone promise begins at once too."""

from __future__ import annotations

from functools import partial

from engage.base import db
from engage.base.settings import Settings
from engage.outbox import Bounds, OutboxEvent, lanes
from engage.outbox.limits import Limits
from engage.outbox.registry import Registry
from engage.outbox.routed import is_routed
from tests.outbox.test_worker import all_is_done, working
from tests.outbox.working import Happened, effects, happen, leave_effect, until

NEVER_BY_ITSELF = Limits(concurrency=4, poll_s=3600)


async def test_a_knock_wakes_the_workers_for_events_of_routes(registry: Registry, config: Settings) -> None:
    @registry.on(name="tests.routed", routed=True, bounds=Bounds(in_flight_max=4))
    async def carry(event: OutboxEvent) -> None:
        await leave_effect(event, note=event.target)

    async with working(config, NEVER_BY_ITSELF):
        for routed, known in ((Happened.NAME, Happened.NAME), ("*", "tests.any_other.v1")):
            assert not is_routed(known)
            async with db.transaction():
                await lanes.route("tests.routed", "somebody", [routed])
            await until(partial(is_known, known), "the next look at the routes")
            await happen()
            await until(all_is_done, "the work of a route")
        assert await effects() == 2
    assert not is_routed(Happened.NAME)


async def is_known(event: str) -> bool:
    return is_routed(event)
