"""Rule 5: a reversal restores exactly the lots of the original, last taken first, never more than is left to reverse.

Lots that have expired meanwhile follow rule 6: what comes back is lost or reissued, and posted either way.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.errors import ExceedsReversible, NotReversible
from engage.domains.ledger.policy.types import PolicyTerms, ReturnedKind
from engage.domains.ledger.service import restore_points, reverse_transfer, sweep_due
from engage.domains.ledger.types import Balance, Cause, ReturnPosted
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
from tests.ledger.words import (
    adjust,
    capture,
    claw,
    deduct,
    donate,
    ends,
    gift,
    hold,
    left,
    lot_rows,
    merge,
    restore,
    reverse,
    take_back,
    tried,
)

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)
LOST = rolling("P5Y")
REISSUED = rolling("P5Y", returned_kind=ReturnedKind.REISSUED, returned_grace="P7D")


async def earn_three(member: UUID, program: str) -> None:
    """Lots of 10 that are spent in this order."""
    for days in (10, 20, 30):
        await earn(member, program, 10, expires_at=NOON + days * DAY)


async def test_a_whole_reversal_leaves_the_lots_as_they_were(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn_three(member, program)
        before = await lot_rows(member)
        spent = await spend(member, program, 25)
        back = await reverse(spent.transfer_id, cause=Cause("order", "A-1"), reason="ORDER_CANCELLED")
        assert (back.kind, back.amount, back.remaining) == ("REVERSE", 25, 0)
        assert back.balance == Balance(available=30)
        assert await lot_rows(member) == before
    name, data = (await events(member))[-1][1:]
    assert (name, data["reverses_id"]) == ("ledger.points_returned.v1", str(spent.transfer_id))
    assert (await statement(member, program))[0].reverses_id == spent.transfer_id
    house = "SELECT sum(amount) FROM entries e JOIN accounts a ON a.id = e.account_id WHERE a.kind = 'REDEEMED'"
    assert await db.fetch_value(house + " AND a.currency_id = engage.ledger_currency($1)", program) == 0


async def test_parts_come_back_in_the_opposite_order_of_their_consumption(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn_three(member, program)
        spent = await spend(member, program, 25)
        seen = []
        for amount in (3, 4, 10, 8):
            back = await reverse(spent.transfer_id, amount)
            seen.append((back.remaining, await left(member, program)))
    assert seen == [(22, [0, 0, 8]), (18, [0, 2, 10]), (8, [2, 10, 10]), (0, [10, 10, 10])]


async def test_never_more_comes_back_than_is_left(member: UUID, program: str) -> None:
    await earn(member, program, 30)
    spent = await spend(member, program, 25)
    await reverse(spent.transfer_id, 20)
    before = await everything()
    with pytest.raises(ExceedsReversible) as caught:
        await reverse(spent.transfer_id, 6)
    assert (caught.value.path, caught.value.extras) == (["amount"], {"remaining": 5, "required": 6})
    assert await everything() == before
    await reverse(spent.transfer_id)
    with pytest.raises(ExceedsReversible) as nothing_left:
        await reverse(spent.transfer_id)
    assert nothing_left.value.extras == {"remaining": 0, "required": 25}


async def test_twenty_parts_at_once_give_back_no_more_than_was_taken(member: UUID, program: str) -> None:
    for _ in range(5):
        await earn(member, program, 20)
    spent = await spend(member, program, 90)
    answers = await asyncio.gather(*(tried(reverse(spent.transfer_id, 7), ExceedsReversible) for _ in range(20)))
    done = [answer for answer in answers if isinstance(answer, ReturnPosted)]
    assert sorted(answer.remaining for answer in done) == list(range(6, 90, 7))
    assert await balance(member, program) == Balance(available=10 + 12 * 7)
    assert (await reverse(spent.transfer_id)).amount == 6


async def test_restoring_and_reversing_share_what_is_left(member: UUID, program: str) -> None:
    await earn(member, program, 100)
    taken = await deduct(member, program, 60)
    assert (await reverse(taken.transfer_id, 25)).remaining == 35
    assert (await restore(taken.transfer_id, 15)).remaining == 20
    for command in (reverse, restore):
        with pytest.raises(ExceedsReversible) as caught:
            await command(taken.transfer_id, 21)
        assert caught.value.extras == {"remaining": 20, "required": 21}
    answers = await asyncio.gather(
        *(tried(reverse(taken.transfer_id, 3), ExceedsReversible) for _ in range(10)),
        *(tried(restore(taken.transfer_id, 3), ExceedsReversible) for _ in range(10)),
    )
    assert sum(isinstance(answer, ReturnPosted) for answer in answers) == 6
    assert (await balance(member, program)).available == 98


async def test_a_reversal_is_not_reversed(member: UUID, program: str) -> None:
    earned = await earn(member, program, 100)
    spent = await spend(member, program, 40)
    back = await reverse(spent.transfer_id)
    clawed = await take_back(earned.transfer_id, 10)
    taken = await deduct(member, program, 10)
    restored = await restore(taken.transfer_id)
    before = await everything()
    for transfer in (back, clawed, restored):
        for command in (reverse, restore):
            with pytest.raises(NotReversible) as caught:
                await command(transfer.transfer_id)
            assert (caught.value.path, caught.value.extras) == (["transferId"], {"kind": transfer.kind})
    assert await everything() == before


async def test_what_is_not_for_this_command_is_refused(member: UUID, program: str) -> None:
    other = await new_member()
    await earn(member, program, 100)
    held = await hold(member, program, 10)
    given = await gift(member, other, program, 10)
    spent = await spend(member, program, 10)
    clawed = await claw(member, program, 10)
    for transfer in (held, given, clawed):
        with pytest.raises(NotReversible):
            await reverse(transfer.transfer_id)
    with pytest.raises(NotReversible):
        await restore(spent.transfer_id)
    with pytest.raises(NotFound) as caught:
        await reverse(new_id())
    assert caught.value.path == ["transferId"]


async def test_an_expired_holds_transfers_are_not_reversed(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)
        await hold(member, program, 4, deadline=NOON + DAY)
    with clock.frozen(NOON + 2 * DAY):
        while await sweep_due(100):
            pass
        records = await statement(member, program)
        assert amounts(records) == [4, -4, 10]
        for record in records[:2]:
            with pytest.raises(NotReversible):
                await reverse(record.id)
        assert await balance(member, program) == Balance(available=10)


async def test_a_capture_comes_back_to_the_lots_of_the_hold(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn_three(member, program)
        held = await hold(member, program, 25)
        first = await capture(held.hold_id, 12, keep_rest=True)
        second = await capture(held.hold_id, 13)
        await reverse(first.transfer_id, 5)
        assert await left(member, program) == [3, 2, 5]
        await reverse(second.transfer_id, 6)
        assert await left(member, program) == [3, 3, 10]
        await reverse(first.transfer_id)
        await reverse(second.transfer_id)
        assert await left(member, program) == [10, 10, 10]


async def test_donations_fees_and_corrections_downwards_come_back_too(member: UUID) -> None:
    program = await program_with(rolling(gift_fee_fixed=3))
    other = await new_member()
    await earn(member, program, 100)
    await gift(member, other, program, 20)
    fee = next(one for one in await statement(member, program) if one.kind == "FEE")
    donated = await donate(member, program, 10)
    removed = (await adjust(member, program, -7)).posted
    assert removed
    assert (await balance(member, program)).available == 60
    for transfer_id, amount in ((fee.id, 3), (donated.transfer_id, 10), (removed.transfer_id, 7)):
        assert (await reverse(transfer_id)).amount == amount
    assert (await balance(member, program)).available == 80


@pytest.mark.parametrize(("terms", "back"), [(LOST, 0), (REISSUED, 10)])
async def test_what_comes_back_to_an_expired_lot_follows_the_setting(
    member: UUID, terms: PolicyTerms, back: int
) -> None:
    program = await program_with(terms)
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        await earn(member, program, 10, expires_at=NOON + 30 * DAY)
        spent = await spend(member, program, 20)
    with clock.frozen(NOON + 2 * DAY):
        answer = await reverse(spent.transfer_id)
        assert (answer.amount, answer.balance.available) == (20, 10 + back)
        assert await ends(member, program) == [NOON + 9 * DAY, NOON + 30 * DAY][-1 - back // 10 :]
        expected = [20, -20, 10, 10] if back else [-10, 20, -20, 10, 10]
        assert amounts(await statement(member, program)) == expected
        with pytest.raises(ExceedsReversible):
            await reverse(spent.transfer_id, 1)
    with clock.frozen(NOON + 9 * DAY):
        assert (await balance(member, program)).available == 10


async def test_points_reissued_once_are_spent_and_come_back_again(member: UUID) -> None:
    program = await program_with(REISSUED)
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        spent = await spend(member, program, 10)
    with clock.frozen(NOON + 2 * DAY):
        await reverse(spent.transfer_id, 6)
        again = await spend(member, program, 6)
    with clock.frozen(NOON + 20 * DAY):
        assert (await reverse(again.transfer_id)).balance.available == 6
        assert (await reverse(spent.transfer_id)).balance.available == 10
        assert await ends(member, program) == [NOON + 27 * DAY] * 2


async def test_what_was_spent_before_a_merge_comes_back_to_the_survivor(member: UUID, program: str) -> None:
    survivor = await new_member()
    with clock.frozen(NOON):
        await earn_three(member, program)
        spent = await spend(member, program, 25)
        await merge(member, survivor)
        assert (await balance(survivor, program)).available == 5
        first = await reverse(spent.transfer_id, 7)
        assert (first.member_id, first.remaining, first.balance) == (survivor, 18, Balance(available=12))
        await reverse(spent.transfer_id)
        assert await balance(survivor, program) == Balance(available=30)
        assert await balance(member, program) == Balance()
        with pytest.raises(ExceedsReversible):
            await reverse(spent.transfer_id, 1)
    for days, amount in ((10, 20), (20, 10), (30, 0)):
        with clock.frozen(NOON + days * DAY):
            assert (await balance(survivor, program)).available == amount


@pytest.mark.parametrize(("terms", "back"), [(LOST, 0), (REISSUED, 10)])
async def test_what_expired_before_a_merge_follows_the_setting_too(
    member: UUID, terms: PolicyTerms, back: int
) -> None:
    program, survivor = await program_with(terms), await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        spent = await spend(member, program, 10)
        await merge(member, survivor)
    with clock.frozen(NOON + 2 * DAY):
        assert (await reverse(spent.transfer_id)).balance.available == back


async def test_who_may_give_back(member: UUID, program: str) -> None:
    await earn(member, program, 100)
    spent, taken = await spend(member, program, 10), await deduct(member, program, 10)
    own, judge = Actor("a-phone", Role.MEMBER, member), Actor("moderator-3", Role.MODERATOR)
    for actor in (own, judge):
        with pytest.raises(Forbidden):
            await reverse_transfer(actor, transfer_id=spent.transfer_id, idempotency_key=new_key())
    for actor in (own, STAFF):
        with pytest.raises(Forbidden):
            await restore_points(actor, transfer_id=taken.transfer_id, idempotency_key=new_key())
