"""Earning and spending: what is posted, in which order lots are used, and what a repeated command answers."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import IdempotencyConflict
from engage.domains.ledger.errors import BalanceLimit, InsufficientPoints
from engage.domains.ledger.service import PostedEarnings, post_earnings, spend_points
from engage.domains.ledger.types import POINTS_MAX, Balance, Cause, Earning, Posted, TransferKind
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
    new_key,
    new_member,
    new_program,
    spend,
    statement,
)


async def test_earning_makes_a_lot_two_legs_and_an_event(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        posted = await earn(member, program, 120, reason="WELCOME", cause=Cause("campaign", "spring"))
    assert posted == Posted(
        transfer_id=posted.transfer_id,
        member_id=member,
        program=program,
        kind=TransferKind.EARN,
        amount=120,
        balance=Balance(available=120),
        position=1,
        posted_at=NOON,
        replayed=False,
    )
    assert await lots(member, program) == [("OPEN", 120, 120)]
    legs = await db.fetch(
        "SELECT e.bucket, a.kind, e.amount, e.balance_after, e.version FROM entries e"
        " JOIN accounts a ON a.id = e.account_id WHERE e.transfer_id = $1 ORDER BY e.id",
        posted.transfer_id,
    )
    assert [tuple(leg) for leg in legs] == [
        ("AVAILABLE", "MEMBER", 120, 120, 1),
        ("HOUSE", "ISSUED", -120, None, None),
    ]
    [(position, name, data)] = await events(member)
    assert (position, name) == (1, "ledger.points_earned.v1")
    assert data == {
        "member_id": str(member),
        "program": program,
        "transfer_id": str(posted.transfer_id),
        "kind": "EARN",
        "amount": 120,
        "reason": "WELCOME",
        "cause_type": "campaign",
        "cause_id": "spring",
        "posted_at": "2026-03-10T12:00:00+00:00",
        "balance": {"available": 120, "pending": 0, "held": 0, "debt": 0},
        "currency": "POINTS",
        "refers_id": None,
        "reverses_id": None,
    }


async def test_spending_takes_what_is_there_and_tells(member: UUID, program: str) -> None:
    await earn(member, program, 120)
    posted = await spend(member, program, 50, cause=Cause("order", "A-1"))
    assert (posted.amount, posted.balance, posted.position, posted.replayed) == (-50, Balance(available=70), 2, False)
    assert await lots(member, program) == [("OPEN", 120, 70)]
    assert [(position, name) for position, name, _ in await events(member)] == [
        (1, "ledger.points_earned.v1"),
        (2, "ledger.points_spent.v1"),
    ]
    last = (await statement(member, program))[0]
    assert (last.id, last.amount, last.balance_after, last.cause) == (
        posted.transfer_id, -50, 70, Cause("order", "A-1"),
    )  # fmt: skip
    await assert_whole()


async def test_a_member_may_spend_their_own(member: UUID, program: str) -> None:
    await earn(member, program, 10)
    actor = Actor("a-phone", Role.MEMBER, member)
    posted = await spend_points(actor, member_id=member, program=program, amount=4, idempotency_key=new_key())
    assert posted.balance.available == 6


async def test_spending_takes_earliest_expiry_first_then_the_oldest_and_never_last(
    member: UUID, program: str
) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)
        await earn(member, program, 10, expires_at=NOON + timedelta(days=20))
        await earn(member, program, 10, expires_at=NOON + timedelta(days=10))
    with clock.frozen(NOON + timedelta(seconds=1)):
        await earn(member, program, 10, expires_at=NOON + timedelta(days=10))
        left = []
        for _ in range(4):
            await spend(member, program, 8)
            left.append([remaining for _, _, remaining in await lots(member, program)])
    assert left == [[10, 10, 2, 10], [10, 10, 0, 4], [10, 6, 0, 0], [8, 0, 0, 0]]
    assert [state for state, *_ in await lots(member, program)] == ["OPEN", "CLOSED", "CLOSED", "CLOSED"]
    await assert_whole()


async def test_spending_everything_closes_many_lots(member: UUID, program: str) -> None:
    for amount in range(1, 61):
        await earn(member, program, amount)
    with pytest.raises(InsufficientPoints):
        await spend(member, program, 1831)
    posted = await spend(member, program, 1830)
    assert posted.balance == Balance()
    assert {state for state, *_ in await lots(member, program)} == {"CLOSED"}
    assert await db.fetch_value("SELECT count(*) FROM allocations WHERE transfer_id = $1", posted.transfer_id) == 60
    await assert_whole()


async def test_the_largest_amount_moves_whole(member: UUID, program: str) -> None:
    await earn(member, program, POINTS_MAX)
    assert (await balance(member, program)).available == 2**53 - 1
    with pytest.raises(BalanceLimit) as caught:
        await earn(member, program, 1)
    assert caught.value.extras == {"limit": POINTS_MAX, "balance": POINTS_MAX, "required": 1}
    await spend(member, program, POINTS_MAX)
    assert (await balance(member, program)).available == 0
    await assert_whole()


async def test_programs_keep_apart(member: UUID, program: str) -> None:
    other = await new_program()
    await earn(member, program, 5)
    await earn(member, other, 7)
    with pytest.raises(InsufficientPoints):
        await spend(member, program, 6)
    assert (await spend(member, other, 6)).balance.available == 1
    assert [position for position, *_ in await events(member)] == [1, 2, 3]


async def test_a_repeated_command_finds_its_first_answer(member: UUID, program: str) -> None:
    first = await earn(member, program, 30, "one")
    spent = await spend(member, program, 10, "one")
    before = await everything()
    again = await earn(member, program, 30, "one")
    spent_again = await spend(member, program, 10, "one")
    assert await everything() == before
    assert (again.replayed, spent_again.replayed) == (True, True)
    assert [again.transfer_id, again.balance, again.position] == [first.transfer_id, first.balance, first.position]
    assert [spent_again.transfer_id, spent_again.balance, spent_again.posted_at] == [
        spent.transfer_id, spent.balance, spent.posted_at,
    ]  # fmt: skip


async def test_a_repetition_is_answered_even_when_the_command_would_be_refused_now(
    member: UUID, program: str
) -> None:
    await earn(member, program, 30)
    spent = await spend(member, program, 30, "all")
    await db.execute("UPDATE members SET state = 'SUSPENDED' WHERE id = $1", member)
    again = await spend(member, program, 30, "all")
    assert (again.replayed, again.transfer_id) == (True, spent.transfer_id)


async def test_a_key_used_with_other_input_is_a_conflict(member: UUID, program: str) -> None:
    await earn(member, program, 30, "key", reason="WELCOME")
    before = await everything()
    for amount, more in (
        (31, {"reason": "WELCOME"}),
        (30, {}),
        (30, {"reason": "WELCOME", "cause": Cause("a", "b")}),
    ):
        with pytest.raises(IdempotencyConflict) as caught:
            await earn(member, program, amount, "key", **more)
        assert caught.value.path == ["idempotencyKey"]
    assert await everything() == before


async def test_keys_belong_to_a_member_and_a_command(member: UUID, program: str) -> None:
    other = await new_member()
    posted = [await earn(member, program, 5, "same"), await earn(other, program, 6, "same")]
    posted.append(await spend(member, program, 3, "same"))
    assert [one.replayed for one in posted] == [False, False, False]


async def test_a_refused_command_does_not_burn_its_key(member: UUID, program: str) -> None:
    with pytest.raises(InsufficientPoints) as caught:
        await spend(member, program, 40, "later")
    assert caught.value.extras == {"available": 0, "required": 40}
    await earn(member, program, 40)
    assert (await spend(member, program, 40, "later")).replayed is False


async def test_a_retry_that_names_an_absorbed_member_finds_its_answer(member: UUID, program: str) -> None:
    survivor = await new_member()
    first = await earn(member, program, 25, "before the merge")
    await db.execute("UPDATE members SET merged_into_id = $2 WHERE id = $1", member, survivor)
    again = await earn(member, program, 25, "before the merge")
    assert (again.replayed, again.transfer_id) == (True, first.transfer_id)
    assert (await earn(member, program, 5)).member_id == survivor


async def test_many_members_earn_in_one_call(program: str) -> None:
    members = sorted([await new_member() for _ in range(3)])
    lines = [Earning(members[nth % 3], 10 * nth, Cause("purchase", str(UUID(int=nth))), NOON) for nth in range(9)]

    @db.command
    async def post() -> PostedEarnings:
        await lock_members(members)
        return await post_earnings(STAFF, program, lines)

    posted = await post()
    found = [posted.find(nth) for nth in range(9)]
    assert [one and one.amount for one in found] == [None, 10, 20, 30, 40, 50, 60, 70, 80]
    assert [one.balance.available for one in found if one and one.member_id == members[1]] == [10, 50, 120]
    assert [(await balance(one, program)).available for one in members] == [90, 120, 150]
    assert amounts(await statement(members[1], program)) == [70, 40, 10]
    assert [position for position, *_ in await events(members[0])] == [1, 2]
    await assert_whole()
