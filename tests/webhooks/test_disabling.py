"""Endpoints that are disabled: by 410, or after days of failing; and brought back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.domains.webhooks import queries, service
from engage.domains.webhooks.errors import WebhookDisabled
from engage.domains.webhooks.types import DisabledReason, WebhookState
from engage.outbox.service import retry_jobs
from tests.webhooks.receivers import answer, receiving
from tests.webhooks.telling import NOW, carry_out, happen, rows, states, subscribe, tick

pytestmark = pytest.mark.usefixtures("ready")

DISABLED = "webhooks.endpoint_disabled.v1"


async def test_410_disables_at_once_and_others_are_told_of_it(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with receiving() as receiver, receiving() as watcher:
        made = await subscribe(receiver, "*")
        watching = await subscribe(watcher, DISABLED)
        receiver.answers = [answer(410)]
        with clock.frozen(NOW):
            await happen(3)
            await carry_out()
        found = await queries.get_endpoint(SYSTEM, made.endpoint.id)
        assert (found.state, found.disabled_reason) == (WebhookState.DISABLED, DisabledReason.GONE)
        assert found.disabled_at == NOW
        assert set(await states(made.endpoint.id)) == {"dead"}
        assert len(receiver.deliveries) == 1
        [told] = watcher.deliveries
        assert told.signed_with(watching.secret)
        assert told.message["type"] == DISABLED
        assert told.message["stream"] == f"webhook:{made.endpoint.id}"
        assert told.message["data"] == {
            "endpoint_id": str(made.endpoint.id),
            "reason": "GONE",
            "disabled_at": "2026-06-01T12:00:00+00:00",
        }
        lines = (capsys.readouterr().out + caplog.text).splitlines()
        [line] = [one for one in lines if "webhooks.disabled" in one]
        assert "error" in line.lower()
        assert str(made.endpoint.id) in line
        before = await rows(made.endpoint.id)
        await happen()
        await carry_out()
        assert await rows(made.endpoint.id) == before


async def test_410_for_an_address_that_was_changed_meanwhile_disables_nothing() -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        gone = await service.disable_endpoint(
            SYSTEM, made.endpoint.id, DisabledReason.GONE, url="http://old.example/"
        )
        assert not gone
        assert (await queries.get_endpoint(SYSTEM, made.endpoint.id)).state is WebhookState.ACTIVE


async def test_three_days_of_failing_disable_and_resuming_begins_anew() -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        endpoint_id = made.endpoint.id
        receiver.answers = [answer(500)] * 1000
        with clock.frozen(NOW):
            await tick()
            await happen(2)
            await carry_out()
        for hours in (24, 48, 71, 71.9):
            with clock.frozen(NOW + timedelta(hours=hours)):
                await happen()
                await tick()
                await carry_out()
                assert (await queries.get_endpoint(SYSTEM, endpoint_id)).state is WebhookState.ACTIVE
        with clock.frozen(NOW + timedelta(hours=72.5)):
            await tick()
            await carry_out()
            found = await queries.get_endpoint(SYSTEM, endpoint_id)
            assert (found.state, found.disabled_reason) == (WebhookState.DISABLED, DisabledReason.FAILING)
            assert set(await states(endpoint_id)) == {"dead"}
            with pytest.raises(WebhookDisabled):
                await service.send_test(SYSTEM, endpoint_id)
            with pytest.raises(WebhookDisabled):
                await service.replay(SYSTEM, endpoint_id, since=NOW)
            with pytest.raises(WebhookDisabled):
                await service.pause_endpoint(SYSTEM, endpoint_id)
        receiver.answers, receiver.deliveries = [], []
        with clock.frozen(NOW + timedelta(hours=73)):
            await happen()
            resumed = await service.resume_endpoint(SYSTEM, endpoint_id)
            assert (resumed.state, resumed.disabled_at, resumed.disabled_reason) == (WebhookState.ACTIVE, None, None)
            stream = await happen()
            await carry_out()
            assert [one.message["stream"] for one in receiver.deliveries] == [stream]
        with clock.frozen(NOW + timedelta(hours=74)):
            await service.replay(SYSTEM, endpoint_id, since=NOW)
            await carry_out()
            assert await db.fetch_value("SELECT count(*) FROM events WHERE name = 'members.registered.v1'") == 8
            assert len(receiver.deliveries) == 9


async def test_an_endpoint_that_failed_and_was_not_tried_since_is_left_alone() -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        receiver.answers = [answer(500)]
        with clock.frozen(NOW):
            await tick()
            await happen()
            await carry_out()
        await db.execute("UPDATE outbox SET dead_at = $1 WHERE handler = 'webhooks.deliver'", NOW)
        with clock.frozen(NOW + timedelta(hours=100)):
            await tick()
            await carry_out()
        assert (await queries.get_endpoint(SYSTEM, made.endpoint.id)).state is WebhookState.ACTIVE


async def test_what_is_retried_by_hand_while_it_is_disabled_waits_until_it_is_resumed() -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        await happen()
        await service.disable_endpoint(SYSTEM, made.endpoint.id, DisabledReason.FAILING)
        assert not await service.disable_endpoint(SYSTEM, made.endpoint.id, DisabledReason.FAILING)
        await carry_out()
        assert await states() == ["dead"]
        [row] = await rows()
        await retry_jobs(SYSTEM, [row["id"]])
        await carry_out()
        assert receiver.deliveries == []
        await service.resume_endpoint(SYSTEM, made.endpoint.id)
        await carry_out()
        assert len(receiver.deliveries) == 1
