"""Members who are not active. Frozen: earnings arrive, nothing goes, and time stands still for what they have.

After the thaw, ends and deadlines have moved by as long as they stood still. Suspended and cancelled members do
nothing themselves; corrections and penalties go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock
from engage.domains.ledger.errors import HoldNotOpen, MemberNotActive
from engage.domains.ledger.policy.types import ReturnedKind
from engage.domains.ledger.service import sweep_due
from engage.domains.ledger.types import Balance, ExpiryLine, Shortfall
from tests.ledger.books import (
    NOON,
    amounts,
    balance,
    earn,
    everything,
    new_member,
    new_program,
    schedule,
    spend,
    statement,
)
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import (
    accept,
    adjust,
    capture,
    claw,
    confirm,
    decline,
    deduct,
    donate,
    ends,
    exchange,
    freeze,
    gift,
    hold,
    merge,
    publish_rate,
    put,
    release,
    restore,
    reverse,
    take_back,
    thaw,
    top_up,
    value,
)

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
async def nothing_due(member: UUID) -> None:
    """Leave no work of other tests to the sweeps of this one."""
    assert isinstance(member, UUID)
    with clock.frozen(NOON + 4000 * DAY):
        while await sweep_due(1000):
            pass


async def own_commands(member: UUID, program: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What a member does with their own points, each ready to be called."""
    friend, other = await new_member(), await new_program()
    await publish_rate(program, other, 1, 1)
    held = await hold(member, program, 5)
    return {
        "spend": lambda: spend(member, program, 1),
        "donate": lambda: donate(member, program, 1),
        "hold": lambda: hold(member, program, 1),
        "capture": lambda: capture(held.hold_id, 1),
        "gift": lambda: gift(member, friend, program, 1),
        "receive": lambda: gift(friend, member, program, 1),
        "exchange": lambda: exchange(member, program, other, 1),
    }


@pytest.mark.parametrize("state", ["FROZEN", "SUSPENDED", "CANCELLED"])
async def test_nothing_goes_from_members_who_are_not_active(member: UUID, program: str, state: str) -> None:
    await earn(member, program, 100)
    commands = await own_commands(member, program)
    await (freeze(member) if state == "FROZEN" else put(member, state))
    before = await everything()
    for name, command in commands.items():
        with pytest.raises(MemberNotActive) as caught:
            await command()
        assert caught.value.path == [{"receive": "recipientId", "capture": "holdId"}.get(name, "memberId")]
        assert caught.value.extras == {"state": state}
    assert await everything() == before


@pytest.mark.parametrize("state", ["FROZEN", "SUSPENDED", "CANCELLED"])
async def test_corrections_and_penalties_go_on(member: UUID, program: str, state: str) -> None:
    earned = await earn(member, program, 100)
    spent = await spend(member, program, 20)
    held = await hold(member, program, 30)
    await (freeze(member) if state == "FROZEN" else put(member, state))
    await reverse(spent.transfer_id)
    taken = await deduct(member, program, 90, from_held=True, shortfall=Shortfall.DEBT)
    assert taken.balance == Balance(available=0, held=10)
    assert (await restore(taken.transfer_id)).balance == Balance(available=90, held=10)
    assert (await release(held.hold_id)).balance == Balance(available=100)
    assert (await take_back(earned.transfer_id, 10)).balance == Balance(available=90)
    assert (await claw(member, program, 10)).balance == Balance(available=80)
    await adjust(member, program, 7)
    await adjust(member, program, -2)
    assert await balance(member, program) == Balance(available=85)


async def test_earnings_arrive_with_the_frozen_and_not_with_others(member: UUID, program: str) -> None:
    await claw(member, program, 5)
    waiting = await earn(member, program, 40, on_confirmation=True)
    await freeze(member)
    assert (await earn(member, program, 8)).balance == Balance(available=3, pending=40)
    assert (await confirm(waiting.transfer_id)).balance == Balance(available=43)
    await top_up(member, program, 500)
    assert await value(member, program) == Balance(available=500)
    for state in ("SUSPENDED", "CANCELLED"):
        other = await new_member(state)
        for command in (earn, top_up):
            with pytest.raises(MemberNotActive):
                await command(other, program, 1)


