from __future__ import annotations

import orjson
import pytest
from redis.asyncio import Redis

from engage.base import db
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.outbox import OutboxEvent, handlers_json, knock_if_promised, record
from engage.outbox.record import CHANNEL
from engage.outbox.registry import Registry
from engage.realtime.bell import start_bell, stop_bell
from tests.outbox.working import Happened, happen, undone


async def ignore(_event: OutboxEvent) -> None:
    raise AssertionError("nobody works here")


async def test_outside_a_transaction_nothing_can_be_recorded(clean: Registry) -> None:
    clean.on(Happened)(ignore)
    with pytest.raises(RuntimeError, match="call it inside a command"):
        await record(Happened(new_id()))
    assert await undone() == 0


async def test_each_handler_gets_a_row_in_the_transaction_of_the_cause(clean: Registry) -> None:
    clean.on(Happened, name="one")(ignore)
    clean.on(Happened, name="two")(ignore)
    subject = new_id()
    async with db.transaction():
        assert await record(Happened(subject, 7), Happened(subject, 8)) == [1, 2]
        assert await record() == []
        assert await record(Happened(subject, 9)) == [3]
    found = await db.fetch("SELECT * FROM outbox ORDER BY (payload->>'position')::int, handler")
    assert [(row["handler"], orjson.loads(row["payload"])["position"]) for row in found] == [
        (handler, position) for position in (1, 2, 3) for handler in ("one", "two")
    ]
    assert orjson.loads(found[0]["payload"]) == {
        "name": "tests.happened.v1",
        "position": 1,
        "data": {"subject": str(subject), "figure": 7},
    }
    assert found[0]["stream"] == f"test:{subject}"
    assert found[0]["event_id"] == found[1]["event_id"] != found[2]["event_id"]


async def test_a_cause_that_is_rolled_back_promises_nothing(clean: Registry) -> None:
    clean.on(Happened)(ignore)
    subject = new_id()

    @db.command
    async def fail_after_recording() -> None:
        await record(Happened(subject))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_recording()
    assert await undone() == 0
    assert await db.fetch_value("SELECT count(*) FROM events WHERE stream = $1", f"test:{subject}") == 0


async def test_an_event_without_handlers_is_logged_and_promises_nothing(clean: Registry) -> None:
    assert handlers_json() == "{}"
    subject = new_id()
    await happen(2, subject)
    assert await undone() == 0
    assert clean.names() == []
    assert await db.fetch_value("SELECT count(*) FROM events WHERE stream = $1", f"test:{subject}") == 2


async def test_the_workers_are_knocked_at_after_commit_if_somebody_was_promised(
    clean: Registry, connected: Settings
) -> None:
    redis = Redis.from_url(connected.redis_url)
    ears = redis.pubsub()
    await ears.subscribe(*(f"{connected.redis_prefix}:{channel}" for channel in (CHANNEL, "one", "two")))

    async def heard() -> str:
        while (message := await ears.get_message(ignore_subscribe_messages=True, timeout=10)) is None:
            pass
        return str(message["channel"].decode().rpartition(":")[2])

    bell = await start_bell(connected.redis_url, connected.redis_prefix)
    try:
        await happen()
        knock_if_promised(["tests.happened.v1"])  # nobody handles it yet
        bell.knock("one")
        assert await heard() == "one"
        clean.on(Happened)(ignore)
        async with db.transaction():
            await record(Happened(new_id()))
            bell.knock("two")
            assert await heard() == "two"
        assert await heard() == CHANNEL
        knock_if_promised(["other.v1", "tests.happened.v1"])
        assert await heard() == CHANNEL
    finally:
        await stop_bell()
        await ears.aclose()
        await redis.aclose()
