"""Faults of the kernel that verification has found, each as small as it can be told."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.domains.ledger import service
from engage.domains.ledger.errors import GiftDecided, NotPending
from engage.domains.ledger.types import Balance
from tests.ledger.books import NOON, assert_whole, balance, earn, new_member, spend
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import accept, capture, confirm, deduct, freeze, gift, hold, merge, release, take_back

DAY = timedelta(days=1)


@pytest.mark.parametrize(("amount", "back"), [(35, 6), (41, 0)])
async def test_an_offer_whose_points_are_taken_as_a_penalty_is_withdrawn(
    member: UUID, amount: int, back: int
) -> None:
    program = await program_with(rolling(gift_accept_within="P3D", gift_fee_fixed=1))
    recipient = await new_member()
    await earn(member, program, 41)
    offer = await gift(member, recipient, program, 20)
    taken = await deduct(member, program, amount, from_held=True)
    assert (taken.taken, taken.balance) == (amount, Balance(available=back))
    with pytest.raises(GiftDecided) as caught:
        await accept(offer.gift_id)
    assert caught.value.extras["state"] == "WITHDRAWN"
    assert await balance(member, program) == Balance(available=back)
    await assert_whole()


async def test_points_of_a_frozen_member_expire_with_the_survivor(member: UUID, program: str) -> None:
    survivor = await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 50, expires_at=NOON + 5 * DAY)
        await freeze(member)
    with clock.frozen(NOON + 6 * DAY):
        while await service.sweep_due(10):
            pass
        await merge(member, survivor)
        assert await balance(survivor, program) == Balance(available=50)
        await assert_whole()
    with clock.frozen(NOON + 11 * DAY):
        assert await balance(survivor, program) == Balance()
        while await service.sweep_due(10):
            pass
        await assert_whole()


async def test_only_an_earning_is_confirmed(member: UUID, program: str) -> None:
    survivor = await new_member()
    earned = await earn(member, program, 50, on_confirmation=True)
    await merge(member, survivor)
    merged = await db.fetch_value("SELECT id FROM transfers WHERE kind = 'MERGE_IN' AND member_id = $1", survivor)
    with pytest.raises(NotPending):
        await confirm(merged)
    await confirm(earned.transfer_id)
    assert await balance(survivor, program) == Balance(available=50)
    await assert_whole()


async def test_used_up_points_of_a_merged_member_may_be_owed_by_the_survivor(member: UUID, program: str) -> None:
    """Their lot stays where it was, since nothing of it is left to be carried over."""
    survivor = await new_member()
    earned = await earn(member, program, 10)
    await spend(member, program, 10)
    await earn(member, program, 1)
    await merge(member, survivor)
    owed = await take_back(earned.transfer_id)
    assert (owed.taken, owed.debt, owed.balance) == (1, 9, Balance(debt=9))
    await assert_whole()


@pytest.mark.parametrize("captured_last", [True, False])
async def test_what_ends_a_hold_may_have_a_clock_that_is_behind(
    member: UUID, program: str, *, captured_last: bool
) -> None:
    """Two gateways never agree to the microsecond, and a command may wait for the one that began after it."""
    with clock.frozen(NOON):
        await earn(member, program, 10)
        held = await hold(member, program, 10, deadline=NOON + DAY)
    with clock.frozen(NOON + timedelta(seconds=2)):
        await (release(held.hold_id, 4) if captured_last else capture(held.hold_id, 4, keep_rest=True))
    with clock.frozen(NOON + timedelta(seconds=1)):
        await (capture if captured_last else release)(held.hold_id, 6)
    [row] = await db.fetch("SELECT state, closed_at FROM holds WHERE id = $1", held.hold_id)
    assert tuple(row) == ("CAPTURED" if captured_last else "RELEASED", NOON + timedelta(seconds=1))
    await assert_whole()


async def test_a_penalty_that_ends_a_hold_may_have_a_clock_that_is_behind(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)
        held = await hold(member, program, 10, deadline=NOON + DAY)
    with clock.frozen(NOON + timedelta(seconds=2)):
        await capture(held.hold_id, 4, keep_rest=True)
    with clock.frozen(NOON + timedelta(seconds=1)):
        await deduct(member, program, 6, from_held=True)
    await assert_whole()


async def test_a_penalty_takes_of_the_survivors_holds_before_those_that_came_by_a_merge(
    member: UUID, program: str
) -> None:
    """A hold that a penalty had ended stays with who was absorbed; what the other one lost since is told once."""
    survivor, minute = await new_member(), timedelta(minutes=1)
    with clock.frozen(NOON):
        await earn(member, program, 30)
        moved = await hold(member, program, 10, deadline=NOON + DAY)
    with clock.frozen(NOON + minute):
        await hold(member, program, 20, deadline=NOON + DAY)
        await deduct(member, program, 20, from_held=True)
    with clock.frozen(NOON + 2 * minute):
        await earn(survivor, program, 30)
        own = await hold(survivor, program, 30, deadline=NOON + DAY)
        await merge(member, survivor)
    with clock.frozen(NOON + 3 * minute):
        await deduct(survivor, program, 6, from_held=True)
    left = dict(await db.fetch("SELECT id, remaining FROM holds WHERE account_id IN (SELECT id FROM accounts"
                               " WHERE member_id = $1)", survivor))  # fmt: skip
    assert left == {moved.hold_id: 10, own.hold_id: 24}
    await assert_whole()