async def test_points_of_the_frozen_do_not_expire_swept_or_not(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + 10 * DAY)
        await earn(member, program, 20, expires_at=NOON + 2 * DAY)
    with clock.frozen(NOON + 5 * DAY):
        await freeze(member)
    with clock.frozen(NOON + 50 * DAY):
        # What had expired before the freeze has, swept or not.
        assert await balance(member, program) == Balance(available=10)
        assert (await schedule(member, program)).total == 10
        assert await sweep_due(100) == 1
        assert amounts(await statement(member, program)) == [-20, 20, 10]
        assert await sweep_due(100) == 0  # and does not come again for what stands still
        assert await balance(member, program) == Balance(available=10)
        assert (await earn(member, program, 5)).balance == Balance(available=15)
        assert await sweep_due(100) == 0
        await thaw(member)
        assert await ends(member, program) == [NOON + 55 * DAY, None]
    with clock.frozen(NOON + 55 * DAY - INSTANT):
        assert await balance(member, program) == Balance(available=15)
        assert (await schedule(member, program)).lines == (ExpiryLine((NOON + 55 * DAY).date(), 10),)
    with clock.frozen(NOON + 55 * DAY):
        assert await balance(member, program) == Balance(available=5)
        assert await sweep_due(100) == 1
        assert await balance(member, program) == Balance(available=5)


