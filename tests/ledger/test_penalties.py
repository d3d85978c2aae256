"""Rules 5 and 7: a penalty takes what is there and tells what is missing; debt only where the caller's rule says so.

Overturned, it gives back exactly what it took: the same lots, and the debt first, also what was paid of it meanwhile.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput
from engage.domains.ledger.errors import (
    ExceedsReversible,
    HoldNotOpen,
    InsufficientPoints,
    MemberNotActive,
    NotReversible,
)
from engage.domains.ledger.policy.types import PolicyTerms, ReturnedKind
from engage.domains.ledger.service import deduct_points
from engage.domains.ledger.types import Balance, Cause, Shortfall, TakenPosted
from tests.ledger.books import (
    NOON,
    STAFF,
    amounts,
    balance,
    earn,
    events,
    everything,
    new_key,
    new_member,
    spend,
    statement,
)
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import capture, claw, deduct, hold, left, lot_rows, merge, put, restore

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def figures(taken: TakenPosted) -> tuple[int, int, int]:
    return taken.taken, taken.shortfall, taken.debt


async def fill(member: UUID, program: str) -> UUID:
    """30 available, 20 pending, and two holds of 10 each; answers the newer one."""
    with clock.frozen(NOON):
        await earn(member, program, 50, expires_at=NOON + 30 * DAY)
        await earn(member, program, 20, usable_at=NOON + 10 * DAY)
        await hold(member, program, 10, deadline=NOON + 20 * DAY)
    with clock.frozen(NOON + HOUR):
        return (await hold(member, program, 10, deadline=NOON + 20 * DAY)).hold_id


async def test_a_penalty_takes_what_is_available_first_then_pending_then_held(member: UUID, program: str) -> None:
    newest = await fill(member, program)
    with clock.frozen(NOON + 2 * HOUR):
        for amount, figures_left in (
            (25, Balance(5, 20, 20)),
            (10, Balance(0, 15, 20)),
            (18, Balance(0, 0, 17)),
            (9, Balance(0, 0, 8)),
        ):
            taken = await deduct(member, program, amount, from_pending=True, from_held=True)
            assert (taken.kind, taken.amount, figures(taken)) == ("DEDUCT", -amount, (amount, 0, 0))
            assert taken.balance == figures_left
        with pytest.raises(HoldNotOpen) as caught:  # the newest hold gives first
            await capture(newest)
        assert caught.value.extras["state"] == "RELEASED"
    holds = await db.fetch("SELECT state, remaining FROM holds WHERE member_id = $1 ORDER BY created_at", member)
    assert [tuple(row) for row in holds] == [("OPEN", 8), ("RELEASED", 0)]
    house = "SELECT sum(amount) FROM entries e JOIN accounts a ON a.id = e.account_id WHERE a.kind = 'FORFEITED'"
    assert await db.fetch_value(house + " AND a.currency_id = engage.ledger_currency($1)", program) == 62


async def test_a_penalty_takes_only_what_it_is_told_to(member: UUID, program: str) -> None:
    await fill(member, program)
    with clock.frozen(NOON + 2 * HOUR):
        taken = await deduct(member, program, 100, cause=Cause("case", "17"))
        assert (taken.amount, figures(taken), taken.balance) == (-30, (30, 70, 0), Balance(0, 20, 20))
        taken = await deduct(member, program, 100, from_held=True)
        assert (figures(taken), taken.balance) == ((20, 80, 0), Balance(0, 20, 0))
    data = (await events(member))[-2][2]
    assert (data["kind"], data["amount"], data["cause_id"]) == ("DEDUCT", -30, "17")


async def test_all_of_it_is_what_these_figures_have(member: UUID, program: str) -> None:
    await fill(member, program)
    with clock.frozen(NOON + 2 * HOUR):
        taken = await deduct(member, program, None)
        assert (figures(taken), taken.balance) == ((30, 0, 0), Balance(0, 20, 20))
        taken = await deduct(member, program, None, from_pending=True, from_held=True)
        assert (figures(taken), taken.balance) == ((40, 0, 0), Balance())
        with pytest.raises(InsufficientPoints) as caught:
            await deduct(member, program, None, from_pending=True, from_held=True)
        assert caught.value.extras == {"available": 0, "required": 1}


async def test_where_nothing_is_there_nothing_is_posted(member: UUID, program: str) -> None:
    before = await everything()
    for shortfall in (Shortfall.FORGO, Shortfall.REFUSE):
        with pytest.raises(InsufficientPoints) as caught:
            await deduct(member, program, 5, shortfall=shortfall)
        assert caught.value.extras == {"available": 0, "required": 5}
    assert await everything() == before


async def test_a_shortfall_is_refused_or_owed_where_the_rule_says_so(member: UUID, program: str) -> None:
    await earn(member, program, 30)
    before = await everything()
    with pytest.raises(InsufficientPoints) as caught:
        await deduct(member, program, 31, shortfall=Shortfall.REFUSE)
    assert caught.value.extras == {"available": 30, "required": 31}
    assert await everything() == before
    taken = await deduct(member, program, 50, shortfall=Shortfall.DEBT)
    assert (taken.amount, figures(taken), taken.balance) == (-50, (30, 20, 20), Balance(debt=20))
    assert (await earn(member, program, 25)).balance == Balance(available=5)


async def test_a_penalty_settles_first(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 30, expires_at=NOON + DAY)
        await earn(member, program, 8, usable_at=NOON + DAY)
    with clock.frozen(NOON + DAY):
        assert figures(await deduct(member, program, 10)) == (8, 2, 0)


async def test_overturned_all_is_as_it_was(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        for days in (10, 20, 30):
            await earn(member, program, 10, expires_at=NOON + days * DAY)
        await earn(member, program, 20, usable_at=NOON + DAY)
        await earn(member, program, 5, on_confirmation=True)
        before = await lot_rows(member)
        taken = await deduct(member, program, 45, from_pending=True)
        assert taken.balance == Balance(pending=10)
        seen = []
        for amount in (12, 8, None):
            back = await restore(taken.transfer_id, amount)
            assert back.kind == "RESTORE"
            seen.append((back.remaining, back.balance))
        assert await lot_rows(member) == before
    assert seen == [(33, Balance(0, 22)), (25, Balance(5, 25)), (0, Balance(30, 25))]
    assert (await statement(member, program))[0].reverses_id == taken.transfer_id


async def test_what_a_cancelled_member_has_is_locked_then_forfeited_and_restored_exactly(
    member: UUID, program: str
) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 30, expires_at=NOON + 10 * DAY)
        await earn(member, program, 5, on_confirmation=True)
        before = await lot_rows(member)
        await put(member, "CANCELLED")
        for command in (spend(member, program, 1), earn(member, program, 1), hold(member, program, 1)):
            with pytest.raises(MemberNotActive):
                await command
        assert await balance(member, program) == Balance(available=30, pending=5)  # locked, and still there
        forfeited = await deduct(member, program, None, from_pending=True, from_held=True, reason="CANCELLED")
        assert (figures(forfeited), forfeited.balance) == ((35, 0, 0), Balance())
        back = await restore(forfeited.transfer_id)
        assert (back.remaining, back.balance) == (0, Balance(available=30, pending=5))
        assert await lot_rows(member) == before
        await put(member, "ACTIVE")
        assert (await spend(member, program, 30)).balance == Balance(pending=5)


async def test_parts_come_back_last_taken_first(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        for days in (10, 20, 30):
            await earn(member, program, 10, expires_at=NOON + days * DAY)
        taken = await deduct(member, program, 25)
        seen = []
        for amount in (4, 8, 13):
            await restore(taken.transfer_id, amount)
            seen.append(await left(member, program))
        with pytest.raises(ExceedsReversible) as caught:
            await restore(taken.transfer_id)
        assert caught.value.extras == {"remaining": 0, "required": 25}
    assert seen == [[0, 0, 9], [0, 7, 10], [10, 10, 10]]


async def test_held_points_come_back_to_their_lots_as_available(member: UUID, program: str) -> None:
    newest = await fill(member, program)
    with clock.frozen(NOON + 2 * HOUR):
        taken = await deduct(member, program, None, from_pending=True, from_held=True)
        assert (await restore(taken.transfer_id)).balance == Balance(available=50, pending=20)
        assert await left(member, program) == [50, 20]
        with pytest.raises(HoldNotOpen):
            await capture(newest)


async def test_pending_points_whose_time_has_come_are_usable_when_they_come_back(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 20, usable_at=NOON + DAY)
        await earn(member, program, 10, on_confirmation=True)
        taken = await deduct(member, program, None, from_pending=True)
    with clock.frozen(NOON + DAY):
        assert (await restore(taken.transfer_id)).balance == Balance(available=20, pending=10)


@pytest.mark.parametrize(
    ("terms", "back"),
    [
        (rolling("P5Y"), 20),
        (rolling("P5Y", returned_kind=ReturnedKind.REISSUED, returned_grace="P7D"), 30),
    ],
)
async def test_what_expired_meanwhile_follows_the_setting(member: UUID, terms: PolicyTerms, back: int) -> None:
    program = await program_with(terms)
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        await earn(member, program, 20, expires_at=NOON + 30 * DAY)
        taken = await deduct(member, program, None)
    with clock.frozen(NOON + 2 * DAY):
        assert (await restore(taken.transfer_id)).balance == Balance(available=back)
        with pytest.raises(ExceedsReversible):
            await restore(taken.transfer_id)


async def test_unpaid_debt_is_forgiven_first(member: UUID, program: str) -> None:
    await earn(member, program, 30)
    taken = await deduct(member, program, 50, shortfall=Shortfall.DEBT)
    seen = []
    for amount in (15, 10, 25):
        back = await restore(taken.transfer_id, amount)
        seen.append((back.amount, back.remaining, back.balance))
    assert seen == [
        (15, 35, Balance(debt=5)),
        (10, 25, Balance(available=5)),
        (25, 0, Balance(available=30)),
    ]


async def test_what_was_paid_of_the_debt_comes_back_to_the_lots_that_paid(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 30)
        taken = await deduct(member, program, 50, shortfall=Shortfall.DEBT)
        await earn(member, program, 8, expires_at=NOON + DAY)
        await earn(member, program, 5, expires_at=NOON + 2 * DAY)
        assert await balance(member, program) == Balance(debt=7)
        assert (await restore(taken.transfer_id, 9)).balance == Balance(available=2)  # 7 forgiven, 2 of the last paid
        assert await left(member, program) == [0, 0, 2]
        assert (await restore(taken.transfer_id, 6)).balance == Balance(available=8)
        assert await left(member, program) == [0, 3, 5]
        assert (await restore(taken.transfer_id)).balance == Balance(available=43)
        assert await left(member, program) == [30, 8, 5]
    with clock.frozen(NOON + DAY):
        assert await balance(member, program) == Balance(available=35)


async def test_points_that_paid_the_debt_and_have_expired_follow_the_setting(member: UUID) -> None:
    program = await program_with(rolling("P5Y", returned_kind=ReturnedKind.REISSUED, returned_grace="P7D"))
    with clock.frozen(NOON):
        taken = await deduct(member, program, 20, shortfall=Shortfall.DEBT)
        await earn(member, program, 20, expires_at=NOON + DAY)
    with clock.frozen(NOON + 2 * DAY):
        assert (await restore(taken.transfer_id)).balance == Balance(available=20)
    with clock.frozen(NOON + 9 * DAY):
        assert await balance(member, program) == Balance()


async def test_restored_points_pay_no_other_debt(member: UUID, program: str) -> None:
    await earn(member, program, 30)
    taken = await deduct(member, program, 30)
    await claw(member, program, 10)
    assert (await restore(taken.transfer_id)).balance == Balance(available=30, debt=10)


async def test_a_clawback_is_overturned_like_a_penalty(member: UUID, program: str) -> None:
    await earn(member, program, 30)
    taken = await claw(member, program, 45)
    assert taken.balance == Balance(debt=15)
    assert (await restore(taken.transfer_id, 20)).balance == Balance(available=5)
    assert (await restore(taken.transfer_id)).balance == Balance(available=30)


async def test_a_penalty_of_before_a_merge_is_overturned_after_it(member: UUID, program: str) -> None:
    survivor = await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 30, expires_at=NOON + DAY)
        taken = await deduct(member, program, 50, shortfall=Shortfall.DEBT)
        await earn(member, program, 5)
        await merge(member, survivor)
        assert await balance(survivor, program) == Balance(debt=15)
        await earn(survivor, program, 3)
        back = await restore(taken.transfer_id)
    assert (back.member_id, back.balance) == (survivor, Balance(available=38))
    with clock.frozen(NOON + DAY):
        assert await balance(survivor, program) == Balance(available=8)


async def test_what_a_penalty_has_taken_is_not_there_for_others(member: UUID, program: str) -> None:
    await earn(member, program, 30)
    spent = await spend(member, program, 20)
    await deduct(member, program, None)
    with pytest.raises(NotReversible):
        await restore(spent.transfer_id)
    assert amounts(await statement(member, program)) == [-10, -20, 30]


async def test_who_punishes(member: UUID, program: str) -> None:
    await earn(member, program, 30)
    for actor in (STAFF, Actor("shop", Role.SERVICE), Actor("a-phone", Role.MEMBER, member)):
        with pytest.raises(Forbidden):
            await deduct_points(actor, member_id=member, program=program, amount=1, idempotency_key=new_key())
    for amount in (0, -1):
        with pytest.raises(InvalidInput):
            await deduct(member, program, amount)
