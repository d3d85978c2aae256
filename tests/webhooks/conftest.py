"""A database of its own for each module, with engage's own handlers and jobs; private addresses are allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engage.base import db, sealing
from engage.base.settings import Settings
from engage.domains.webhooks import addresses, posting
from engage.outbox import lanes
from engage.outbox.registry import present
from engage.wiring import register_all

FORGET = """
    TRUNCATE outbox, outbox_lanes, outbox_routes, job_runs, events, stream_heads, webhook_endpoints, schedule_ticks
"""


@pytest.fixture(scope="module")
def config(config: Settings) -> Settings:
    return config.model_copy(update={"webhook_private_addresses": True})


@pytest.fixture
async def ready(connected: Settings) -> AsyncIterator[Settings]:
    """Nothing has happened yet, and this process could be a worker."""
    register_all()
    sealing.use(connected)
    addresses.use(connected)
    await db.execute(FORGET)
    await lanes.ensure(present().kinds())
    yield connected
    await hang_up()


async def hang_up() -> None:
    client, posting._State.client = posting._State.client, None
    if client is not None:
        await client.aclose()