async def test_what_was_due_before_the_freeze_is_posted_after_the_thaw(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        await earn(member, program, 5, usable_at=NOON + 3 * DAY)
    with clock.frozen(NOON + 2 * DAY):
        await freeze(member)
    with clock.frozen(NOON + 4 * DAY):
        await thaw(member)
        assert await balance(member, program) == Balance(available=5)
        assert (await spend(member, program, 5)).balance == Balance()


async def test_a_freeze_at_the_very_moment_comes_too_late(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        await hold(member, program, 4, deadline=NOON + DAY)
    with clock.frozen(NOON + DAY):
        await freeze(member)
        assert await balance(member, program) == Balance()
    with clock.frozen(NOON + 2 * DAY):
        assert await balance(member, program) == Balance()
        assert await sweep_due(100) == 1
        await thaw(member)
        assert await balance(member, program) == Balance()


async def test_pending_points_mature_for_the_frozen_and_pay_debt(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await claw(member, program, 4)
        await earn(member, program, 10, usable_at=NOON + 2 * DAY, expires_at=NOON + 5 * DAY)
    with clock.frozen(NOON + DAY):
        await freeze(member)
    with clock.frozen(NOON + 9 * DAY):
        assert await balance(member, program) == Balance(available=6)
        assert await sweep_due(100) == 1
        assert await sweep_due(100) == 0
        assert await balance(member, program) == Balance(available=6)
        await thaw(member)
        assert await ends(member, program) == [NOON + 12 * DAY]  # three days from when they could be used


async def test_deadlines_stand_still_and_go_on(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)
        held = await hold(member, program, 4, deadline=NOON + 3 * DAY)
        await hold(member, program, 1, deadline=NOON + DAY)
    with clock.frozen(NOON + 2 * DAY):
        await freeze(member)
    with clock.frozen(NOON + 20 * DAY):
        assert await balance(member, program) == Balance(available=6, held=4)
        assert await sweep_due(100) == 1
        assert await sweep_due(100) == 0
        assert await balance(member, program) == Balance(available=6, held=4)
        await thaw(member)
    with clock.frozen(NOON + 21 * DAY - INSTANT):
        assert await balance(member, program) == Balance(available=6, held=4)
        captured = await capture(held.hold_id, 3, keep_rest=True)
        assert (captured.deadline, captured.balance) == (NOON + 21 * DAY, Balance(available=6, held=1))
    with clock.frozen(NOON + 21 * DAY):
        assert await balance(member, program) == Balance(available=7)
        with pytest.raises(HoldNotOpen):
            await capture(held.hold_id)


async def test_an_offer_of_the_frozen_stands_still_and_goes_on(member: UUID) -> None:
    program, friend = await program_with(rolling(gift_accept_within="P3D")), await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 10)
        offers = [await gift(member, friend, program, 2) for _ in range(2)]
    with clock.frozen(NOON + DAY):
        await freeze(member)
    with clock.frozen(NOON + 10 * DAY):
        with pytest.raises(MemberNotActive):
            await accept(offers[0].gift_id)
        assert (await decline(offers[0].gift_id)).balance == Balance(available=8, held=2)
        await thaw(member)
    with clock.frozen(NOON + 12 * DAY - INSTANT):
        assert (await accept(offers[1].gift_id)).deadline == NOON + 12 * DAY


async def test_points_earned_while_frozen_stand_still_from_then_on(member: UUID) -> None:
    program = await program_with(rolling("P30D"))
    with clock.frozen(NOON):
        await earn(member, program, 10)
        await freeze(member)
    with clock.frozen(NOON + 8 * DAY):
        await earn(member, program, 5)
    with clock.frozen(NOON + 10 * DAY):
        await thaw(member)
        assert await ends(member, program) == [NOON + 40 * DAY, NOON + 40 * DAY]


async def test_what_becomes_usable_after_the_thaw_has_not_stood_still(member: UUID) -> None:
    program = await program_with(rolling("P30D"))
    with clock.frozen(NOON):
        await earn(member, program, 10, usable_at=NOON + 20 * DAY)
        await freeze(member)
    with clock.frozen(NOON + 10 * DAY):
        await thaw(member)
        assert await ends(member, program) == [NOON + 50 * DAY]


async def test_held_points_stand_still_with_their_hold(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + 5 * DAY)
        held = await hold(member, program, 10, deadline=NOON + 9 * DAY)
        await freeze(member)
    with clock.frozen(NOON + 7 * DAY):
        assert (await release(held.hold_id, 3)).balance == Balance(available=3, held=7)
        assert await sweep_due(100) == 0
        await thaw(member)
        assert (await release(held.hold_id)).balance == Balance(available=10)
        assert await ends(member, program) == [NOON + 12 * DAY]


async def test_points_that_come_back_while_frozen_have_their_grace_after_the_thaw(member: UUID) -> None:
    program = await program_with(rolling("P5Y", returned_kind=ReturnedKind.REISSUED, returned_grace="P7D"))
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        await earn(member, program, 20, expires_at=NOON + 4 * DAY)
        spent = await spend(member, program, 30)
    with clock.frozen(NOON + 2 * DAY):
        await freeze(member)
    with clock.frozen(NOON + 9 * DAY):
        assert (await reverse(spent.transfer_id)).balance == Balance(available=30)
        assert await sweep_due(100) == 0
    with clock.frozen(NOON + 12 * DAY):
        await thaw(member)
        # 20 had two days left when they were frozen; 10 had ended, and are good for seven.
        assert await ends(member, program) == [NOON + 14 * DAY, NOON + 19 * DAY]


async def test_points_that_come_back_after_the_thaw_stood_still_too(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + 5 * DAY)
        spent = await spend(member, program, 10)
    with clock.frozen(NOON + 2 * DAY):
        await freeze(member)
    with clock.frozen(NOON + 9 * DAY):
        await thaw(member)
        assert (await reverse(spent.transfer_id)).balance == Balance(available=10)
        assert await ends(member, program) == [NOON + 12 * DAY]


async def test_all_programs_and_stored_value_stand_still(member: UUID) -> None:
    programs = [await program_with(rolling("P10D")) for _ in range(2)]
    with clock.frozen(NOON):
        for program in programs:
            await earn(member, program, 10)
        await top_up(member, programs[0], 500)
        await freeze(member)
    with clock.frozen(NOON + 20 * DAY):
        await thaw(member)
        assert [await ends(member, program) for program in programs] == [[NOON + 30 * DAY]] * 2
        assert await value(member, programs[0]) == Balance(available=500)


async def test_freezing_twice_adds_up(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + 10 * DAY)
    for begin, end in ((1, 4), (6, 11)):
        with clock.frozen(NOON + begin * DAY):
            await freeze(member)
        with clock.frozen(NOON + end * DAY):
            await thaw(member)
    assert await ends(member, program) == [NOON + 18 * DAY]


async def test_the_sweep_ends_though_many_are_frozen(program: str) -> None:
    members = [await new_member() for _ in range(5)]
    with clock.frozen(NOON):
        for one in members:
            await earn(one, program, 10, expires_at=NOON + DAY)
            await hold(one, program, 5, deadline=NOON + DAY)
            await freeze(one)
    with clock.frozen(NOON + 9 * DAY):
        swept = [await sweep_due(2) for _ in range(5)]
        assert swept == [2, 2, 1, 0, 0]
        for one in members:
            assert await balance(one, program) == Balance(available=5, held=5)
            assert len(await statement(one, program)) == 2


async def test_members_who_have_left_expire_as_ever(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        await put(member, "CANCELLED")
    with clock.frozen(NOON + DAY):
        assert await balance(member, program) == Balance()
        assert await sweep_due(100) == 1


async def test_a_merge_with_a_frozen_member_keeps_what_stood_still(member: UUID, program: str) -> None:
    survivor = await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + 5 * DAY)
        await freeze(survivor)
    with clock.frozen(NOON + 2 * DAY):
        await merge(member, survivor)
    with clock.frozen(NOON + 9 * DAY):
        assert await balance(survivor, program) == Balance(available=10)
        await thaw(survivor)
        assert (await balance(survivor, program)).available == 10
