"""Rules 3, 5 and 7: an earning is taken back from its own lot first, whoever holds that now, then from other points.

What is spent already becomes debt and is never silently skipped: later earnings pay it first, and points that come
back pay only the debt of their own cause.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.domains.ledger.errors import BalanceLimit, ExceedsReversible, InsufficientPoints
from engage.domains.ledger.types import POINTS_MAX, Balance, Shortfall, TakenPosted
from engage.domains.members.service import lock_members
from tests.ledger.books import (
    NOON,
    amounts,
    balance,
    earn,
    events,
    everything,
    lots,
    new_member,
    spend,
    statement,
)
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import adjust, claw, deduct, gift, hold, left, merge, reverse, take_back, tried

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)


def figures(taken: TakenPosted) -> tuple[int, int, int]:
    return taken.taken, taken.shortfall, taken.debt


async def owed(member: UUID) -> list[tuple[int, int]]:
    """Amount and remaining of each debt, the oldest first."""
    sql = (
        "SELECT d.amount, d.remaining FROM debts d JOIN transfers t ON t.id = d.id"
        " JOIN accounts a ON a.id = d.account_id WHERE a.member_id = $1 ORDER BY t.version_after"
    )
    return [tuple(row) for row in await db.fetch(sql, member)]


async def test_an_earning_is_taken_back_from_its_own_lot_first(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 50, expires_at=NOON + DAY)
        earned = await earn(member, program, 30)
        taken = await take_back(earned.transfer_id)
    assert figures(taken) == (30, 0, 0)
    assert (taken.kind, taken.amount, taken.balance) == ("CLAWBACK", -30, Balance(available=50))
    assert await left(member, program) == [50, 0]


async def test_then_from_other_points_in_the_order_of_spending_then_as_debt(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        earned = await earn(member, program, 30, expires_at=NOON + DAY)
        await earn(member, program, 5, expires_at=NOON + 3 * DAY)
        await earn(member, program, 7, expires_at=NOON + 2 * DAY)
        await spend(member, program, 20)
        taken = await take_back(earned.transfer_id, 18)
        assert figures(taken) == (18, 0, 0)
        assert await left(member, program) == [0, 4, 0]
        taken = await take_back(earned.transfer_id)
    assert figures(taken) == (4, 8, 8)
    assert (taken.amount, taken.balance) == (-12, Balance(debt=8))
    assert (await events(member))[-1][2]["balance"] == {"available": 0, "pending": 0, "held": 0, "debt": 8}
    with pytest.raises(ExceedsReversible):
        await take_back(earned.transfer_id)


async def test_pending_and_added_points_are_taken_back_from_their_lot(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        later = await earn(member, program, 30, usable_at=NOON + DAY)
        added = (await adjust(member, program, 10)).posted
        assert added
        assert (await take_back(later.transfer_id, 20)).balance == Balance(available=10, pending=10)
        assert (await take_back(added.transfer_id, 4)).balance == Balance(available=6, pending=10)


async def test_a_shortfall_is_refused_forgone_or_owed_as_the_caller_says(member: UUID, program: str) -> None:
    earned = await earn(member, program, 30)
    await spend(member, program, 20)
    before = await everything()
    with pytest.raises(InsufficientPoints) as caught:
        await take_back(earned.transfer_id, shortfall=Shortfall.REFUSE)
    assert caught.value.extras == {"available": 10, "required": 30}
    assert await everything() == before
    forgone = await take_back(earned.transfer_id, shortfall=Shortfall.FORGO)
    assert (figures(forgone), forgone.balance) == ((10, 20, 0), Balance())
    owing = await take_back(earned.transfer_id, shortfall=Shortfall.DEBT)  # what was forgone is left to take back
    assert (figures(owing), owing.balance) == ((0, 20, 20), Balance(debt=20))
    with pytest.raises(ExceedsReversible):
        await take_back(earned.transfer_id, shortfall=Shortfall.FORGO)


async def test_a_clawback_without_an_earning_takes_and_owes_too(member: UUID, program: str) -> None:
    assert figures(await claw(member, program, 10)) == (0, 10, 10)  # who never had a point can owe
    other = await new_member()
    await earn(other, program, 30)
    assert figures(await claw(other, program, 25)) == (25, 0, 0)
    assert figures(await claw(other, program, 25, shortfall=Shortfall.FORGO)) == (5, 20, 0)
    with pytest.raises(InsufficientPoints):
        await claw(other, program, 1, shortfall=Shortfall.FORGO)
    assert await balance(other, program) == Balance()


async def test_a_later_earning_pays_debt_first_out_of_a_whole_lot(member: UUID, program: str) -> None:
    earned = await earn(member, program, 30)
    await spend(member, program, 30)
    await take_back(earned.transfer_id)
    paid = await earn(member, program, 20)
    assert paid.balance == Balance(debt=10)
    rest = await earn(member, program, 25)
    assert rest.balance == Balance(available=15)
    assert await lots(member, program) == [("CLOSED", 30, 0), ("CLOSED", 20, 0), ("OPEN", 25, 15)]
    records = await statement(member, program)
    assert [(one.kind, one.amount) for one in records[:4]] == [
        ("DEBT_PAID", -10), ("EARN", 25), ("DEBT_PAID", -20), ("EARN", 20),
    ]  # fmt: skip
    assert {records[0].refers_id, records[2].refers_id} == {records[4].id}
    lot_paid = "SELECT l.source_id FROM allocations a JOIN lots l ON l.id = a.lot_id WHERE a.transfer_id = $1"
    assert await db.fetch_value(lot_paid, records[0].id) == rest.transfer_id
    assert [name.split(".")[1] for _, name, _ in await events(member)][-2:] == ["points_earned", "debt_paid"]


async def test_an_earning_that_paid_debt_is_taken_back_like_any_other(member: UUID, program: str) -> None:
    first = await earn(member, program, 30)
    await spend(member, program, 30)
    await take_back(first.transfer_id)
    second = await earn(member, program, 40)
    assert second.balance == Balance(available=10)
    taken = await take_back(second.transfer_id)
    assert (figures(taken), taken.balance) == ((10, 30, 30), Balance(debt=30))


async def test_the_oldest_debt_is_paid_first(member: UUID, program: str) -> None:
    for hour, amount in enumerate((10, 20)):
        with clock.frozen(NOON + timedelta(hours=hour)):
            await claw(member, program, amount)
    with clock.frozen(NOON + DAY):
        await earn(member, program, 15)
    assert await owed(member) == [(10, 0), (20, 15)]


async def test_given_points_are_taken_back_from_whoever_holds_them_now(member: UUID, program: str) -> None:
    friend = await new_member()
    earned = await earn(member, program, 50)
    await earn(friend, program, 100)
    await gift(member, friend, program, 30)
    await earn(member, program, 7)
    taken = await take_back(earned.transfer_id)
    # 20 are left in the lot itself and 30 of it are with the friend; the member's other points are not touched.
    assert (figures(taken), taken.balance) == ((20, 0, 0), Balance(available=7))
    assert await balance(friend, program) == Balance(available=100)
    last = (await statement(friend, program))[0]
    assert (last.kind, last.amount, last.reason, last.reverses_id) == (
        "CLAWBACK", -30, "ORIGIN_REVERSED", earned.transfer_id,
    )  # fmt: skip
    with pytest.raises(ExceedsReversible) as caught:
        await take_back(earned.transfer_id)
    assert caught.value.extras["remaining"] == 0


async def test_what_a_friend_has_spent_is_owed_by_the_member(member: UUID, program: str) -> None:
    friend = await new_member()
    earned = await earn(member, program, 50)
    await gift(member, friend, program, 50)
    await spend(friend, program, 35)
    taken = await take_back(earned.transfer_id)
    assert (figures(taken), taken.balance) == ((0, 35, 35), Balance(debt=35))
    assert await balance(friend, program) == Balance()


async def test_all_of_it_with_a_friend(member: UUID, program: str) -> None:
    friend = await new_member()
    earned = await earn(member, program, 50)
    await gift(member, friend, program, 50)
    taken = await take_back(earned.transfer_id, key="all with a friend")
    assert figures(taken) == (0, 0, 0)
    assert (taken.member_id, taken.amount, taken.balance) == (friend, -50, Balance())
    assert (await take_back(earned.transfer_id, key="all with a friend")).replayed


async def test_merged_points_are_taken_back_from_the_survivor(member: UUID, program: str) -> None:
    survivor = await new_member()
    earned = await earn(member, program, 50)
    await spend(member, program, 10)
    await earn(survivor, program, 5)
    await merge(member, survivor)
    taken = await take_back(earned.transfer_id)
    assert (figures(taken), taken.member_id, taken.balance) == ((45, 5, 5), survivor, Balance(debt=5))


async def test_what_has_expired_with_a_friend_unswept_is_not_there(member: UUID, program: str) -> None:
    friend = await new_member()
    with clock.frozen(NOON):
        earned = await earn(member, program, 50, expires_at=NOON + DAY)
        await gift(member, friend, program, 30)
    with clock.frozen(NOON + 2 * DAY):
        with pytest.raises(InsufficientPoints) as caught:
            await take_back(earned.transfer_id, shortfall=Shortfall.REFUSE)
        assert caught.value.extras == {"available": 0, "required": 50}
        taken = await take_back(earned.transfer_id)
        assert (figures(taken), taken.balance) == ((0, 50, 50), Balance(debt=50))
        assert amounts(await statement(friend, program)) == [-30, 30]


async def test_restored_points_pay_only_the_debt_of_their_own_cause(member: UUID, program: str) -> None:
    earned = await earn(member, program, 30)
    spent = await spend(member, program, 30)
    await take_back(earned.transfer_id)
    await claw(member, program, 8)
    back = await reverse(spent.transfer_id, 12)
    assert back.balance == Balance(debt=26)
    assert await owed(member) == [(30, 18), (8, 8)]
    assert (await earn(member, program, 26)).balance == Balance()
    assert (await reverse(spent.transfer_id)).balance == Balance(available=18)


async def test_restored_points_of_another_lot_pay_no_debt(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        earned = await earn(member, program, 30, expires_at=NOON + DAY)
        await earn(member, program, 10)
        spent = await spend(member, program, 40)
        await take_back(earned.transfer_id)
        assert (await reverse(spent.transfer_id, 10)).balance == Balance(available=10, debt=30)
        assert (await reverse(spent.transfer_id)).balance == Balance(available=10)


async def test_a_debt_keeps_its_cause_through_a_merge(member: UUID, program: str) -> None:
    survivor = await new_member()
    earned = await earn(member, program, 30)
    spent = await spend(member, program, 30)
    await merge(member, survivor)
    assert (await take_back(earned.transfer_id)).balance == Balance(debt=30)
    assert (await reverse(spent.transfer_id)).balance == Balance()
    other, again = await new_member(), await new_member()
    earned = await earn(other, program, 30)
    spent = await spend(other, program, 30)
    await take_back(earned.transfer_id)
    await merge(other, again)
    assert await balance(again, program) == Balance(debt=30)
    assert (await reverse(spent.transfer_id)).balance == Balance()


async def test_held_points_stay_held_when_their_earning_is_taken_back(member: UUID, program: str) -> None:
    earned = await earn(member, program, 30)
    held = await hold(member, program, 20)
    taken = await take_back(earned.transfer_id)
    assert (figures(taken), taken.balance) == ((10, 20, 20), Balance(held=20, debt=20))
    assert held.remaining == 20


async def test_debt_has_the_limit_of_a_balance(member: UUID, program: str) -> None:
    earned = []
    for _ in range(2):
        earned.append(await earn(member, program, POINTS_MAX))
        await spend(member, program, POINTS_MAX)
    await take_back(earned[0].transfer_id)
    before = await everything()
    with pytest.raises(BalanceLimit) as caught:
        await take_back(earned[1].transfer_id)
    assert caught.value.extras == {"limit": POINTS_MAX, "balance": POINTS_MAX, "required": POINTS_MAX}
    with pytest.raises(BalanceLimit):
        await claw(member, program, 1)
    assert await everything() == before


async def test_parts_taken_back_at_once_are_no_more_than_was_given(member: UUID, program: str) -> None:
    friend = await new_member()
    earned = await earn(member, program, 100)
    await gift(member, friend, program, 40)
    answers = await asyncio.gather(
        *(tried(take_back(earned.transfer_id, 9), ExceedsReversible) for _ in range(20)),
        *(tried(deduct(friend, program, 1), InsufficientPoints) for _ in range(10)),
    )
    done = [answer for answer in answers[:20] if isinstance(answer, TakenPosted)]
    assert len(done) == 11
    assert (await take_back(earned.transfer_id)).amount == -1
    debt = (await balance(member, program)).debt
    assert debt <= 10
    assert await balance(friend, program) == Balance(available=0)


async def test_a_gift_that_comes_between_is_followed(member: UUID) -> None:
    """The reversal has seen who holds the points and waits for a lock; meanwhile they go on to a third member."""
    program = await program_with(rolling(gift_hops_max=2))
    giver, friend, third = sorted([member, await new_member(), await new_member()])
    await earn(third, program, 10)
    earned = await earn(giver, program, 50)
    await gift(giver, friend, program, 50)
    entered, leave, spent, done = (asyncio.Event() for _ in range(4))

    async def busy_with_giver() -> None:
        async with db.transaction():
            await lock_members([giver])
            entered.set()
            await leave.wait()

    async def busy_with_third() -> None:
        async with db.transaction():
            await spend(third, program, 10)
            spent.set()
            await done.wait()

    holding = asyncio.create_task(busy_with_giver())
    await entered.wait()
    taking = asyncio.create_task(take_back(earned.transfer_id))
    await waiting_for_locks(1)
    await gift(friend, third, program, 50)
    third_holding = asyncio.create_task(busy_with_third())
    await spent.wait()
    leave.set()
    await holding
    await waiting_for_locks(1)
    done.set()
    await third_holding
    await taking
    assert [await balance(one, program) for one in (giver, friend, third)] == [Balance()] * 3


async def waiting_for_locks(count: int) -> None:
    """Until so many statements wait for a lock in this database."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while await db.fetch_value(sql) < count:  # noqa: ASYNC110 -- nobody tells when
            await asyncio.sleep(0.01)
