from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from engage.base import clock
from engage.outbox import Hopeless, TargetDown
from engage.outbox.faults import LENGTH_MAX, backoff, describe
from engage.outbox.loop import Loop


@pytest.mark.parametrize(
    "private",
    ["ada@example.org", "'Ada Lovelace'", '"Ada"', "+49 170 1234567", "4111111111111111",
     "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"],
)  # fmt: skip
def test_what_may_be_about_a_person_is_not_kept(private: str) -> None:
    kept = describe(ValueError(f"no member {private} here"))
    assert kept == "ValueError: no member … here"


def test_kind_and_place_are_kept_and_the_rest_is_cut() -> None:
    with pytest.raises(ValueError, match="time zone") as caught, clock.frozen(datetime(2026, 6, 1)):  # noqa: DTZ001 -- refused
        pass
    assert describe(caught.value).startswith("ValueError: The clock needs a moment with a time zone. (base/clock.py:")
    assert len(describe(ValueError("x" * 10_000))) <= LENGTH_MAX


@pytest.mark.parametrize("kind", [Hopeless, TargetDown])
def test_sentences_that_were_made_to_be_read_are_kept_as_they_are(kind: type[Exception]) -> None:
    assert describe(kind("A batch has 1 to 200 orders.")) == "A batch has 1 to 200 orders."
    assert len(describe(kind("x" * 10_000))) <= LENGTH_MAX


def test_pauses_double_up_to_half_an_hour_and_are_spread() -> None:
    for attempts in range(1, 40):
        longest = min(2 ** (attempts - 1), 1800)
        assert timedelta(seconds=longest / 2) <= backoff(attempts) <= timedelta(seconds=longest)
    assert len({backoff(5) for _ in range(20)}) > 1


async def test_a_loop_outlives_failures_and_works_again_when_woken() -> None:
    calls = 0

    async def once() -> float:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("away")
        if calls == 3:
            loop.stop()
        else:
            loop.wake()
        return 3600

    loop = Loop("test", once)
    async with asyncio.timeout(30):
        await loop.run()
    assert calls == 3
