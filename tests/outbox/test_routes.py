from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox import Bounds, OutboxEvent, handlers_json, lanes
from engage.outbox.registry import Registry
from tests.outbox.working import Happened, claim, happen, leave_effect, undone, work_off

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


async def carried() -> Counter[str]:
    """How many rows each handler and target has."""
    return Counter(f"{row['handler']} {row['target']}".strip() for row in await db.fetch("SELECT * FROM outbox"))


async def tell(name: str) -> UUID:
    """Record one event as the SQL of a hot command does."""
    event_id = new_id()
    await db.execute(
        "SELECT engage.record_event($1, $2, $3, '{}', $4, $5::jsonb)",
        event_id,
        f"test:{new_id()}",
        name,
        clock.now(),
        handlers_json(),
    )
    return event_id


def with_routed(registry: Registry) -> list[OutboxEvent]:
    told: list[OutboxEvent] = []

    @registry.on(routed=True, name="routed", bounds=Bounds(in_flight_max=100))
    async def note(event: OutboxEvent) -> None:
        told.append(event)

    return told


async def test_each_target_of_an_event_gets_a_row_beside_its_handlers(clean: Registry) -> None:
    told = with_routed(clean)
    clean.on(Happened, name="handler")(leave_effect)
    await lanes.route("routed", "one", ["tests.happened.v1", "tests.other.v1"])
    await lanes.route("routed", "two", ["*", "tests.happened.v1"])
    await lanes.route("routed", "three", ["tests.other.v1"])
    await happen(2)
    assert await carried() == {"handler": 2, "routed one": 2, "routed two": 2}
    await work_off(clean)
    assert await undone() == 0
    assert Counter(event.target for event in told) == {"one": 2, "two": 2}
    assert {event.name for event in told} == {"tests.happened.v1"}
    assert len({event.row_id for event in told}) == 4


async def test_what_sql_records_is_routed_like_what_python_records(clean: Registry) -> None:
    told = with_routed(clean)
    await lanes.route("routed", "one", ["tests.sql.v1"])
    await lanes.route("routed", "all", ["*"])
    event_id = await tell("tests.sql.v1")
    await tell("tests.nobody.v1")
    assert await carried() == {"routed one": 1, "routed all": 2}
    await work_off(clean)
    assert sorted(event.target for event in told if event.id == event_id) == ["all", "one"]


async def test_an_event_that_is_rolled_back_is_carried_to_nobody(clean: Registry) -> None:
    with_routed(clean)
    await lanes.route("routed", "all", ["*"])
    try:
        async with db.transaction():
            await tell("tests.sql.v1")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert await undone() == 0


async def test_routing_anew_leaves_exactly_the_events_that_were_named(clean: Registry) -> None:
    with_routed(clean)
    await lanes.route("routed", "one", ["a.v1", "b.v1"])
    await lanes.route("routed", "two", ["a.v1"])
    await lanes.route("routed", "one", ["b.v1", "c.v1"])
    for name in ("a.v1", "b.v1", "c.v1"):
        await tell(name)
    assert await carried() == {"routed one": 2, "routed two": 1}
    await lanes.route("routed", "one", [])
    await tell("b.v1")
    assert await carried() == {"routed one": 2, "routed two": 1}, "what was promised before stays"


async def test_routes_that_are_rolled_back_route_nothing(clean: Registry) -> None:
    with_routed(clean)
    try:
        async with db.transaction():
            await lanes.route("routed", "one", ["*"])
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    await happen()
    assert (await undone(), await lanes.find("routed", "one")) == (0, None)


async def test_events_of_a_stream_reach_each_target_in_order_and_no_target_waits_for_another(clean: Registry) -> None:
    clean.on(routed=True, ordered=True, name="ordered", bounds=Bounds(in_flight_max=10))(leave_effect)
    for target in ("one", "two"):
        await lanes.route("ordered", target, ["*"])
    await happen(3, new_id())
    first = await claim(clean)
    assert sorted(one.target for one in first) == ["one", "two"]
    await db.execute("UPDATE outbox SET finished_at = now() WHERE target = 'one' AND lease = 1")
    [second] = await claim(clean)
    payload = orjson.loads(await db.fetch_value("SELECT payload FROM outbox WHERE id = $1", second.id))
    assert (second.target, payload["position"]) == ("one", 2)
