"""Rule 4: a hold sets lots aside; capture spends them, release gives them back, its deadline ends it, swept or not.

What goes back to a lot that has expired meanwhile follows rule 6: lost or reissued, either is posted.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.errors import ExceedsHold, HoldNotOpen, InsufficientPoints
from engage.domains.ledger.policy.types import PolicyTerms, ReturnedKind
from engage.domains.ledger.service import capture_hold, hold_points, sweep_due
from engage.domains.ledger.types import Balance, Cause, HoldPosted
from tests.ledger.books import (
    NOON,
    amounts,
    balance,
    earn,
    events,
    everything,
    new_key,
    schedule,
    spend,
    statement,
)
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import capture, ends, hold, left, lot_rows, release, tried

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)
REISSUED = rolling("P5Y", returned_kind=ReturnedKind.REISSUED, returned_grace="P7D")


async def earn_three(member: UUID, program: str) -> None:
    """Lots of 10 that are spent in this order."""
    for days in (10, 20, 30):
        await earn(member, program, 10, expires_at=NOON + days * DAY)


async def test_a_hold_takes_from_lots_as_spending_does(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn_three(member, program)
        held = await hold(member, program, 15, cause=Cause("order", "A-1"))
        assert (held.amount, held.balance, held.remaining) == (-15, Balance(available=15, held=15), 15)
        assert held.hold_id == held.transfer_id
        assert held.deadline == NOON + DAY
        assert await left(member, program) == [0, 5, 10]
        assert (await schedule(member, program)).total == 15
        with pytest.raises(InsufficientPoints) as caught:
            await spend(member, program, 16)
        assert caught.value.extras == {"available": 15, "required": 16}
        with pytest.raises(InsufficientPoints):
            await hold(member, program, 16)


async def test_capturing_all_spends_all(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn_three(member, program)
        held = await hold(member, program, 15)
        captured = await capture(held.hold_id, cause=Cause("order", "A-1"))
        assert (captured.kind, captured.amount, captured.remaining) == ("CAPTURE", -15, 0)
        assert captured.balance == Balance(available=15)
    assert await left(member, program) == [0, 5, 10]
    assert [name.split(".")[1] for _, name, _ in await events(member)][-2:] == ["points_held", "hold_captured"]
    assert (await statement(member, program))[0].refers_id == held.hold_id


async def test_capturing_a_part_gives_the_rest_back_last_taken_first(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn_three(member, program)
        held = await hold(member, program, 25)
        captured = await capture(held.hold_id, 12)
        assert (captured.amount, captured.remaining, captured.balance) == (-12, 0, Balance(available=18))
    assert await left(member, program) == [0, 8, 10]
    assert amounts(await statement(member, program))[:3] == [13, -12, -25]


async def test_capturing_by_parts_with_the_rest_kept(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn_three(member, program)
        held = await hold(member, program, 25)
        parts = [await capture(held.hold_id, 12, keep_rest=True), await capture(held.hold_id, 5, keep_rest=True)]
        assert [one.remaining for one in parts] == [13, 8]
        assert parts[1].balance == Balance(available=5, held=8)
        with pytest.raises(ExceedsHold) as caught:
            await capture(held.hold_id, 9)
        assert (caught.value.path, caught.value.extras) == (["amount"], {"remaining": 8, "required": 9})
        assert (await capture(held.hold_id, keep_rest=True)).remaining == 0
        assert await balance(member, program) == Balance(available=5)
        with pytest.raises(HoldNotOpen) as ended:
            await capture(held.hold_id, 1)
        assert (ended.value.path, ended.value.extras) == (
            ["holdId"],
            {"state": "CAPTURED", "deadline": NOON + DAY},
        )


async def test_releasing_gives_back_to_the_same_lots_last_taken_first(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn_three(member, program)
        before = await lot_rows(member)
        held = await hold(member, program, 25)
        assert await left(member, program) == [0, 0, 5]
        for amount, remains in ((4, [0, 0, 9]), (8, [0, 7, 10])):
            answer = await release(held.hold_id, amount)
            assert (answer.amount, answer.kind) == (amount, "RELEASE")
            assert await left(member, program) == remains
        with pytest.raises(ExceedsHold) as caught:
            await release(held.hold_id, 14)
        assert caught.value.extras == {"remaining": 13, "required": 14}
        assert (await release(held.hold_id)).balance == Balance(available=30)
        assert await lot_rows(member) == before
        with pytest.raises(HoldNotOpen) as ended:
            await release(held.hold_id)
        assert ended.value.extras["state"] == "RELEASED"


async def test_the_longest_deadline_is_the_policys(member: UUID) -> None:
    program = await program_with(rolling(hold_longest="P3D"))
    with clock.frozen(NOON):
        await earn(member, program, 10)
        before = await everything()
        for deadline in (NOON + 3 * DAY + timedelta(microseconds=1), NOON, NOON - DAY):
            with pytest.raises(InvalidInput) as caught:
                await hold(member, program, 1, deadline=deadline)
            assert caught.value.path == ["deadline"]
        assert await everything() == before
        assert (await hold(member, program, 1, deadline=NOON + 3 * DAY)).deadline == NOON + 3 * DAY
        assert (await hold(member, program, 1)).deadline == NOON + DAY


async def test_without_a_deadline_it_is_the_longest_where_that_is_less_than_a_day(member: UUID) -> None:
    program = await program_with(rolling(hold_longest="P1D"), "Europe/Berlin")
    before_a_day_of_23_hours = datetime.fromisoformat("2026-03-28T12:00+01:00")
    with clock.frozen(before_a_day_of_23_hours):
        await earn(member, program, 10)
        assert (await hold(member, program, 1)).deadline == datetime.fromisoformat("2026-03-29T12:00+02:00")


async def test_from_its_deadline_on_a_hold_has_ended_unswept(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)
        held = await hold(member, program, 4, deadline=NOON + 2 * DAY)
    with clock.frozen(NOON + 2 * DAY - timedelta(microseconds=1)):
        assert await balance(member, program) == Balance(available=6, held=4)
    with clock.frozen(NOON + 2 * DAY):
        before = await everything()
        assert await balance(member, program) == Balance(available=10)
        assert (await schedule(member, program)).total == 10
        assert await everything() == before
        with pytest.raises(HoldNotOpen) as caught:
            await capture(held.hold_id)
        assert caught.value.extras == {"state": "EXPIRED", "deadline": NOON + 2 * DAY}
        with pytest.raises(HoldNotOpen):
            await release(held.hold_id)
        assert (await spend(member, program, 10)).balance == Balance()


async def test_the_sweep_ends_holds_past_their_deadline(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)
        await hold(member, program, 4, deadline=NOON + DAY)
        await hold(member, program, 3, deadline=NOON + 2 * DAY)
    with clock.frozen(NOON + DAY):
        while await sweep_due(100):
            pass
        assert await balance(member, program) == Balance(available=7, held=3)
        assert amounts(await statement(member, program))[:1] == [4]
        assert (await events(member))[-1][1] == "ledger.hold_released.v1"
        assert await sweep_due(100) == 0
    states = await db.fetch("SELECT state FROM holds WHERE member_id = $1 ORDER BY deadline", member)
    assert [state for (state,) in states] == ["EXPIRED", "OPEN"]


async def test_a_lot_that_expires_while_held_can_be_captured(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        held = await hold(member, program, 6, deadline=NOON + 3 * DAY)
    with clock.frozen(NOON + 2 * DAY):
        assert await balance(member, program) == Balance(held=6)
        captured = await capture(held.hold_id, 4)
        assert captured.balance == Balance()
    # What was not captured came back to a lot that had expired: lost, and posted.
    assert amounts(await statement(member, program)) == [-2, 2, -4, -4, -6, 10]


@pytest.mark.parametrize("how", ["capture", "release"])
async def test_what_comes_back_to_an_expired_lot_is_reissued_where_the_program_does_so(
    member: UUID, how: str
) -> None:
    program = await program_with(REISSUED)
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        held = await hold(member, program, 6, deadline=NOON + 3 * DAY)
    with clock.frozen(NOON + 2 * DAY):
        answer = await (capture(held.hold_id, 4) if how == "capture" else release(held.hold_id, 2))
        assert answer.balance.available == 2
        assert await ends(member, program) == [NOON + 9 * DAY]
    with clock.frozen(NOON + 9 * DAY):
        assert (await balance(member, program)).available == (0 if how == "capture" else 4)


@pytest.mark.parametrize(("terms", "back"), [(rolling("P5Y"), 0), (REISSUED, 6)])
async def test_a_deadline_gives_back_to_an_expired_lot_by_the_setting(
    member: UUID, terms: PolicyTerms, back: int
) -> None:
    program = await program_with(terms)
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + DAY)
        await hold(member, program, 6, deadline=NOON + 3 * DAY)
    with clock.frozen(NOON + 4 * DAY):
        unswept = await balance(member, program)
        assert unswept == Balance(available=back)
        assert (await schedule(member, program)).total == back
        while await sweep_due(100):
            pass
        assert await balance(member, program) == unswept
        # The grace counts from the deadline, when the points came back, not from a late sweep.
        assert await ends(member, program) == ([NOON + 10 * DAY] if back else [])


async def test_points_that_came_back_at_the_deadline_expire_at_their_own_end(member: UUID) -> None:
    program = await program_with(REISSUED)
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + 2 * DAY)
        await hold(member, program, 6, deadline=NOON + DAY)
    with clock.frozen(NOON + 3 * DAY):  # the lot was good when they came back, and has ended since
        assert await balance(member, program) == Balance()
        assert await sweep_due(100) >= 1
        assert await balance(member, program) == Balance()


async def test_of_two_captures_at_once_one_wins(member: UUID, program: str) -> None:
    await earn(member, program, 100)
    held = await hold(member, program, 60)
    answers = await asyncio.gather(*(tried(capture(held.hold_id), HoldNotOpen) for _ in range(8)))
    won = [answer for answer in answers if isinstance(answer, HoldPosted)]
    assert [answer.amount for answer in won] == [-60]
    assert await balance(member, program) == Balance(available=40)


async def test_parts_captured_and_released_at_once_are_never_more_than_was_held(member: UUID, program: str) -> None:
    await earn(member, program, 100)
    held = await hold(member, program, 60)
    answers = await asyncio.gather(
        *(tried(capture(held.hold_id, 7, keep_rest=True), ExceedsHold, HoldNotOpen) for _ in range(8)),
        *(tried(release(held.hold_id, 7), ExceedsHold, HoldNotOpen) for _ in range(8)),
    )
    done = [answer for answer in answers if isinstance(answer, HoldPosted)]
    assert len(done) == 8
    spent = -sum(answer.amount for answer in done if answer.kind == "CAPTURE")
    assert await balance(member, program) == Balance(available=100 - spent - 4, held=4)


async def test_a_hold_is_answered_again_when_its_deadline_has_passed(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)
        first = await hold(member, program, 4, "again", deadline=NOON + DAY)
    with clock.frozen(NOON + 2 * DAY):
        again = await hold(member, program, 4, "again", deadline=NOON + DAY)
    assert (again.replayed, again.hold_id, again.balance) == (True, first.hold_id, first.balance)


async def test_holds_that_are_not_there(member: UUID, program: str) -> None:
    await earn(member, program, 10)
    for command in (capture(new_id()), release(new_id())):
        with pytest.raises(NotFound) as caught:
            await command
        assert caught.value.path == ["holdId"]


async def test_a_member_holds_their_own_and_captures_nothing(member: UUID, program: str) -> None:
    await earn(member, program, 10)
    actor = Actor("a-phone", Role.MEMBER, member)
    held = await hold_points(actor, member_id=member, program=program, amount=4, idempotency_key=new_key())
    with pytest.raises(Forbidden):
        await capture_hold(actor, hold_id=held.hold_id, idempotency_key=new_key())
