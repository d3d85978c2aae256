"""Corrections by hand: small ones at once, those beyond the program's threshold once a second person has agreed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, IdempotencyConflict, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.errors import (
    AdjustmentDecided,
    BalanceLimit,
    InsufficientPoints,
    MemberNotActive,
    SecondPersonNeeded,
)
from engage.domains.ledger.service import Adjusted, adjust_points, approve_adjustment, reject_adjustment
from engage.domains.ledger.types import POINTS_MAX, AdjustmentRecord, AdjustmentState, Balance, Posted
from tests.ledger.books import NOON, STAFF, balance, earn, events, everything, lots, new_key, new_member, statement
from tests.ledger.publishing import program_with, publish, rolling
from tests.ledger.words import ADMIN, SECOND, adjust, approve, claw, ends, merge, put, tried

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)


@pytest.fixture
async def program(connected: object) -> str:
    """A program in which one person alone corrects up to 50 points."""
    assert connected
    return await program_with(rolling("P30D", adjust_alone_max=50))


def done(adjusted: Adjusted) -> Posted:
    assert adjusted.posted is not None
    return adjusted.posted


def waiting(adjusted: Adjusted) -> AdjustmentRecord:
    assert adjusted.posted is None
    assert adjusted.adjustment is not None
    return adjusted.adjustment


async def program_events(program: str) -> list[str]:
    rows = await db.fetch("SELECT name FROM events WHERE stream = 'program:' || $1 ORDER BY position", program)
    return [row["name"].split(".")[1] for row in rows]


async def test_small_corrections_are_posted_at_once(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        up = await adjust(member, program, 50)
        assert (done(up).kind, done(up).amount, up.adjustment) == ("ADJUST_UP", 50, None)
        assert await lots(member, program) == [("OPEN", 50, 50)]
        assert await ends(member, program) == [NOON + 30 * DAY]
        down = await adjust(member, program, -20, reason="WRONG_TILL")
        assert (done(down).kind, done(down).amount) == ("ADJUST_DOWN", -20)
        assert done(down).balance == Balance(available=30)
    assert [(name.split(".")[1], data["reason"]) for _, name, data in await events(member)] == [
        ("points_added", "GOODWILL"), ("points_removed", "WRONG_TILL"),
    ]  # fmt: skip


async def test_the_end_can_be_said(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await adjust(member, program, 5, expires_at=NOON + DAY)
        assert await ends(member, program) == [NOON + DAY]
        for amount in (5, 51):
            before = await everything()
            with pytest.raises(InvalidInput) as caught:
                await adjust(member, program, amount, expires_at=NOON)
            assert caught.value.path == ["expiresAt"]
            assert await everything() == before


async def test_points_that_are_added_pay_debt(member: UUID, program: str) -> None:
    await claw(member, program, 30)
    assert done(await adjust(member, program, 50)).balance == Balance(available=20)


async def test_nothing_is_taken_that_is_not_there(member: UUID, program: str) -> None:
    await earn(member, program, 10)
    with pytest.raises(InsufficientPoints) as caught:
        await adjust(member, program, -11)
    assert caught.value.extras == {"available": 10, "required": 11}


@pytest.mark.parametrize("amount", [51, -51, 10**6])
async def test_large_corrections_wait_for_a_second_person(member: UUID, program: str, amount: int) -> None:
    await earn(member, program, 51)
    adjustment = waiting(await adjust(member, program, amount))
    assert (adjustment.state, adjustment.amount, adjustment.asked_by) == (AdjustmentState.WAITING, amount, ADMIN.id)
    assert await balance(member, program) == Balance(available=51)
    approved = await approve(adjustment.id)
    assert (done(approved).amount, done(approved).balance) == (amount, Balance(available=51 + amount))
    assert approved.adjustment is not None
    assert (approved.adjustment.state, approved.adjustment.decided_by) == (AdjustmentState.APPROVED, SECOND.id)
    assert approved.adjustment.transfer_id == done(approved).transfer_id
    assert (await program_events(program))[1:] == ["adjustment_requested", "adjustment_decided"]


async def test_without_a_threshold_one_person_is_enough(member: UUID) -> None:
    program = await program_with(rolling())
    assert done(await adjust(member, program, POINTS_MAX)).amount == POINTS_MAX
    never_alone = await program_with(rolling(adjust_alone_max=0))
    waiting(await adjust(member, never_alone, 1))


async def test_nobody_approves_what_they_asked_for(member: UUID, program: str) -> None:
    adjustment = waiting(await adjust(member, program, 60))
    before = await everything()
    with pytest.raises(SecondPersonNeeded) as caught:
        await approve(adjustment.id, ADMIN)
    assert caught.value.path == ["adjustmentId"]
    assert await everything() == before
    await approve(adjustment.id)
    with pytest.raises(SecondPersonNeeded):
        await approve(adjustment.id, ADMIN)


async def test_a_rejected_correction_stays_so(member: UUID, program: str) -> None:
    adjustment = waiting(await adjust(member, program, 60))
    for actor in (SECOND, ADMIN):  # also by the one who asked: they take it back
        rejected = await reject_adjustment(actor, adjustment_id=adjustment.id)
        assert (rejected.state, rejected.decided_by) == (AdjustmentState.REJECTED, SECOND.id)
    with pytest.raises(AdjustmentDecided) as caught:
        await approve(adjustment.id)
    assert caught.value.extras == {"state": AdjustmentState.REJECTED}
    other = waiting(await adjust(member, program, 60))
    await approve(other.id)
    with pytest.raises(AdjustmentDecided) as approved:
        await reject_adjustment(SECOND, adjustment_id=other.id)
    assert approved.value.extras == {"state": AdjustmentState.APPROVED}
    assert await balance(member, program) == Balance(available=60)
    for command in (approve_adjustment, reject_adjustment):
        with pytest.raises(NotFound):
            await command(SECOND, adjustment_id=new_id())


async def test_a_correction_that_was_posted_is_answered_again(member: UUID, program: str) -> None:
    first = done(await adjust(member, program, 40, "once"))
    again = done(await adjust(member, program, 40, "once"))
    assert (again.replayed, again.transfer_id) == (True, first.transfer_id)
    await publish(program, rolling("P30D", adjust_alone_max=0))
    again = done(await adjust(member, program, 40, "once"))  # though such a one would wait by now
    assert (again.replayed, again.transfer_id) == (True, first.transfer_id)
    assert await db.fetch_value("SELECT count(*) FROM adjustments WHERE member_id = $1", member) == 0
    with pytest.raises(IdempotencyConflict):
        await adjust(member, program, 41, "once")


async def test_a_correction_that_waits_is_answered_again(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        first = waiting(await adjust(member, program, 60, "wait", expires_at=NOON + DAY, note="words"))
    with clock.frozen(NOON + 2 * DAY):
        again = waiting(await adjust(member, program, 60, "wait", expires_at=NOON + DAY, note="words"))
        assert again == first
    before = await everything()
    given: dict[str, Any] = {"amount": 60, "reason": "GOODWILL", "note": "words", "expires_at": NOON + DAY}
    for name, value in (("amount", 61), ("reason", "OTHER"), ("note", None), ("expires_at", NOON + 2 * DAY)):
        with pytest.raises(IdempotencyConflict):
            await adjust(member, program, key="wait", **(given | {name: value}))
    assert await everything() == before
    with clock.frozen(NOON):
        await publish(program, rolling("P30D"), effective_at=NOON)
        again = waiting(await adjust(member, program, 60, "wait", expires_at=NOON + DAY, note="words"))
        assert again == first  # though one person would be enough by now
    assert await balance(member, program) == Balance()


async def test_asking_many_times_at_once_asks_once(member: UUID, program: str) -> None:
    answers = await asyncio.gather(*(adjust(member, program, 60, "at once") for _ in range(8)))
    assert len({waiting(answer).id for answer in answers}) == 1
    assert (await program_events(program)).count("adjustment_requested") == 1


async def test_approving_many_times_at_once_posts_once(member: UUID, program: str) -> None:
    adjustment = waiting(await adjust(member, program, 60))
    third = Actor("desk-3", Role.ADMIN)
    answers = await asyncio.gather(*(approve(adjustment.id, actor) for actor in [SECOND, third] * 4))
    assert len({done(answer).transfer_id for answer in answers}) == 1
    assert await balance(member, program) == Balance(available=60)
    assert len(await statement(member, program)) == 1


async def test_approving_again_posts_nothing_when_the_key_is_forgotten(member: UUID, program: str) -> None:
    adjustment = waiting(await adjust(member, program, 60))
    transfer_id = done(await approve(adjustment.id)).transfer_id
    await db.execute("DELETE FROM idempotency_answers")
    again = await approve(adjustment.id)
    assert again.posted is None
    assert again.adjustment is not None
    assert (again.adjustment.state, again.adjustment.transfer_id) == (AdjustmentState.APPROVED, transfer_id)
    assert await balance(member, program) == Balance(available=60)


async def test_approving_and_rejecting_at_once(member: UUID, program: str) -> None:
    adjustment = waiting(await adjust(member, program, 60))
    answers = await asyncio.gather(
        *(tried(approve(adjustment.id), AdjustmentDecided) for _ in range(3)),
        *(tried(reject_adjustment(SECOND, adjustment_id=adjustment.id), AdjustmentDecided) for _ in range(3)),
    )
    state = await db.fetch_value("SELECT state FROM adjustments WHERE id = $1", adjustment.id)
    assert sum(isinstance(answer, AdjustmentDecided) for answer in answers) == 3
    assert await balance(member, program) == Balance(available=60 if state == "APPROVED" else 0)


async def test_a_refused_approval_leaves_it_waiting(member: UUID, program: str) -> None:
    taking = waiting(await adjust(member, program, -60))
    giving = waiting(await adjust(member, program, POINTS_MAX))
    with pytest.raises(InsufficientPoints):
        await approve(taking.id)
    await earn(member, program, 60)
    with pytest.raises(BalanceLimit):
        await approve(giving.id)
    assert done(await approve(taking.id)).balance == Balance()
    assert done(await approve(giving.id)).amount == POINTS_MAX


async def test_corrections_go_on_for_members_who_have_left_or_were_merged(member: UUID, program: str) -> None:
    await put(member, "CANCELLED")
    assert done(await adjust(member, program, 10)).amount == 10
    other, survivor = await new_member(), await new_member()
    adjustment = waiting(await adjust(other, program, 60))
    await merge(other, survivor)
    assert done(await approve(adjustment.id)).member_id == survivor
    await put(member, "ERASED")
    with pytest.raises(MemberNotActive):
        await adjust(member, program, 1)


async def test_a_note_stands_beside_and_can_be_erased(member: UUID, program: str) -> None:
    small = done(await adjust(member, program, 5, note=" The card reader was down "))
    large = waiting(await adjust(member, program, 60, note="The reader again"))
    assert large.note == "The reader again"
    posted = done(await approve(large.id))
    rows = await db.fetch("SELECT transfer_id, text FROM transfer_notes WHERE member_id = $1 ORDER BY text", member)
    assert [tuple(row) for row in rows] == [
        (small.transfer_id, "The card reader was down"), (posted.transfer_id, "The reader again"),
    ]  # fmt: skip
    for table in ("events", "outbox", "transfers", "idempotency_answers"):
        found = f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%reader%'"  # noqa: S608 -- our own names
        assert await db.fetch_value(found) == 0
    await db.execute("DELETE FROM transfer_notes WHERE member_id = $1", member)
    await db.execute("UPDATE adjustments SET note = NULL WHERE member_id = $1", member)


async def test_who_corrects(member: UUID, program: str) -> None:
    adjustment = waiting(await adjust(member, program, 60))
    for actor in (Actor("moderator-3", Role.MODERATOR), Actor("a-phone", Role.MEMBER, member)):
        with pytest.raises(Forbidden):
            await adjust_points(
                actor, member_id=member, program=program, amount=1, reason="GOODWILL", idempotency_key=new_key()
            )
        for command in (approve_adjustment, reject_adjustment):
            with pytest.raises(Forbidden):
                await command(actor, adjustment_id=adjustment.id)
    assert done(await approve(adjustment.id, STAFF)).amount == 60


async def test_what_cannot_be(member: UUID, program: str) -> None:
    before = await everything()
    for amount in (0, POINTS_MAX + 1, -POINTS_MAX - 1):
        with pytest.raises(InvalidInput) as caught:
            await adjust(member, program, amount)
        assert caught.value.path == ["amount"]
    for amount in (5, 60):
        with pytest.raises(NotFound) as missing:
            await adjust(new_id(), program, amount)
        assert missing.value.path == ["memberId"]
        with pytest.raises(NotFound) as nowhere:
            await adjust(member, "nowhere", amount)
        assert nowhere.value.path == ["program"]
        with pytest.raises(InvalidInput) as long:
            await adjust(member, program, amount, note="x" * 501)
        assert long.value.path == ["note"]
    assert await everything() == before
