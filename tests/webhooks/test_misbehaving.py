"""Receivers that are broken or hostile: each costs itself, and nobody else."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest

from engage.base import clock
from engage.base.ids import new_id
from engage.domains.webhooks import posting
from engage.outbox import OutboxEvent, lanes
from engage.outbox.registry import fresh_registry, present
from tests.outbox.working import claim, new_executor, take, until
from tests.webhooks.receivers import Behaviour, Delivery, answer, endless, never, receiving, saying
from tests.webhooks.telling import NOW, REGISTERED, carry_out, happen, rows, states, subscribe

pytestmark = pytest.mark.usefixtures("ready")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(posting, "DRAIN_TIMEOUT_S", 0.3)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (never, "There was no answer within"),
        (saying(), "There was no answer (RemoteProtocolError)."),
        (saying(b"\x00\xff garbage \r\n\r\n" * 50), "There was no answer (RemoteProtocolError)."),
        (saying(b"HTTP/1.1 twohundred\r\n\r\n"), "There was no answer (RemoteProtocolError)."),
        (saying(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000), "There was no answer (RemoteProtocolError)."),
        (saying(*[b"HTTP/1.1 103 Hints\r\n\r\n"] * 3, b"HTTP/1.1 2"), "There was no answer (RemoteProtocolError)."),
    ],
)
async def test_no_answer_is_the_fault_of_the_receiver_as_a_whole(behaviour: Behaviour, words: str) -> None:
    async with receiving(behaviour) as receiver:
        made = await subscribe(receiver)
        with clock.frozen(NOW):
            await happen()
            await carry_out()
        [row] = await rows()
        assert row["last_error"].startswith(words)
        assert str(receiver.port) not in row["last_error"]
        lane = await lanes.find("webhooks.deliver", str(made.endpoint.id))
        assert lane is not None
        assert (lane.failures, lane.failing_since) == (1, NOW)


async def test_nobody_who_listens_is_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with receiving() as receiver:
        receiver.url = f"http://127.0.0.1:{port}/hook"
        await subscribe(receiver)
        with clock.frozen(NOW):
            await happen()
            await carry_out()
        [row] = await rows()
        assert row["last_error"] == "There was no answer (ConnectionRefusedError)."


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "behaviour",
    [
        endless,
        saying(b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nonly"),
        saying(b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
async def test_a_yes_counts_whatever_follows(behaviour: Behaviour) -> None:
    async with receiving(behaviour) as receiver:
        await subscribe(receiver)
        await happen()
        await carry_out()
        assert await states() == ["done"]


async def test_a_receiver_that_says_no_more_after_its_yes_is_left() -> None:
    async def yes_and_silence(_delivery: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    async with receiving(yes_and_silence) as receiver:
        await subscribe(receiver)
        await happen()
        await carry_out()
        assert await states() == ["done"]


async def test_a_dead_receiver_delays_no_other_and_no_other_work() -> None:
    """The dead one holds its places while everything else is told."""
    heard: list[str] = []

    async def hear(event: OutboxEvent) -> None:
        heard.append(event.stream)

    kinds = {kind.name: kind for kind in present().kinds()}
    async with receiving(never) as dead, receiving() as well:
        await subscribe(dead)
        made = await subscribe(well)
        with fresh_registry() as registry:
            registry._all.update(kinds)
            registry.on(REGISTERED, name="tests.hear")(hear)
            for _ in range(20):
                await happen()
            executor = new_executor(registry)
            while "waiting" in await states(made.endpoint.id) or len(heard) < 20:
                await take(executor, registry, await claim(registry))
                await asyncio.sleep(0.01)

            async def only_the_dead_one_is_waited_for() -> bool:
                return executor.held == len(dead.deliveries) == 4  # as many as may be in flight to one endpoint

            await until(only_the_dead_one_is_waited_for, "the end of all other work")
            assert len(well.deliveries) == 20
            await executor.drain(0)


async def test_one_is_tried_at_a_time_until_a_receiver_is_back() -> None:
    async with receiving() as receiver:
        await subscribe(receiver)
        receiver.answers = [answer(500)] * 100
        with clock.frozen(NOW):
            for _ in range(10):
                await happen()
            await carry_out()
        told = len(receiver.deliveries)
        assert told <= 4
        with clock.frozen(NOW + timedelta(hours=1)):
            await carry_out()
            assert len(receiver.deliveries) == told + 1
        receiver.answers = []
        with clock.frozen(NOW + timedelta(hours=2)):
            await carry_out()
        assert set(await states()) == {"done"}


async def test_a_message_that_alone_brings_a_receiver_down_is_tried_ever_more_seldom() -> None:
    bad = new_id()

    async def fall_over(delivery: Delivery, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(500 if delivery.message["stream"] == f"member:{bad}" else 200, "connection: close"))
        await writer.drain()
        writer.close()

    async with receiving(fall_over) as receiver:
        await subscribe(receiver)
        with clock.frozen(NOW):
            await happen(1, bad)
        for second in range(60):
            with clock.frozen(NOW + timedelta(seconds=second)):
                await happen()
                await carry_out()
        with clock.frozen(NOW + timedelta(seconds=62)):
            await carry_out()
        tried = len(receiver.positions(f"member:{bad}"))
        assert 5 <= tried <= 9
        assert len(receiver.deliveries) - tried == 60


async def test_a_receiver_that_asks_for_a_second_each_time_is_not_tried_each_second() -> None:
    async with receiving() as receiver:
        await subscribe(receiver)
        receiver.answers = [answer(429, "retry-after: 1")] * 100
        with clock.frozen(NOW):
            await happen()
        for second in range(120):
            with clock.frozen(NOW + timedelta(seconds=second)):
                await carry_out()
        assert 6 <= len(receiver.deliveries) <= 10
