"""Pending points: usable later or on confirmation, which may come early; taken back before anyone could use them.

They expire as points do that become usable then, and pay debt when they do (rules 1, 3 and 7).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.errors import ExceedsReversible, InsufficientPoints, MemberNotActive, NotPending
from engage.domains.ledger.service import cancel_pending, confirm_pending, sweep_due
from engage.domains.ledger.types import Balance, Posted, TakenPosted
from tests.ledger.books import (
    NOON,
    amounts,
    balance,
    earn,
    events,
    everything,
    lots,
    new_key,
    new_member,
    schedule,
    spend,
    statement,
)
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import cancel, claw, confirm, deduct, ends, merge, put, restore, tried

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)


async def test_points_on_confirmation_wait_for_it(member: UUID) -> None:
    program = await program_with(rolling("P30D"))
    with clock.frozen(NOON):
        earned = await earn(member, program, 40, on_confirmation=True)
        assert earned.balance == Balance(pending=40)
    with clock.frozen(NOON + 1000 * DAY):
        assert await balance(member, program) == Balance(pending=40)
        assert (await schedule(member, program)).total == 0
        with pytest.raises(InsufficientPoints):
            await spend(member, program, 1)
        confirmed = await confirm(earned.transfer_id)
        assert (confirmed.kind, confirmed.amount, confirmed.balance) == ("CONFIRM", 40, Balance(available=40))
        assert await ends(member, program) == [NOON + 1030 * DAY]
    records = await statement(member, program)
    assert records[0].refers_id == earned.transfer_id
    assert [name for _, name, _ in await events(member)] == [
        "ledger.points_earned.v1", "ledger.points_confirmed.v1",
    ]  # fmt: skip
    assert await lots(member, program) == [("OPEN", 40, 40)]


async def test_a_confirmation_before_the_time_keeps_the_end_that_was_given(member: UUID) -> None:
    program = await program_with(rolling("P30D"))
    with clock.frozen(NOON):
        earned = await earn(member, program, 40, usable_at=NOON + 10 * DAY)
        assert await ends(member, program) == [NOON + 40 * DAY]
    with clock.frozen(NOON + DAY):
        assert (await confirm(earned.transfer_id)).balance == Balance(available=40)
        assert await ends(member, program) == [NOON + 40 * DAY]
    with clock.frozen(NOON + 10 * DAY):
        assert await balance(member, program) == Balance(available=40)
        assert amounts(await statement(member, program)) == [40, 40]


async def test_a_confirmation_may_say_the_end(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        earned = await earn(member, program, 40, on_confirmation=True)
        before = await everything()
        with pytest.raises(InvalidInput) as caught:
            await confirm(earned.transfer_id, expires_at=NOON)
        assert caught.value.path == ["expiresAt"]
        assert await everything() == before
        await confirm(earned.transfer_id, expires_at=NOON + DAY)
    with clock.frozen(NOON + DAY):
        assert await balance(member, program) == Balance()


async def test_expiry_counts_from_when_points_can_be_used(member: UUID) -> None:
    program = await program_with(rolling("P1M"))
    with clock.frozen(NOON):
        await earn(member, program, 40, usable_at=datetime.fromisoformat("2026-08-31T00:00Z"))
        assert await ends(member, program) == [datetime.fromisoformat("2026-09-30T00:00Z")]


async def test_on_confirmation_there_are_no_times_yet(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        for when in ("usable_at", "expires_at"):
            times: dict[str, Any] = {when: NOON + DAY}
            with pytest.raises(InvalidInput) as caught:
                await earn(member, program, 1, on_confirmation=True, **times)
            assert caught.value.path == ["onConfirmation"]


async def test_what_is_not_pending_is_neither_confirmed_nor_cancelled(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        usable = await earn(member, program, 40)
        confirmed = await earn(member, program, 5, on_confirmation=True)
        matured = await earn(member, program, 7, usable_at=NOON + DAY)
        await confirm(confirmed.transfer_id)
    with clock.frozen(NOON + DAY):
        assert await balance(member, program) == Balance(available=52)
        for posted in (usable, confirmed, matured):
            for command in (confirm, cancel):
                with pytest.raises(NotPending) as caught:
                    await command(posted.transfer_id)
                assert (caught.value.path, caught.value.extras) == (["transferId"], {"state": "OPEN"})
        spent = await spend(member, program, 52)
        with pytest.raises(NotPending) as closed:
            await confirm(spent.transfer_id)
        assert closed.value.extras == {"state": "CLOSED"}
    for command in (confirm, cancel):
        with pytest.raises(NotFound) as missing:
            await command(new_id())
        assert missing.value.path == ["transferId"]


async def test_pending_points_are_cancelled_in_parts_and_whole(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        earned = await earn(member, program, 40, usable_at=NOON + DAY)
        part = await cancel(earned.transfer_id, 15)
        assert (part.kind, part.amount, part.taken, part.balance) == ("CLAWBACK", -15, 15, Balance(pending=25))
        for amount in (26, 40):
            with pytest.raises(ExceedsReversible) as caught:
                await cancel(earned.transfer_id, amount)
            assert caught.value.extras == {"remaining": 25, "required": amount}
        rest = await cancel(earned.transfer_id)
        assert (rest.amount, rest.balance) == (-25, Balance())
        with pytest.raises(ExceedsReversible):
            await cancel(earned.transfer_id)
    with clock.frozen(NOON + DAY):
        assert await balance(member, program) == Balance()
        assert amounts(await statement(member, program)) == [-25, -15, 40]


async def test_what_is_left_of_cancelled_points_is_confirmed(member: UUID, program: str) -> None:
    earned = await earn(member, program, 40, on_confirmation=True)
    await cancel(earned.transfer_id, 15)
    confirmed = await confirm(earned.transfer_id)
    assert (confirmed.amount, confirmed.balance) == (25, Balance(available=25))


async def test_cancelling_takes_nothing_but_these_points(member: UUID, program: str) -> None:
    await earn(member, program, 100)
    other = await earn(member, program, 10, on_confirmation=True)
    earned = await earn(member, program, 40, on_confirmation=True)
    taken = await deduct(member, program, 130, from_pending=True)
    assert taken.balance == Balance(pending=20)
    cancelled = [await tried(cancel(one.transfer_id), NotPending) for one in (other, earned)]
    assert sum(one.taken for one in cancelled if isinstance(one, TakenPosted)) == 20
    assert await balance(member, program) == Balance()
    assert (await restore(taken.transfer_id)).balance == Balance(available=100, pending=30)


async def test_cancelling_all_takes_what_a_penalty_has_left(member: UUID, program: str) -> None:
    earned = await earn(member, program, 40, on_confirmation=True)
    taken = await deduct(member, program, 30, from_pending=True)
    with pytest.raises(NotPending):
        await cancel(earned.transfer_id, 11)
    cancelled = await cancel(earned.transfer_id)
    assert (cancelled.amount, cancelled.balance) == (-10, Balance())
    await restore(taken.transfer_id)
    assert (await cancel(earned.transfer_id)).amount == -30


async def test_points_pay_debt_when_they_become_usable(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await claw(member, program, 50)
        first = await earn(member, program, 20, usable_at=NOON + DAY)
        second = await earn(member, program, 40, on_confirmation=True)
        third = await earn(member, program, 7, usable_at=NOON + 2 * DAY)
        assert third.balance == Balance(pending=67, debt=50)
        assert first.balance == Balance(pending=20, debt=50)
    with clock.frozen(NOON + DAY):
        before = await everything()
        assert await balance(member, program) == Balance(pending=47, debt=30)
        assert await everything() == before
        assert (await confirm(second.transfer_id)).balance == Balance(available=10, pending=7)
    with clock.frozen(NOON + 2 * DAY):
        assert await balance(member, program) == Balance(available=17)
    kinds = [one.kind for one in await statement(member, program)]
    assert kinds[:4] == ["DEBT_PAID", "CONFIRM", "DEBT_PAID", "MATURE"]


async def test_the_sweep_pays_debt_of_what_matures(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await claw(member, program, 25)
        for amount in (10, 20, 30):
            await earn(member, program, amount, usable_at=NOON + DAY, expires_at=NOON + 2 * DAY)
    for days, expected in ((1, Balance(available=35)), (2, Balance())):
        with clock.frozen(NOON + days * DAY):
            assert await balance(member, program) == expected
            assert (await schedule(member, program)).total == expected.available
    with clock.frozen(NOON + 3 * DAY):  # matured, paid and expired in one sweep
        while await sweep_due(100):
            pass
        assert await balance(member, program) == Balance()
    records = await statement(member, program)
    assert (records[0].kind, records[0].amount) == ("EXPIRE", -35)
    assert -sum(one.amount for one in records if one.kind == "DEBT_PAID") == 25


async def test_pending_points_go_on_pending_through_a_merge(member: UUID, program: str) -> None:
    survivor = await new_member()
    with clock.frozen(NOON):
        waiting = await earn(member, program, 40, on_confirmation=True)
        later = await earn(member, program, 10, usable_at=NOON + DAY)
        await merge(member, survivor)
        assert await balance(survivor, program) == Balance(pending=50)
        assert (await confirm(waiting.transfer_id)).balance == Balance(available=40, pending=10)
        assert (await cancel(later.transfer_id, 4)).balance == Balance(available=40, pending=6)
    with clock.frozen(NOON + DAY):
        assert await balance(survivor, program) == Balance(available=46)


async def test_all_that_is_pending_is_confirmed_though_a_merge_has_parted_it(member: UUID, program: str) -> None:
    survivor = await new_member()
    earned = await earn(member, program, 40, on_confirmation=True)
    taken = await deduct(member, program, 30, from_pending=True)
    await merge(member, survivor)
    assert (await restore(taken.transfer_id)).balance == Balance(pending=40)
    confirmed = await confirm(earned.transfer_id)
    assert (confirmed.amount, confirmed.balance) == (40, Balance(available=40))


async def test_confirming_and_cancelling_at_once(member: UUID, program: str) -> None:
    earned = await earn(member, program, 40, on_confirmation=True)
    answers = await asyncio.gather(
        *(tried(confirm(earned.transfer_id), NotPending) for _ in range(5)),
        *(tried(cancel(earned.transfer_id), NotPending, ExceedsReversible) for _ in range(5)),
    )
    done = [answer for answer in answers if isinstance(answer, Posted)]
    assert len(done) == 1
    assert (await balance(member, program)).available == (40 if done[0].kind == "CONFIRM" else 0)


async def test_a_frozen_members_points_are_confirmed_a_suspended_ones_are_not(member: UUID, program: str) -> None:
    earned = await earn(member, program, 40, on_confirmation=True)
    await put(member, "SUSPENDED")
    with pytest.raises(MemberNotActive) as caught:
        await confirm(earned.transfer_id)
    assert caught.value.extras == {"state": "SUSPENDED"}
    assert (await cancel(earned.transfer_id)).balance == Balance()


async def test_a_member_confirms_nothing(member: UUID, program: str) -> None:
    earned = await earn(member, program, 40, on_confirmation=True)
    actor = Actor("a-phone", Role.MEMBER, member)
    for command in (confirm_pending, cancel_pending):
        with pytest.raises(Forbidden):
            await command(actor, transfer_id=earned.transfer_id, idempotency_key=new_key())
