"""Telling again: from a moment, or from a position; and telling one endpoint a test."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.errors import InvalidInput
from engage.base.ids import new_id
from engage.domains.webhooks import jobs, service
from engage.domains.webhooks.types import DELIVER
from engage.outbox.replays import InLog, promise_since
from tests.webhooks.receivers import answer, receiving
from tests.webhooks.telling import NOW, REGISTERED, carry_out, happen, rows, states, subscribe

pytestmark = pytest.mark.usefixtures("ready")


@pytest.mark.parametrize("batch", [1, 2, 500])
async def test_all_since_a_moment_is_told_again_in_order(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BATCH", batch)
    first, second = new_id(), new_id()
    with clock.frozen(NOW):
        await happen(2, first)
    with clock.frozen(NOW + timedelta(hours=1)):
        await happen(3, first)
        await happen(2, second)
    async with receiving() as receiver:
        made = await subscribe(receiver)
        with clock.frozen(NOW + timedelta(hours=2)):
            asked = await service.replay(SYSTEM, made.endpoint.id, since=NOW + timedelta(minutes=30))
            again = await service.replay(SYSTEM, made.endpoint.id, since=NOW)
            assert (again.id, again.new) == (asked.id, False)
            await carry_out()
        assert receiver.positions(f"member:{first}") == [3, 4, 5]
        assert receiver.positions(f"member:{second}") == [1, 2]
        assert {one.message["timestamp"] for one in receiver.deliveries} == {"2026-06-01T13:00:00+00:00"}
        assert await db.fetch_value("SELECT rows_done FROM job_runs WHERE id = $1", asked.id) == 5


async def test_one_stream_is_told_again_after_a_position() -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        stream, other = await happen(4), await happen(2)
        await carry_out()
        ids = {
            one.message["position"]: one.message["id"]
            for one in receiver.deliveries
            if stream == one.message["stream"]
        }
        receiver.deliveries.clear()
        await service.replay(SYSTEM, made.endpoint.id, stream=stream, after_position=2)
        await carry_out()
        assert receiver.positions(stream) == [3, 4]
        assert receiver.positions(other) == []
        assert [one.message["id"] for one in receiver.deliveries] == [ids[3], ids[4]]
        await service.replay(SYSTEM, made.endpoint.id, stream=stream)
        await carry_out()
        assert receiver.positions(stream) == [3, 4, 1, 2, 3, 4]


async def test_only_what_it_subscribes_to_is_told_again() -> None:
    await happen(2)
    async with receiving() as receiver, receiving() as star:
        made, all_of_it = await subscribe(receiver, "ledger.points_spent.v1"), await subscribe(star, "*")
        for one in (made, all_of_it):
            await service.replay(SYSTEM, one.endpoint.id, since=NOW)
        await carry_out()
        assert (len(receiver.deliveries), len(star.deliveries)) == (0, 2)


async def test_what_waits_keeps_its_place_and_what_is_dead_begins_again() -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        receiver.answers = [answer(404)] * 2
        with clock.frozen(NOW):
            stream, failing = await happen(2), await happen()
            await carry_out()
        await db.execute("UPDATE outbox SET dead_at = $1, attempts = 12 WHERE stream = $2", NOW, stream)
        before = [row for row in await rows() if row["stream"] == failing]
        with clock.frozen(NOW + timedelta(milliseconds=1)):
            await service.replay(SYSTEM, made.endpoint.id, since=NOW)
            await carry_out()
        assert receiver.positions(stream)[-2:] == [1, 2]
        assert [row for row in await rows() if row["stream"] == failing] == before


async def test_the_order_of_a_stream_is_kept_though_its_moments_are_not_in_order() -> None:
    """Who comes later to a stream's head may have looked at the clock before."""
    moments = [5, 6, 1, 9, 7, 8, 2, 3, 30, 10]
    stream = "member:1"
    for position, second in enumerate(moments, 1):
        await record_at(stream, position, NOW + timedelta(seconds=second))
        await record_at("member:2", position, NOW + timedelta(seconds=position))
    async with receiving() as receiver:
        target = str((await subscribe(receiver)).endpoint.id)
        after: object = InLog(NOW)
        asked_at = clock.now()
        while isinstance(after, InLog):
            done = await promise_since(DELIVER, target, [REGISTERED], after=after, asked_at=asked_at, limit=3)
            await carry_out()  # what a step has promised is told before the next one
            after = done.last
        assert receiver.positions(stream) == list(range(1, 11))
        assert receiver.positions("member:2") == list(range(1, 11))


async def record_at(stream: str, position: int, moment: datetime) -> None:
    await db.execute(
        "INSERT INTO events (id, stream, position, name, data, recorded_at)"
        " VALUES ($1, $2, $3, 'members.registered.v1', '{}', $4)",
        uuid4(), stream, position, moment,
    )  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"since": NOW, "stream": "member:1"},
        {"since": NOW, "after_position": 1},
        {"after_position": 1},
        {"since": NOW + timedelta(days=36500)},
        {"since": NOW.replace(tzinfo=None)},
        {"stream": ""},
        {"stream": "x" * 81},
        {"stream": "member:1", "after_position": -1},
    ],
)
async def test_what_cannot_be_told_again_is_refused_by_name(asked: dict[str, object]) -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        with pytest.raises(InvalidInput) as refused:
            await service.replay(SYSTEM, made.endpoint.id, **asked)  # type: ignore[arg-type]
        assert refused.value.path in (["since"], ["stream"], ["afterPosition"])
        assert await states() == []


async def test_a_test_goes_to_one_endpoint_whatever_it_subscribes_to() -> None:
    async with receiving() as receiver, receiving() as other:
        made = await subscribe(receiver)
        await subscribe(other, "*")
        message_id = await service.send_test(SYSTEM, made.endpoint.id)
        await carry_out()
        [told] = receiver.deliveries
        assert told.signed_with(made.secret)
        assert told.headers["webhook-id"] == str(message_id)
        assert (told.message["type"], told.message["position"]) == ("webhooks.ping.v1", 0)
        assert told.message["data"] == {"endpoint_id": str(made.endpoint.id)}
        assert other.deliveries == []
        assert await db.fetch_value("SELECT count(*) FROM events") == 0
