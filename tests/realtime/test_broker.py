from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from engage.base.settings import Settings
from engage.realtime.broker import Broker
from tests.realtime.watching import until
from tests.realtime.wire import wired


@asynccontextmanager
async def broker_of(url: str, prefix: str, silence_max_s: float = 10.0) -> AsyncIterator[Broker]:
    broker = Broker(url, prefix, silence_max_s=silence_max_s)
    broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


async def receivers(client: redis.asyncio.Redis, config: Settings, channel: str) -> int:
    [(_, count)] = await client.pubsub_numsub(f"{config.redis_prefix}:{channel}")
    return int(count)


async def until_receivers(client: redis.asyncio.Redis, config: Settings, channel: str, count: int) -> None:
    async with asyncio.timeout(20):
        while await receivers(client, config, channel) != count:  # noqa: ASYNC110 -- nobody tells when
            await asyncio.sleep(0.005)


async def test_one_connection_listens_from_the_first_listener_to_the_last(
    config: Settings, redis_client: redis.asyncio.Redis
) -> None:
    heard: list[bytes] = []
    async with broker_of(config.redis_url, config.redis_prefix) as broker:
        await until(lambda: broker.connected)
        broker.listen("a", heard.append)
        await broker.confirmed("a")
        assert await receivers(redis_client, config, "a") == 1
        with pytest.raises(ValueError, match="listener already"):
            broker.listen("a", heard.append)
        await redis_client.publish(f"{config.redis_prefix}:a", b"one")
        await until(lambda: heard == [b"one"])
        broker.leave("a")
        await until_receivers(redis_client, config, "a", 0)
        broker.listen("a", heard.append)
        broker.leave("a")
        broker.listen("a", heard.append)
        await broker.confirmed("a")
        assert await receivers(redis_client, config, "a") == 1
    await until_receivers(redis_client, config, "a", 0)
    assert broker.connects == 1


async def test_a_thousand_channels(config: Settings, redis_client: redis.asyncio.Redis) -> None:
    heard: list[bytes] = []
    async with broker_of(config.redis_url, config.redis_prefix) as broker:
        for number in range(1200):
            broker.listen(f"many:{number}", heard.append)
        await until(lambda: broker.connected)
        await until_receivers(redis_client, config, "many:1199", 1)
        pipeline = redis_client.pipeline(transaction=False)
        for number in range(1200):
            pipeline.publish(f"{config.redis_prefix}:many:{number}", str(number))
        assert await pipeline.execute() == [1] * 1200
        await until(lambda: len(heard) == 1200)
        for number in range(1200):
            broker.leave(f"many:{number}")
        await until_receivers(redis_client, config, "many:0", 0)


async def test_a_cut_connection_is_dialed_again_and_then_it_says_so(
    config: Settings, redis_client: redis.asyncio.Redis
) -> None:
    heard: list[bytes] = []
    told: list[int] = []
    async with wired(config.redis_url, 6379) as wire, broker_of(wire.url, config.redis_prefix) as broker:
        broker.on_connect(lambda: told.append(broker.connects))
        broker.listen("cut", heard.append)
        await until(lambda: told == [1])
        with capture_logs() as logs:
            await wire.cut(for_good=False)
            await until(lambda: len(told) == 2)
        assert [log["event"] for log in logs] == ["broker.away", "broker.back"]
        # It speaks up only when Redis sends again what is published.
        assert await redis_client.publish(f"{config.redis_prefix}:cut", b"again") == 1
        await until(lambda: heard == [b"again"])


async def test_a_long_outage_is_logged_once_and_listening_meanwhile_waits_for_nothing(
    config: Settings, redis_client: redis.asyncio.Redis
) -> None:
    heard: list[bytes] = []
    tries = 0
    async with wired(config.redis_url, 6379) as wire:
        await wire.cut(for_good=True)
        with capture_logs() as logs:
            async with broker_of(wire.url, config.redis_prefix) as broker:
                dial = broker._pool.make_connection

                def counting() -> object:
                    nonlocal tries
                    tries += 1
                    return dial()  # type: ignore[no-untyped-call]

                broker._pool.make_connection = counting  # type: ignore[method-assign]
                broker.listen("late", heard.append)
                await broker.confirmed("late")
                await until(lambda: tries >= 4)
                assert not broker.connected
                assert broker.connects == 0
                await wire.mend()
                await until_receivers(redis_client, config, "late", 1)
                await redis_client.publish(f"{config.redis_prefix}:late", b"here")
                await until(lambda: heard == [b"here"])
    assert [log["event"] for log in logs] == ["broker.away", "broker.back"]


async def test_a_silent_connection_is_given_up(config: Settings, redis_client: redis.asyncio.Redis) -> None:
    heard: list[bytes] = []
    async with wired(config.redis_url, 6379) as wire, broker_of(wire.url, config.redis_prefix, 0.3) as broker:
        broker.listen("mute", heard.append)
        await until_receivers(redis_client, config, "mute", 1)
        wire.muted = True
        await until(lambda: not broker.connected)
        wire.muted = False
        await until(lambda: broker.connects >= 2 and broker.connected)
        await until_receivers(redis_client, config, "mute", 1)
        await redis_client.publish(f"{config.redis_prefix}:mute", b"loud")
        await until(lambda: heard == [b"loud"])


async def test_a_quiet_connection_is_kept(config: Settings) -> None:
    async with broker_of(config.redis_url, config.redis_prefix, 0.3) as broker:
        broker.listen("quiet", lambda _: None)
        await until(lambda: broker.connected)
        first = broker._heard_at
        await until(lambda: broker._heard_at - first > 1)  # answers to PING alone
        assert broker.connects == 1


async def test_a_failing_listener_does_not_deafen_the_others(
    config: Settings, redis_client: redis.asyncio.Redis
) -> None:
    def fail(message: bytes) -> None:
        raise RuntimeError(message.decode())

    heard: list[bytes] = []
    async with broker_of(config.redis_url, config.redis_prefix) as broker:
        broker.listen("bad", fail)
        broker.listen("good", heard.append)
        await until_receivers(redis_client, config, "good", 1)
        with capture_logs() as logs:
            await redis_client.publish(f"{config.redis_prefix}:bad", b"x")
            await redis_client.publish(f"{config.redis_prefix}:good", b"y")
            await until(lambda: heard == [b"y"])
    assert [log["event"] for log in logs] == ["broker.listener_failed"]
