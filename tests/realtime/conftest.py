from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from engage.base.settings import Settings
from engage.realtime.bell import Bell, start_bell, stop_bell
from engage.realtime.broker import Broker
from engage.realtime.hub import Hub
from tests.realtime.watching import Ear, hub_of


@pytest.fixture(scope="module")
async def bell(config: Settings) -> AsyncIterator[Bell]:
    yield await start_bell(config.redis_url, config.redis_prefix)
    await stop_bell()


@pytest.fixture(scope="module")
async def hub(connected: Settings, bell: Bell) -> AsyncIterator[Hub]:  # noqa: ARG001 -- what is written rings
    async with hub_of(connected) as opened:
        yield opened


@pytest.fixture(scope="module")
async def redis_client(config: Settings) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(config.redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def ear(connected: Settings) -> AsyncIterator[Ear]:
    broker = Broker(connected.redis_url, connected.redis_prefix)
    ready = asyncio.Event()
    broker.on_connect(ready.set)
    broker.start()
    async with asyncio.timeout(20):
        await ready.wait()
    yield Ear(broker)
    await broker.stop()
