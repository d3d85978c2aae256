"""Rule 9: points that expire by inactivity live on with what the program counts as activity, and with nothing else.

The clock starts when that is switched on: nobody loses points at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.domains.ledger.policy.types import ExpiryKind, ExpiryRound, MovedExpiry, PolicyTerms
from engage.domains.ledger.service import post_earnings, sweep_due
from engage.domains.ledger.types import Balance, Cause, Earning, TransferKind
from engage.domains.members.service import lock_members
from tests.ledger.books import NOON, STAFF, balance, earn, new_member, schedule, spend
from tests.ledger.publishing import program_with, publish, rolling
from tests.ledger.words import adjust, capture, donate, ends, freeze, gift, hold, merge, release, reverse, thaw

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)
NEXT_MIDNIGHT = datetime.fromisoformat("2026-03-11T00:00+00:00")
"""The end of the day of NOON: inactivity ends with a day at least."""


def idle(after: str = "P30D", *activities: TransferKind) -> PolicyTerms:
    counted = activities or (TransferKind.EARN, TransferKind.SPEND)
    return PolicyTerms(ExpiryKind.INACTIVITY, after, expiry_activities=counted)


def after(days: int) -> datetime:
    """The end that 30 days from so many days after NOON give."""
    return NEXT_MIDNIGHT + (30 + days) * DAY


async def test_earning_and_spending_move_all_points_on(member: UUID) -> None:
    program = await program_with(idle())
    with clock.frozen(NOON):
        await earn(member, program, 100)
        assert await ends(member, program) == [after(0)]
    with clock.frozen(NOON + 10 * DAY):
        await spend(member, program, 1)
        assert await ends(member, program) == [after(10)]
    with clock.frozen(NOON + 25 * DAY):
        await earn(member, program, 5)
        assert await ends(member, program) == [after(25), after(25)]
    with clock.frozen(after(25) - timedelta(microseconds=1)):
        assert await balance(member, program) == Balance(available=104)
    with clock.frozen(after(25)):
        assert await balance(member, program) == Balance()
        assert (await schedule(member, program)).total == 0


async def test_what_is_not_counted_moves_nothing_on(member: UUID) -> None:
    program, friend = await program_with(idle()), await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 100)
        spent = await spend(member, program, 10)
    with clock.frozen(NOON + 10 * DAY):
        held = await hold(member, program, 10)
        await capture(held.hold_id, 5)
        await donate(member, program, 5)
        await gift(member, friend, program, 5)
        await adjust(member, program, -5)
        await reverse(spent.transfer_id)
        assert await ends(member, program) == [after(0)]
        await adjust(member, program, 7)
        assert await ends(member, program) == [after(0), after(10)]


async def test_the_program_says_what_counts(member: UUID) -> None:
    program = await program_with(idle("P30D", TransferKind.DONATE, TransferKind.CAPTURE))
    with clock.frozen(NOON):
        await earn(member, program, 100)
    with clock.frozen(NOON + 5 * DAY):
        await earn(member, program, 5)
        await spend(member, program, 5)
        held = await hold(member, program, 10, deadline=NOON + 20 * DAY)
        assert await ends(member, program) == [after(0), after(5)]
    with clock.frozen(NOON + 7 * DAY):
        await donate(member, program, 1)
        assert await ends(member, program) == [after(7), after(7)]
    with clock.frozen(NOON + 9 * DAY):
        await capture(held.hold_id)
        assert await ends(member, program) == [after(9), after(9)]


async def test_activity_after_the_end_brings_nothing_back(member: UUID) -> None:
    program = await program_with(idle())
    with clock.frozen(NOON):
        await earn(member, program, 100)
    with clock.frozen(after(0)):  # unswept until then
        assert (await earn(member, program, 5)).balance == Balance(available=5)


async def test_pending_points_live_on_too(member: UUID) -> None:
    program = await program_with(idle())
    with clock.frozen(NOON):
        await earn(member, program, 100, usable_at=NOON + 2 * DAY)
        await earn(member, program, 7, usable_at=NOON + 60 * DAY)
    with clock.frozen(NOON + 31 * DAY):
        await earn(member, program, 5)
        assert await ends(member, program) == [after(31), after(31), after(60)]


async def test_held_points_live_on_with_activity(member: UUID) -> None:
    program = await program_with(idle())
    with clock.frozen(NOON):
        await earn(member, program, 100)
    with clock.frozen(NOON + 20 * DAY):
        held = await hold(member, program, 100, deadline=NOON + 45 * DAY)
    with clock.frozen(NOON + 25 * DAY):
        await earn(member, program, 5)
    with clock.frozen(NOON + 40 * DAY):
        assert (await release(held.hold_id, 60)).balance == Balance(available=65, held=40)
        assert await ends(member, program) == [after(25), after(25)]
    with clock.frozen(NOON + 45 * DAY):
        assert await balance(member, program) == Balance(available=105)


async def test_a_hold_that_counts_moves_on_what_it_holds(member: UUID) -> None:
    program = await program_with(idle("P30D", TransferKind.HOLD))
    with clock.frozen(NOON):
        await earn(member, program, 100)
    with clock.frozen(NOON + 10 * DAY):
        held = await hold(member, program, 100)
        await release(held.hold_id)
        assert await ends(member, program) == [after(10)]


async def test_held_points_that_have_ended_stay_so(member: UUID) -> None:
    program = await program_with(idle())
    with clock.frozen(NOON):
        await earn(member, program, 100)
        held = await hold(member, program, 100, deadline=NOON + 28 * DAY)
    with clock.frozen(NOON + 20 * DAY):
        assert await balance(member, program) == Balance(held=100)
    assert held.remaining == 100
    with clock.frozen(after(0)):
        await earn(member, program, 5)
        assert await balance(member, program) == Balance(available=5)


async def test_switching_it_on_takes_nothing_from_anyone(member: UUID) -> None:
    never, dated = await program_with(PolicyTerms(ExpiryKind.NEVER)), await program_with(rolling("P60D"))
    with clock.frozen(NOON - 1000 * DAY):
        await earn(member, never, 100)
    with clock.frozen(NOON - 10 * DAY):
        await earn(member, dated, 100)
    with clock.frozen(NOON):
        for program in (never, dated):
            await publish(program, idle("P1D"))
            assert (await balance(member, program)).available == 100
    with clock.frozen(NOON + 40 * DAY):  # what was given with an end keeps it, what was given without has none
        while await sweep_due(100):
            pass
        for program, end in ((never, None), (dated, NOON + 50 * DAY)):
            assert (await balance(member, program)).available == 100
            assert (await earn(member, program, 5)).balance.available == 105
            assert end in await ends(member, program)
    with clock.frozen(NOON + 43 * DAY):
        assert (await balance(member, never)).available == 100


async def test_activity_never_shortens_what_points_have(member: UUID) -> None:
    program = await program_with(idle("P60D"))
    with clock.frozen(NOON):
        await earn(member, program, 100)
        await publish(program, idle("P10D"))
        await spend(member, program, 1)
        assert await ends(member, program) == [NEXT_MIDNIGHT + 60 * DAY]
        await earn(member, program, 1)
        assert await ends(member, program) == [NEXT_MIDNIGHT + 10 * DAY, NEXT_MIDNIGHT + 60 * DAY]


async def test_points_with_an_end_of_their_own_do_not_live_on(member: UUID) -> None:
    program = await program_with(idle())
    with clock.frozen(NOON):
        await earn(member, program, 100, expires_at=NOON + 3 * DAY)
        await earn(member, program, 5)
    with clock.frozen(NOON + DAY):
        await spend(member, program, 1)
        assert await ends(member, program) == [NOON + 3 * DAY, after(1)]


async def test_the_end_is_rounded_in_the_programs_zone(member: UUID) -> None:
    program = await program_with(PolicyTerms(ExpiryKind.INACTIVITY, "P1M", ExpiryRound.MONTH), zone="Asia/Shanghai")
    with clock.frozen(datetime.fromisoformat("2026-01-31T23:00+08:00")):
        await earn(member, program, 100)
        assert await ends(member, program) == [datetime.fromisoformat("2026-03-01T00:00+08:00")]
    with clock.frozen(datetime.fromisoformat("2026-02-28T23:59+08:00")):
        await spend(member, program, 1)
        assert await ends(member, program) == [datetime.fromisoformat("2026-04-01T00:00+08:00")]


async def test_given_and_merged_points_live_on_with_who_has_them(member: UUID) -> None:
    program = await program_with(idle())
    renewing = await program_with(PolicyTerms(ExpiryKind.INACTIVITY, "P30D", gift_expiry=MovedExpiry.RENEW))
    friend, survivor = await new_member(), await new_member()
    with clock.frozen(NOON):
        for one in (program, renewing):
            await earn(member, one, 100)
    with clock.frozen(NOON + 5 * DAY):
        for one, days in ((program, 0), (renewing, 5)):
            await gift(member, friend, one, 40)
            assert await ends(friend, one) == [after(days)]
    with clock.frozen(NOON + 10 * DAY):
        await spend(friend, program, 1)
        assert await ends(friend, program) == [after(10)]
        assert await ends(member, program) == [after(0)]
        await merge(member, survivor)
        await earn(survivor, program, 1)
        assert await ends(survivor, program) == [after(10), after(10)]


async def test_bulk_earnings_count_for_each_member(member: UUID) -> None:
    program, other = await program_with(idle()), await new_member()
    with clock.frozen(NOON):
        for one in (member, other):
            await earn(one, program, 10)

    @db.command
    async def post() -> None:
        await lock_members([member])
        await post_earnings(STAFF, program, [Earning(member, 5, Cause("purchase", "A-1"), clock.now())])

    with clock.frozen(NOON + 10 * DAY):
        await post()
    assert await ends(member, program) == [after(10), after(10)]
    assert await ends(other, program) == [after(0)]


async def test_the_frozen_lose_nothing_by_inactivity(member: UUID) -> None:
    program = await program_with(idle())
    with clock.frozen(NOON):
        await earn(member, program, 100)
    with clock.frozen(NOON + 10 * DAY):
        await freeze(member)
    with clock.frozen(NOON + 90 * DAY):
        assert await balance(member, program) == Balance(available=100)
        await thaw(member)
        assert await ends(member, program) == [after(80)]
