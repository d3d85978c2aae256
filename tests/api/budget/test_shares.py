"""Budgets over several gateways and one Redis: what they give together, how often it is asked, and if it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage.api.budget.buckets import EARLY_S, Rate
from engage.api.budget.redis_buckets import CommonBuckets
from engage.api.budget.refusals import BudgetExhausted
from engage.api.budget.shares import HOLDS_S, Shares
from engage.base.settings import Settings
from tests.api.clients import DEADLINE_S
from tests.realtime.wire import wired

NOW = 1_800_000_000.0
PATIENCE_S = 20.0


class Gate:
    """What limits one gateway."""

    def __init__(self, config: Settings, **more: float) -> None:
        self.common = CommonBuckets(config, **{"wait_s": PATIENCE_S, **more})
        self.shares = Shares(self.common)

    async def spend(self, owner: str, rate: Rate, cost: int, now: float) -> int:
        """What was spent: the cost, or nothing."""
        try:
            await self.shares.spend(owner, rate, cost, now)
        except BudgetExhausted:
            return 0
        return cost


async def until_back(gate: Gate) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while gate.common.away:  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def gates(config: Settings, count: int) -> AsyncIterator[list[Gate]]:
    async with AsyncExitStack() as stack:
        opened = [Gate(config) for _ in range(count)]
        for one in opened:
            stack.push_async_callback(one.common.close)
        yield opened


@pytest.fixture(scope="module")
async def three(config: Settings) -> AsyncIterator[list[Gate]]:
    async with gates(config, 3) as opened:
        yield opened


rounds = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.01, 0.4, HOLDS_S / 2, HOLDS_S, 30.0]),  # passes before
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 60)), min_size=1, max_size=8),  # gateways and costs
    ),
    min_size=1,
    max_size=10,
)


@given(rounds=rounds, size=st.integers(1, 100), restore=st.sampled_from([0.5, 3.0, 50.0]))
async def test_together_they_never_give_more_than_it_holds_and_what_came_back(
    three: list[Gate], rounds: list[tuple[float, list[tuple[int, int]]]], size: int, restore: float
) -> None:
    rate, owner, now = Rate(size, restore), uuid4().hex, NOW
    spent: list[tuple[float, int]] = []
    for passed, asked in rounds:
        now += passed
        found = await asyncio.gather(*(three[which].spend(owner, rate, cost, now) for which, cost in asked))
        spent.append((now, sum(found)))
        assert sum(cost for _, cost in spent) <= size + restore * (now - NOW + EARLY_S) + 0.001
        for begins in {moment for moment, _ in spent}:  # in any window, but for shares taken just before it
            within = sum(cost for moment, cost in spent if moment >= begins)
            assert within <= size + restore * (now - begins + HOLDS_S + EARLY_S) + 0.001


@given(costs=st.lists(st.integers(1, 30), min_size=1, max_size=40), size=st.integers(30, 200))
async def test_one_gateway_alone_gives_all_that_there_is(three: list[Gate], costs: list[int], size: int) -> None:
    """Shares keep nothing from who stays with a gateway."""
    rate, owner, left = Rate(size, 0.001), uuid4().hex, float(size)
    for cost in costs:
        given_out = await three[0].spend(owner, rate, cost, NOW)
        assert given_out == (cost if cost <= left else 0)
        left -= given_out


async def test_most_operations_are_decided_without_asking(three: list[Gate]) -> None:
    gate, rate, owner = three[0], Rate(10_000, 500), uuid4().hex
    before = gate.common.asked
    for number in range(2000):
        assert await gate.spend(owner, rate, 2, NOW + number / 1000) == 2
    assert gate.common.asked - before <= 10


async def test_who_is_refused_asks_once_a_second_at_the_most(three: list[Gate]) -> None:
    gate, rate, owner = three[0], Rate(100, 1), uuid4().hex
    assert await gate.spend(owner, rate, 100, NOW) == 100
    before = gate.common.asked
    for number in range(500):
        assert await gate.spend(owner, rate, 50, NOW + number / 100) == 0
    assert gate.common.asked - before <= 5


async def test_a_share_that_was_not_spent_is_given_back(three: list[Gate]) -> None:
    first, second, *_ = three
    rate, owner = Rate(1000, 0.001), uuid4().hex
    assert await first.spend(owner, rate, 10, NOW) == 10  # and has 50 more in hand
    assert await second.spend(owner, rate, 960, NOW) == 0
    assert await first.spend(owner, rate, 1, NOW + HOLDS_S) == 1
    assert await first.spend(owner, rate, 900, NOW + HOLDS_S) == 900
    with pytest.raises(BudgetExhausted) as refused:
        await first.shares.spend(owner, rate, 100, NOW + HOLDS_S)
    assert refused.value.extras["available"] == 1000 - 10 - 1 - 900


async def test_a_share_of_long_ago_adds_nothing_to_a_bucket_that_is_full_since(three: list[Gate]) -> None:
    first, second, *_ = three
    rate, owner = Rate(100, 0.5), uuid4().hex
    assert await first.spend(owner, rate, 1, NOW) == 1  # and has 5 more in hand
    assert await second.spend(owner, rate, 100, NOW + 300) == 100
    assert await first.spend(owner, rate, 5, NOW + 300) == 0


async def test_a_refusal_says_when_to_come_again(three: list[Gate]) -> None:
    rate, owner = Rate(100, 4), uuid4().hex
    await three[0].shares.spend(owner, rate, 90, NOW)
    with pytest.raises(BudgetExhausted) as refused:
        await three[0].shares.spend(owner, rate, 50, NOW)
    extras = {"retryAfter": 10, "cost": 50, "available": 10, "maximum": 100, "restoreRate": 4}
    assert refused.value.extras == extras
    assert await three[0].spend(owner, rate, 50, NOW + 10) == 50


async def test_only_so_many_owners_are_kept(three: list[Gate]) -> None:
    few = Shares(three[0].common, most=5)
    for number in range(20):
        await few.spend(f"owner {number}", Rate(10, 1), 1, NOW)
        assert len(few) <= 5


async def test_without_redis_each_gateway_limits_for_itself_and_then_they_do_together(config: Settings) -> None:
    rate, owner = Rate(100, 0.001), uuid4().hex
    async with wired(config.redis_url, 6379) as wire, gates(config, 1) as [near]:
        far = Gate(config.model_copy(update={"redis_url": wire.url}), pause_s=0.05)
        assert await far.spend(owner, rate, 40, NOW) == 40
        await wire.cut(for_good=True)
        now = NOW + HOLDS_S
        assert await far.spend(owner, rate, 50, now) == 50  # what it knew of goes on here
        assert far.common.away
        assert await far.spend(owner, rate, 50, now) == 0
        asked = far.common.asked
        stranger = uuid4().hex
        assert [await far.spend(stranger, rate, 10, now) for _ in range(12)] == [10] * 10 + [0] * 2
        assert far.common.asked == asked  # nobody waited for it
        assert await near.spend(owner, rate, 55, now) == 55
        await wire.mend()
        await until_back(far)
        assert await far.spend(owner, rate, 10, now + HOLDS_S) == 0  # the other gateway has spent it
        await far.common.close()


async def test_a_redis_that_says_nothing_is_waited_for_once(config: Settings) -> None:
    rate = Rate(100, 1)
    async with wired(config.redis_url, 6379) as wire:
        wire.muted = True
        gate = Gate(config.model_copy(update={"redis_url": wire.url}), wait_s=0.1, pause_s=60.0)
        found = await asyncio.gather(*(gate.spend(f"owner {number}", rate, 1, NOW) for number in range(10)))
        assert found == [1] * 10
        asked = gate.common.asked
        assert await gate.spend("another", rate, 1, NOW) == 1
        assert gate.common.asked == asked
        await gate.common.close()
