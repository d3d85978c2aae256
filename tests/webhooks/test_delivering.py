"""What a receiver is told: signed, in order, again and again until it has it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engage import __version__
from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.domains.webhooks import service
from engage.outbox import lanes
from tests.webhooks.receivers import answer, receiving
from tests.webhooks.telling import NOW, REGISTERED, carry_out, happen, rows, states, subscribe

pytestmark = pytest.mark.usefixtures("ready")


async def test_a_receiver_is_told_what_it_subscribes_to_signed() -> None:
    async with receiving() as receiver, receiving() as other:
        made = await subscribe(receiver)
        await subscribe(other, "ledger.points_spent.v1")
        member = new_id()
        with clock.frozen(NOW):
            stream = await happen(member=member)
        with clock.frozen(NOW + timedelta(seconds=90)):
            await carry_out()
        [delivery] = receiver.deliveries
        event = await db.fetch_row("SELECT id FROM events")
        assert event is not None
        assert delivery.message == {
            "id": str(event["id"]),
            "type": REGISTERED,
            "timestamp": "2026-06-01T12:00:00+00:00",
            "stream": stream,
            "position": 1,
            "data": {"member_id": str(member), "registered_at": "2026-06-01T12:00:00+00:00"},
        }
        assert delivery.path == "/hook"
        assert delivery.headers["webhook-id"] == str(event["id"])
        assert delivery.headers["webhook-timestamp"] == str(int(NOW.timestamp()) + 90)
        assert delivery.headers["content-type"] == "application/json"
        assert delivery.headers["user-agent"] == f"engage/{__version__}"
        assert delivery.signed_with(made.secret)
        assert other.deliveries == []
        assert await states() == ["done"]


async def test_a_star_subscribes_to_everything() -> None:
    async with receiving() as receiver:
        await subscribe(receiver, "*")
        await happen()
        await carry_out()
        assert [one.message["type"] for one in receiver.deliveries] == [REGISTERED]


async def test_the_order_of_a_member_is_kept_though_the_first_fails_and_others_go_on() -> None:
    async with receiving() as receiver:
        await subscribe(receiver)
        receiver.answers = [answer(404)]
        with clock.frozen(NOW):
            first = await happen(3)
            await carry_out()
            other = await happen(2)
            await carry_out()
            assert receiver.positions(first) == [1]
            assert receiver.positions(other) == [1, 2]
        with clock.frozen(NOW + timedelta(minutes=1)):
            await carry_out()
        assert receiver.positions(first) == [1, 1, 2, 3]
        ids = [one.message["id"] for one in receiver.deliveries if one.message["stream"] == first]
        assert ids[0] == ids[1]
        assert len(set(ids)) == 3
        assert set(await states()) == {"done"}


async def test_a_message_is_retried_for_a_day_and_then_dead_without_holding_up_the_next() -> None:
    async with receiving() as receiver:
        await subscribe(receiver)
        with clock.frozen(NOW):
            stream = await happen(2)
        receiver.answers = [answer(422)] * 1000
        moment = NOW
        while (await states())[0] == "waiting":
            with clock.frozen(moment):
                await carry_out()
            moment += timedelta(minutes=31)
        assert timedelta(hours=24) <= moment - NOW < timedelta(hours=25)
        first, second = await rows()
        assert 40 < first["attempts"] < 60
        assert "The receiver answered 422." in first["last_error"]
        assert second["attempts"] < 3
        receiver.answers = []
        with clock.frozen(moment):
            await carry_out()
        assert receiver.positions(stream)[-1] == 2
        assert await states() == ["dead", "done"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 422])
async def test_what_is_not_accepted_is_the_fault_of_that_message_alone(status: int) -> None:
    async with receiving() as elsewhere, receiving() as receiver:
        made = await subscribe(receiver)
        receiver.answers = [answer(status, f"location: {elsewhere.url}")]
        with clock.frozen(NOW):
            await happen()
            await carry_out()
            lane = await lanes.find("webhooks.deliver", str(made.endpoint.id))
            assert lane is not None
            assert (lane.failures, lane.not_before) == (0, None)
            [row] = await rows()
            assert f"The receiver answered {status}." in row["last_error"]
            assert receiver.url not in row["last_error"]
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("status", "header", "pause"),
    [
        (429, "retry-after: 120", 120),
        (503, "retry-after: 120", 120),
        (503, "retry-after: Mon, 01 Jun 2026 12:05:00 GMT", 300),
        (429, "retry-after: 86400", 3600),
        (429, "retry-after: 99999999999999999999999", 3600),
        (429, "retry-after: soon", None),
        (429, "retry-after: 0", None),
        (429, "retry-after: Mon, 01 Jun 2020 12:05:00 GMT", None),
        (500, "retry-after: 120", None),
        (408, "x: y", None),
    ],
)
async def test_a_receiver_that_is_down_as_a_whole_is_left_alone_for_as_long_as_it_asks(
    status: int, header: str, pause: int | None
) -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        receiver.answers = [answer(status, header)]
        with clock.frozen(NOW):
            await happen()
            await carry_out()
            lane = await lanes.find("webhooks.deliver", str(made.endpoint.id))
            assert lane is not None
            assert lane.not_before is not None
            assert (lane.failures, lane.failing_since) == (1, NOW)
            if pause is None:
                assert timedelta(seconds=0.5) <= lane.not_before - NOW <= timedelta(seconds=1)
            else:
                assert lane.not_before - NOW == timedelta(seconds=pause)
            await happen(2)
            await carry_out()
            assert len(receiver.deliveries) == 1
        with clock.frozen(NOW + timedelta(hours=1)):
            await carry_out()
        assert len(receiver.deliveries) == 4
        lane = await lanes.find("webhooks.deliver", str(made.endpoint.id))
        assert lane is not None
        assert (lane.failures, lane.failing_since) == (0, None)


async def test_what_happens_while_it_is_paused_waits_in_order() -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        assert (await service.pause_endpoint(SYSTEM, made.endpoint.id)).state == "PAUSED"
        assert (await service.pause_endpoint(SYSTEM, made.endpoint.id)).state == "PAUSED"
        stream = await happen(3)
        await carry_out()
        assert receiver.deliveries == []
        await service.resume_endpoint(SYSTEM, made.endpoint.id)
        await carry_out()
        assert receiver.positions(stream) == [1, 2, 3]
