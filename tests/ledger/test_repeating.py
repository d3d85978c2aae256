"""A command repeated with its key finds its first answer, whatever has changed since."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import IdempotencyConflict, InvalidInput
from engage.domains.ledger import service
from engage.domains.ledger.types import AdjustmentState
from tests.ledger.books import NOON, STAFF, balance, earn, new_key, new_program
from tests.ledger.publishing import program_with, publish, rolling

SECOND = Actor("desk-2", Role.STAFF)
ADMIN = Actor("desk-3", Role.ADMIN)


async def adjust(member: UUID, program: str, amount: int, key: str, **more: Any) -> service.Adjusted:
    return await service.adjust_points(
        STAFF, member_id=member, program=program, amount=amount, reason="CORRECTION", idempotency_key=key, **more
    )


async def asked(member: UUID) -> int:
    """How many corrections of a member have been asked for."""
    found: int = await db.fetch_value("SELECT count(*) FROM adjustments WHERE member_id = $1", member)
    return found


async def test_a_hold_is_found_again_after_its_deadline(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)
        key, deadline = new_key(), NOON + timedelta(hours=1)
        first = await service.hold_points(
            STAFF, member_id=member, program=program, amount=4, idempotency_key=key, deadline=deadline
        )
    with clock.frozen(NOON + timedelta(hours=2)):
        again = await service.hold_points(
            STAFF, member_id=member, program=program, amount=4, idempotency_key=key, deadline=deadline
        )
        assert (again.hold_id, again.replayed) == (first.hold_id, True)
        with pytest.raises(InvalidInput) as caught:
            await service.hold_points(
                STAFF, member_id=member, program=program, amount=4, idempotency_key=new_key(), deadline=deadline
            )
    assert caught.value.path == ["deadline"]


async def test_a_posted_correction_is_found_again_when_it_would_wait_by_now(member: UUID) -> None:
    program, key = await program_with(rolling()), new_key()
    first = await adjust(member, program, 50, key)
    await publish(program, rolling(adjust_alone_max=10))
    again = await adjust(member, program, 50, key)
    assert again.posted is not None
    assert first.posted is not None
    assert (again.posted.transfer_id, again.posted.replayed) == (first.posted.transfer_id, True)
    assert (await balance(member, program)).available == 50
    assert await asked(member) == 0
    with pytest.raises(IdempotencyConflict):
        await adjust(member, program, 51, key)


async def test_a_waiting_correction_is_found_again_when_one_person_would_do_by_now(member: UUID) -> None:
    program, key = await program_with(rolling(adjust_alone_max=10)), new_key()
    first = await adjust(member, program, 50, key)
    await publish(program, rolling())
    again = await adjust(member, program, 50, key)
    assert first.adjustment is not None
    assert again.adjustment == first.adjustment
    assert (first.replayed, again.replayed) == (False, True)
    assert (await balance(member, program)).available == 0


async def test_a_waiting_correction_is_another_with_another_end(member: UUID) -> None:
    program, key = await program_with(rolling(adjust_alone_max=10)), new_key()
    until = clock.now() + timedelta(days=3)
    await adjust(member, program, 50, key, expires_at=until)
    assert (await adjust(member, program, 50, key, expires_at=until)).replayed
    with pytest.raises(IdempotencyConflict):
        await adjust(member, program, 50, key, expires_at=until + timedelta(days=1))


async def test_an_approval_is_found_again_and_posts_nothing_twice_when_its_key_is_forgotten(member: UUID) -> None:
    program = await program_with(rolling(adjust_alone_max=10))
    waiting = (await adjust(member, program, 50, new_key())).adjustment
    assert waiting is not None
    first = await service.approve_adjustment(SECOND, adjustment_id=waiting.id)
    assert first.posted is not None
    again = await service.approve_adjustment(SECOND, adjustment_id=waiting.id)
    assert again.posted is not None
    assert (again.posted.transfer_id, again.posted.replayed) == (first.posted.transfer_id, True)
    await db.execute("DELETE FROM idempotency_answers")
    later = await service.approve_adjustment(SECOND, adjustment_id=waiting.id)
    assert later.posted is None
    assert later.adjustment is not None
    assert (later.adjustment.state, later.adjustment.transfer_id) == (
        AdjustmentState.APPROVED,
        first.posted.transfer_id,
    )
    assert later.replayed
    assert (await balance(member, program)).available == 50


async def test_a_key_like_that_of_an_approval_does_not_stand_in_its_way(member: UUID) -> None:
    program = await program_with(rolling(adjust_alone_max=10))
    waiting = (await adjust(member, program, 50, new_key())).adjustment
    assert waiting is not None
    await adjust(member, program, 5, f"adjustment:{waiting.id}")
    assert (await service.approve_adjustment(SECOND, adjustment_id=waiting.id)).posted is not None
    assert (await balance(member, program)).available == 55


async def test_a_rate_is_published_once_under_its_key_even_when_it_has_begun(program: str) -> None:
    here, there = program, await new_program()
    key, begins = new_key(), NOON + timedelta(minutes=1)

    async def publish_rate(numerator: int) -> tuple[UUID, int, bool]:
        rate = await service.publish_exchange_rate(
            ADMIN, from_program=here, to_program=there, numerator=numerator, denominator=2,
            effective_at=begins, idempotency_key=key,
        )  # fmt: skip
        return rate.id, rate.position, rate.replayed

    with clock.frozen(NOON):
        first = await publish_rate(3)
    with clock.frozen(NOON + timedelta(hours=1)):
        assert await publish_rate(3) == (*first[:2], True)
        with pytest.raises(IdempotencyConflict):
            await publish_rate(4)
    assert await db.fetch_value("SELECT count(*) FROM exchange_rates WHERE from_program = $1", here) == 1


@pytest.mark.parametrize(("numerator", "denominator", "path"), [(1.5, 1, "numerator"), (1, 0.5, "denominator")])
async def test_the_figures_of_a_rate_are_whole(program: str, numerator: float, denominator: float, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await service.publish_exchange_rate(
            ADMIN, from_program=program, to_program=await new_program(),
            numerator=numerator, denominator=denominator,  # type: ignore[arg-type]
        )  # fmt: skip
    assert caught.value.path == [path]


async def test_many_at_once_with_one_key_correct_once(member: UUID) -> None:
    program, key = await program_with(rolling(adjust_alone_max=10)), new_key()
    for amount, waiting in ((7, 0), (70, 1)):
        done = await asyncio.gather(*(adjust(member, program, amount, f"{key}-{amount}") for _ in range(8)))
        assert sorted(one.replayed for one in done) == [False] + [True] * 7
        assert await asked(member) == waiting
    assert (await balance(member, program)).available == 7
