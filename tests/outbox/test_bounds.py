"""Bounds of a lane hold over all workers: so many in flight, so many a minute."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from engage.base import clock, db
from engage.outbox import Bounds, lanes, rows
from engage.outbox.registry import Registry
from engage.outbox.rows import Claim
from tests.outbox.working import Happened, claim, happen, leased, leave_effect, new_executor, undone

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CLAIMERS = 8


async def with_bounds(registry: Registry, bounds: Bounds) -> None:
    registry.on(Happened, name="bounded", bounds=bounds)(leave_effect)
    await lanes.ensure(registry.kinds())


async def claim_at_once(registry: Registry) -> list[Claim]:
    """What several relays claim that ask at the same time."""
    answers = await asyncio.gather(*[claim(registry, 3) for _ in range(CLAIMERS)])
    return [one for answer in answers for one in answer]


async def in_flight() -> int:
    return int(
        await db.fetch_value(
            "SELECT count(*) FROM outbox WHERE leased_until > $1 AND finished_at IS NULL AND dead_at IS NULL",
            clock.now(),
        )
    )


async def test_so_many_are_in_flight_however_many_claim_at_once_and_all_are_done(clean: Registry) -> None:
    await with_bounds(clean, Bounds(in_flight_max=5))
    await happen(43)
    left = 43
    while left:
        claims = await claim_at_once(clean)
        assert await in_flight() == min(5, left)
        assert len({one.id for one in claims}) == len(claims)
        ended = claims[: max(1, len(claims) - 1)]
        executor = new_executor(clean)
        await executor.take_events(leased(ended))
        await executor.drain(30)
        await rows.release(leased(claims[len(ended) :]))
        left -= len(ended)
    assert await undone() == 0


async def test_room_is_made_by_each_way_in_which_a_row_ends(clean: Registry) -> None:
    await with_bounds(clean, Bounds(in_flight_max=4))
    with clock.frozen(NOW):
        await happen(12)
        one, two, three, four = leased(await claim(clean))
        assert await claim(clean) == []
        async with db.transaction():
            await rows.begin(*one, NOW)
        await rows.bury(*two, "dead", NOW)
        await rows.fail(*three, "later", NOW + timedelta(hours=1))
        await rows.release([four], NOW + timedelta(hours=1))
        assert len(await claim(clean)) == 4
        assert await claim(clean) == []
    with clock.frozen(NOW + timedelta(seconds=61)):
        assert len(await claim(clean)) == 4, "their leases have ended"


async def test_a_lease_that_is_kept_keeps_its_place(clean: Registry) -> None:
    await with_bounds(clean, Bounds(in_flight_max=2))
    with clock.frozen(NOW):
        await happen(4)
        kept, _ = leased(await claim(clean))
        await rows.extend([kept], NOW + timedelta(minutes=5))
    with clock.frozen(NOW + timedelta(minutes=2)):
        assert len(await claim(clean)) == 1


async def test_each_target_has_bounds_of_its_own(clean: Registry) -> None:
    clean.on(routed=True, name="routed", bounds=Bounds(in_flight_max=2))(leave_effect)
    for target in ("one", "two"):
        await lanes.route("routed", target, ["*"])
    await happen(5)
    assert sorted(one.target for one in await claim_at_once(clean)) == ["one", "one", "two", "two"]


async def test_so_many_are_started_in_a_minute_however_many_claim(clean: Registry) -> None:
    await with_bounds(clean, Bounds(per_minute=60))
    started = []
    with clock.frozen(NOW):
        await happen(300)
    for second in range(180):
        with clock.frozen(NOW + timedelta(seconds=second)):
            started.append(len(await claim_at_once(clean)))
    assert started[0] == 10, "a sixth at once"
    assert all(sum(started[first : first + 60]) <= 70 for first in range(120))
    assert 180 <= sum(started) <= 190, "and none is lost"


async def test_after_a_rest_no_more_than_a_sixth_of_a_minute_is_started_at_once(clean: Registry) -> None:
    await with_bounds(clean, Bounds(per_minute=30))
    with clock.frozen(NOW):
        await happen(50)
        assert len(await claim_at_once(clean)) == 5
        assert await claim_at_once(clean) == []
    with clock.frozen(NOW + timedelta(hours=5)):
        assert len(await claim_at_once(clean)) == 5
    with clock.frozen(NOW + timedelta(hours=5, seconds=1)):
        assert await claim_at_once(clean) == []
    with clock.frozen(NOW + timedelta(hours=5, seconds=2)):
        assert len(await claim_at_once(clean)) == 1


async def test_both_bounds_hold_together(clean: Registry) -> None:
    await with_bounds(clean, Bounds(in_flight_max=3, per_minute=60))
    with clock.frozen(NOW):
        await happen(50)
        first = leased(await claim_at_once(clean))
        assert len(first) == 3
        await rows.release(first, NOW + timedelta(days=1))
        assert [len(await claim_at_once(clean)) for _ in range(2)] == [3, 0]
    with clock.frozen(NOW + timedelta(seconds=61)):
        assert len(await claim_at_once(clean)) == 3
