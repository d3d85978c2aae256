"""What time does to points: pending ones become usable, others expire, and no balance waits for a sweep."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.domains.ledger.errors import InsufficientPoints
from engage.domains.ledger.service import post_earnings, sweep_due
from engage.domains.ledger.types import Balance, Cause, Earning
from engage.domains.members.service import lock_members
from tests.ledger.books import (
    NOON,
    STAFF,
    amounts,
    assert_whole,
    balance,
    earn,
    events,
    everything,
    lots,
    new_member,
    new_program,
    schedule,
    spend,
    statement,
)

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
async def nothing_due(member: UUID) -> None:
    """Leave no work of other tests to the sweeps of this one."""
    assert isinstance(member, UUID)
    with clock.frozen(NOON + 4000 * DAY):
        while await sweep_due(1000):
            pass


async def test_pending_points_become_usable_without_any_sweep(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        posted = await earn(member, program, 40, usable_at=NOON + DAY)
        assert posted.balance == Balance(pending=40)
        with pytest.raises(InsufficientPoints):
            await spend(member, program, 1)
    with clock.frozen(NOON + DAY - timedelta(microseconds=1)):
        assert await balance(member, program) == Balance(pending=40)
    with clock.frozen(NOON + DAY):
        before = await everything()
        assert await balance(member, program) == Balance(available=40)
        assert (await schedule(member, program)).total == 40
        assert await everything() == before
        assert (await spend(member, program, 15)).balance == Balance(available=25)
    assert [name.split(".")[1] for _, name, _ in await events(member)] == [
        "points_earned", "points_matured", "points_spent",
    ]  # fmt: skip
    assert amounts(await statement(member, program)) == [-15, 40, 40]
    await assert_whole()


async def test_points_are_gone_at_the_moment_they_expire(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 40, expires_at=NOON + DAY)
        await earn(member, program, 5)
    with clock.frozen(NOON + DAY - timedelta(microseconds=1)):
        assert (await balance(member, program)).available == 45
    with clock.frozen(NOON + DAY):
        before = await everything()
        assert await balance(member, program) == Balance(available=5)
        assert (await schedule(member, program)).total == 5
        assert await everything() == before


async def test_a_spend_settles_first_and_keeps_that_even_when_refused(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 40, expires_at=NOON + DAY)
        await earn(member, program, 5, usable_at=NOON + DAY)
    with clock.frozen(NOON + DAY):
        with pytest.raises(InsufficientPoints) as caught:
            await spend(member, program, 6, "too much")
        assert caught.value.extras == {"available": 5, "required": 6}
        assert [one.kind for one in await statement(member, program)] == ["EXPIRE", "MATURE", "EARN", "EARN"]
        await assert_whole()
        assert (await spend(member, program, 5, "right")).balance == Balance()
    assert [position for position, *_ in await events(member)] == [1, 2, 3, 4, 5]


async def test_a_repeated_earning_finds_its_answer_when_its_points_have_expired(member: UUID, program: str) -> None:
    window = {"usable_at": NOON + DAY, "expires_at": NOON + 2 * DAY}
    with clock.frozen(NOON):
        first = await earn(member, program, 40, "late repetition", **window)
    with clock.frozen(NOON + 5 * DAY):
        again = await earn(member, program, 40, "late repetition", **window)
    assert (again.replayed, again.transfer_id, again.balance) == (True, first.transfer_id, Balance(pending=40))


async def test_an_earning_settles_first(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 40, expires_at=NOON + DAY)
    with clock.frozen(NOON + DAY):
        assert (await earn(member, program, 1)).balance == Balance(available=1)
    assert amounts(await statement(member, program)) == [1, -40, 40]
    await assert_whole()


async def test_points_that_were_pending_beyond_their_expiry_mature_and_expire_at_once(
    member: UUID, program: str
) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 40, usable_at=NOON + DAY, expires_at=NOON + 2 * DAY)
    with clock.frozen(NOON + 3 * DAY):
        assert await balance(member, program) == Balance()
        assert await sweep_due(10) == 1
    assert [one.kind for one in await statement(member, program)] == ["EXPIRE", "MATURE", "EARN"]
    assert await lots(member, program) == [("CLOSED", 40, 0)]
    await assert_whole()


async def test_what_expired_before_it_was_recorded_is_issued_and_expired(member: UUID) -> None:
    program = await new_program(valid_for="P1Y")

    @db.command
    async def post() -> None:
        await lock_members([member])
        lines = [
            Earning(member, 10, Cause("purchase", str(UUID(int=1))), NOON - 400 * DAY),
            Earning(member, 7, Cause("purchase", str(UUID(int=2))), NOON - 10 * DAY),
        ]
        posted = await post_earnings(STAFF, program, lines)
        found = [posted.find(nth) for nth in (0, 1)]
        assert [one and (one.amount, one.balance.available) for one in found] == [(10, 7), (7, 7)]
        assert posted.expired == 10

    with clock.frozen(NOON):
        await post()
        assert await balance(member, program) == Balance(available=7)
    assert amounts(await statement(member, program)) == [-10, 7, 10]
    assert [name.split(".")[1] for _, name, _ in await events(member)] == [
        "points_earned", "points_earned", "points_expired",
    ]  # fmt: skip
    await assert_whole()


async def test_the_sweep_goes_in_bounded_batches_with_one_event_a_member(program: str) -> None:
    members = [await new_member() for _ in range(5)]
    with clock.frozen(NOON):
        for one in members:
            for amount in (10, 20, 30):
                await earn(one, program, amount, expires_at=NOON + DAY)
        assert await sweep_due(10) == 0
    with clock.frozen(NOON + 2 * DAY):
        assert [await sweep_due(2) for _ in range(4)] == [2, 2, 1, 0]
    for one in members:
        last = (await events(one))[-1]
        assert (last[:2], last[2]["amount"]) == ((4, "ledger.points_expired.v1"), -60)
        assert await lots(one, program) == [("CLOSED", 10, 0), ("CLOSED", 20, 0), ("CLOSED", 30, 0)]
    await assert_whole()


async def test_the_sweep_does_not_wait_for_members_at_work(program: str) -> None:
    busy, idle = await new_member(), await new_member()
    with clock.frozen(NOON):
        for one in (busy, idle):
            await earn(one, program, 10, expires_at=NOON + DAY)
    held, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with db.transaction():
            await lock_members([busy])
            held.set()
            await done.wait()

    with clock.frozen(NOON + DAY):
        working = asyncio.create_task(work())
        await held.wait()
        assert await sweep_due(10) == 1
        assert amounts(await statement(idle, program)) == [-10, 10]
        assert amounts(await statement(busy, program)) == [10]
        assert await sweep_due(10) == 0
        done.set()
        await working
        assert await sweep_due(10) == 1
        assert amounts(await statement(busy, program)) == [-10, 10]


@pytest.mark.parametrize(
    ("zone", "valid_for", "earned", "expires"),
    [
        # Midnight in Shanghai is 16:00 of the day before in UTC.
        ("Asia/Shanghai", "P1M", datetime(2026, 1, 30, 17, tzinfo=UTC), datetime(2026, 2, 27, 17, tzinfo=UTC)),
        ("UTC", "P1M", datetime(2026, 1, 31, 9, tzinfo=UTC), datetime(2026, 2, 28, 9, tzinfo=UTC)),
        ("UTC", "P1M", datetime(2028, 1, 31, 9, tzinfo=UTC), datetime(2028, 2, 29, 9, tzinfo=UTC)),
        ("UTC", "P1Y", datetime(2028, 2, 29, 9, tzinfo=UTC), datetime(2029, 2, 28, 9, tzinfo=UTC)),
        # Clocks in Berlin go forward on 29 March 2026: noon stays noon there.
        ("Europe/Berlin", "P1D", datetime(2026, 3, 28, 11, tzinfo=UTC), datetime(2026, 3, 29, 10, tzinfo=UTC)),
        ("Europe/Berlin", "P12M", datetime(2025, 8, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)),
        ("UTC", "P1Y2M3W4D", datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 3, 26, tzinfo=UTC)),
        ("America/New_York", None, datetime(2026, 1, 31, tzinfo=UTC), None),
    ],
)
async def test_points_expire_by_the_calendar_of_the_program(
    member: UUID, zone: str, valid_for: str | None, earned: datetime, expires: datetime | None
) -> None:
    program = await new_program(zone=zone, valid_for=valid_for)
    with clock.frozen(earned):
        await earn(member, program, 1)
    assert await db.fetch_value("SELECT expires_at FROM lots WHERE member_id = $1", member) == expires


async def test_points_are_valid_from_when_they_can_be_used(member: UUID) -> None:
    program = await new_program(valid_for="P1M")
    usable_at = datetime(2026, 6, 30, tzinfo=UTC)
    with clock.frozen(NOON):
        await earn(member, program, 1, usable_at=usable_at)
    assert await db.fetch_value("SELECT expires_at FROM lots WHERE member_id = $1", member) == datetime(
        2026, 7, 30, tzinfo=UTC
    )


async def test_an_expiry_by_hand_goes_before_the_policy(member: UUID) -> None:
    program = await new_program(valid_for="P1M")
    with clock.frozen(NOON):
        await earn(member, program, 1, expires_at=NOON + 500 * DAY)
    assert await db.fetch_value("SELECT expires_at FROM lots WHERE member_id = $1", member) == NOON + 500 * DAY
