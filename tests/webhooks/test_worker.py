"""The whole way with a real worker: what is recorded reaches a receiver, once and in order."""

from __future__ import annotations

import asyncio

from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.domains.webhooks import service
from engage.outbox.limits import Limits
from engage.worker import run_worker
from tests.outbox.working import until
from tests.webhooks.conftest import hang_up
from tests.webhooks.receivers import receiving
from tests.webhooks.telling import happen, states, subscribe


async def test_a_worker_tells_receivers_what_happens(config: Settings) -> None:
    stop = asyncio.Event()
    worker = asyncio.create_task(run_worker(config, stop, Limits(concurrency=4, lease_s=5, poll_s=0.2)))

    async def is_connected() -> bool:
        assert not worker.done(), worker.result()
        try:
            return bool(await db.fetch_value("SELECT true"))
        except (RuntimeError, AttributeError):
            return False

    async def all_is_told() -> bool:
        return set(await states()) == {"done"}

    await until(is_connected, "the start of the worker")
    try:
        async with receiving() as receiver:
            made = await subscribe(receiver)
            members = [new_id() for _ in range(10)]
            for _ in range(5):
                for member in members:
                    await happen(1, member)
            await until(all_is_told, "the deliveries")
            assert len({one.message["id"] for one in receiver.deliveries}) == len(receiver.deliveries) == 50
            for member in members:
                assert receiver.positions(f"member:{member}") == [1, 2, 3, 4, 5]
            assert receiver.connections < 50
            await service.send_test(SYSTEM, made.endpoint.id)
            await until(all_is_told, "the test")
            assert receiver.deliveries[-1].message["type"] == "webhooks.ping.v1"
            assert receiver.deliveries[-1].signed_with(made.secret)
            stop.set()
            await worker
    finally:
        stop.set()
        await asyncio.wait([worker])
        await hang_up()
