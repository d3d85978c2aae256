"""One bucket: it never gives more than it holds and what came back meanwhile; Redis keeps the same rule."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from redis.asyncio import Redis

from engage.api.budget.buckets import EARLY_S, SKEW_MAX_S, Buckets, Rate, take
from engage.api.budget.redis_buckets import CommonBuckets
from engage.base.settings import Settings

NOW = 1_800_000_000.0
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
async def common(config: Settings) -> AsyncIterator[CommonBuckets]:
    opened = CommonBuckets(config, wait_s=PATIENCE_S)
    yield opened
    await opened.close()


def test_it_gives_so_many_and_then_as_many_as_come_back() -> None:
    buckets = Buckets(Rate(3, 0.5), most=10)
    assert [buckets.take("a", NOW) for _ in range(3)] == [0.0] * 3
    assert buckets.take("a", NOW) == 2.0
    assert buckets.take("b", NOW) == 0.0
    assert buckets.wait("a", NOW + 1) == 1.0
    assert buckets.take("a", NOW + 2) == 0.0
    assert buckets.take("a", NOW + 2) == 2.0
    assert [buckets.take("a", NOW + 1000) for _ in range(4)] == [0.0] * 3 + [2.0]


def test_only_so_many_are_kept_and_those_that_are_used() -> None:
    buckets = Buckets(Rate(1, 0.001), most=100)
    assert buckets.take("guest", NOW) == 0.0
    for number in range(1000):
        buckets.take(f"stranger {number}", NOW)
        assert buckets.wait("guest", NOW) == (0.0 if number >= 99 else 1000.0)
        assert len(buckets) <= 100


def test_a_wrong_clock_spoils_a_bucket_for_a_moment_alone() -> None:
    rate = Rate(10, 1)
    _, full_at = take(rate, 0.0, NOW + 3600, need=10)  # an hour ahead
    taken, _ = take(rate, full_at, NOW, need=1)
    assert taken == 0.0
    _, full_at = take(rate, full_at, NOW, need=1)
    assert rate.level(full_at, NOW) == 0.0  # and from here on it fills
    ahead = Buckets(rate, most=10)
    ahead.take("a", NOW + 86_400)
    assert ahead.wait("a", NOW) == 1.0  # empty, and not for a day
    assert ahead.take("a", NOW + 1) == 0.0
    slightly = rate.full_at(-0.9 * SKEW_MAX_S, NOW)
    assert take(rate, slightly, NOW + 5.6, need=1)[0] == 1.0


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.001, 0.5, 3.0, 100.0, -2.0, -3600.0]),
        st.integers(0, 30),
        st.sampled_from([0.0, 5.0]),
        st.integers(0, 3),
    ),
    max_size=12,
)


@given(steps=steps, size=st.integers(1, 40), restore=st.sampled_from([0.1, 1.0, 7.0]))
async def test_redis_has_the_same_rule(
    common: CommonBuckets, steps: list[tuple[float, int, float, int]], size: int, restore: float
) -> None:
    rate, owner, now, full_at = Rate(size, restore), uuid4().hex, NOW, 0.0
    for passed, need, more, back in steps:
        now += passed
        found = await common.take(owner, rate, now, need=need, more=more, back=back)
        expected = take(rate, full_at, now, need=need, more=more, back=back)
        assert found == pytest.approx(expected, abs=2e-5)
        assert found is not None
        _, full_at = found
        assert found[0] <= size + EARLY_S * restore


async def test_at_once_it_gives_no_more_than_it_holds(common: CommonBuckets) -> None:
    rate, owner = Rate(1000, 1), uuid4().hex
    found = await asyncio.gather(*(common.take(owner, rate, NOW, need=7, more=50, back=0) for _ in range(200)))
    given_out = [one[0] for one in found if one is not None]
    assert len(given_out) == 200
    assert 1000 - 7 <= sum(given_out) <= 1000.001


async def test_redis_holds_no_names_and_forgets_what_is_full(common: CommonBuckets, config: Settings) -> None:
    rate = Rate(100, 10)
    await common.take("MEMBER very-secret", rate, NOW, need=50, more=0, back=0)
    await common.take("address 203.0.113.7", rate, NOW, need=50, more=0, back=0)
    async with Redis.from_url(config.redis_url) as redis:
        keys = [key async for key in redis.scan_iter(f"{config.redis_prefix}:*")]
        assert len(keys) >= 2
        for key in keys:
            assert re.fullmatch(rf"{config.redis_prefix}:budget:[0-9a-f]{{32}}", key.decode())
            assert await redis.pttl(key) > 0


async def test_keys_tell_nothing_to_who_has_not_the_secret(common: CommonBuckets, config: Settings) -> None:
    """The same owner has another bucket under another secret, so the keys are no plain hashes of names."""
    rate, owner = Rate(100, 0.001), uuid4().hex
    assert await common.take(owner, rate, NOW, need=100, more=0, back=0)
    other = CommonBuckets(config.model_copy(update={"jwt_secret": SecretStr("x" * 32)}), wait_s=PATIENCE_S)
    found = await other.take(owner, rate, NOW, need=100, more=0, back=0)
    await other.close()
    assert found is not None
    assert found[0] == 100
