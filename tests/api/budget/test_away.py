"""Limits while Redis is away: nobody waits, each gateway limits for itself and says so, until Redis is back."""

from __future__ import annotations

from engage.api.budget.limiter import Limiter
from engage.base import clock
from engage.base.actor import Actor, Role
from engage.base.ids import new_id
from engage.base.settings import Settings
from tests.api.clients import DEADLINE_S, socket
from tests.api.test_outages import scene
from tests.realtime.wire import wired

CHANNELS = "{ channels { code } }"  # 10
MANY = "{ a: channels { code } b: channels { code } }"  # 20
SMALL = {"budget_size": 100, "budget_restore_per_s": 1}


async def test_budgets_go_on_without_redis_and_are_common_again_with_it(config: Settings) -> None:
    async with wired(config.redis_url, 6379) as wire, scene(config, redis_url=wire.url, **SMALL) as opened:
        near = Limiter(opened.gateway.config.model_copy(update={"redis_url": config.redis_url}))  # another gateway's
        for limiter in (near, opened.gateway.sockets.limiter):
            limiter.common._wait_s = DEADLINE_S  # away is what is cut here, not what a busy machine is slow with
        member, stranger = new_id(), opened.gateway.token(Role.MEMBER, new_id())
        token = opened.gateway.token(Role.MEMBER, member)
        with clock.frozen(clock.now()):
            assert (await opened.http.ask(CHANNELS, token=token)).data
            assert await opened.ready(limits="common", redis="ok") == 200
            await wire.cut(for_good=True)
            for _ in range(10):
                assert (await opened.http.ask(CHANNELS, token=stranger)).data
            assert (await opened.http.ask(CHANNELS, token=stranger)).code == "BUDGET_EXHAUSTED"
            assert await opened.ready(limits="local", redis="away", database="ok") == 200
            assert opened.gateway.sockets.limiter.common.away
            async with socket(opened.gateway.ws_url, token) as one:
                assert await (await one.start(CHANNELS)).data()
            charge = await near.charge(Actor(str(member), Role.MEMBER, member), "", 85)
            assert charge.available < 10
            await wire.mend()
            assert await opened.ready(limits="common", redis="ok") == 200
            assert (await opened.http.ask(MANY, token=token)).code == "BUDGET_EXHAUSTED"
        await near.close()


async def test_a_gateway_starts_without_redis(config: Settings) -> None:
    async with wired(config.redis_url, 6379) as wire:
        await wire.cut(for_good=True)
        async with scene(config, redis_url=wire.url, **SMALL) as opened:
            assert (await opened.me()).data
            assert await opened.ready(limits="local", redis="away") == 200
            await wire.mend()
            assert await opened.ready(limits="common", redis="ok") == 200
            assert (await opened.me()).data
