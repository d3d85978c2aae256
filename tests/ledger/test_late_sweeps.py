"""A late sweep changes nothing: what it posts is what every read has said since the moment itself."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.errors import InvalidInput
from engage.domains.ledger import service
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms, ReturnedKind
from engage.domains.ledger.service import sweep_due
from engage.domains.ledger.types import Balance, TransferKind
from tests.ledger.books import NOON, STAFF, balance, earn, new_key, new_member, spend, statement
from tests.ledger.publishing import program_with, publish, rolling
from tests.ledger.sums import assert_sums

DAY = timedelta(days=1)


@pytest.mark.parametrize("later", [ReturnedKind.LOST, ReturnedKind.REISSUED])
async def test_what_a_deadline_gives_back_follows_the_rules_of_that_moment(member: UUID, later: ReturnedKind) -> None:
    reissued = rolling("P1D", returned_kind=ReturnedKind.REISSUED, returned_grace="P30D")
    first, second = (rolling("P1D"), reissued) if later is ReturnedKind.REISSUED else (reissued, rolling("P1D"))
    program = await program_with(first)
    with clock.frozen(NOON):
        await earn(member, program, 40)
        await service.hold_points(
            STAFF, member_id=member, program=program, amount=30, idempotency_key=new_key(), deadline=NOON + 2 * DAY
        )
    with clock.frozen(NOON + 3 * DAY):
        seen = await balance(member, program)
        await publish(program, second)
        assert await balance(member, program) == seen
    with clock.frozen(NOON + 4 * DAY):
        assert await balance(member, program) == seen
        assert await sweep_due(100) == 1
        assert await balance(member, program) == seen
    assert seen == (Balance() if later is ReturnedKind.REISSUED else Balance(available=30))
    await assert_sums()


@pytest.mark.parametrize("kind", [TransferKind.RELEASE, TransferKind.DEBT_PAID, TransferKind.MATURE])
async def test_what_time_does_is_no_activity(program: str, kind: TransferKind) -> None:
    terms = PolicyTerms(ExpiryKind.INACTIVITY, "P30D", expiry_activities=(TransferKind.EARN, kind))
    with pytest.raises(InvalidInput) as caught:
        await publish(program, terms)
    assert caught.value.path == ["policy", "expiryActivities"]


async def test_activity_does_not_bring_expired_points_back(member: UUID) -> None:
    program = await program_with(
        PolicyTerms(
            ExpiryKind.INACTIVITY,
            "P10D",
            expiry_activities=(TransferKind.EARN, TransferKind.SPEND, TransferKind.REVERSE),
        )
    )
    with clock.frozen(NOON):
        await earn(member, program, 40)
        spent = await spend(member, program, 30)
    with clock.frozen(NOON + 20 * DAY):
        await earn(member, program, 5)
        returned = await service.reverse_transfer(STAFF, transfer_id=spent.transfer_id, idempotency_key=new_key())
        assert returned.balance == Balance(available=5)  # lost, as the policy says of what comes back too late
    await assert_sums()


async def test_what_is_taken_back_from_another_holder_has_not_expired_there(program: str) -> None:
    sender, recipient = await new_member(), await new_member()
    with clock.frozen(NOON):
        earned = await earn(sender, program, 40, expires_at=NOON + 2 * DAY)
        await service.gift_points(
            STAFF, member_id=sender, recipient_id=recipient, program=program, amount=40, idempotency_key=new_key()
        )
    with clock.frozen(NOON + 3 * DAY):
        taken = await service.reverse_transfer(STAFF, transfer_id=earned.transfer_id, idempotency_key=new_key())
        assert taken.balance == Balance(debt=40)
        assert [one.kind for one in await statement(recipient, program)] == ["EXPIRE", "RECEIVE"]
    await assert_sums()


async def test_ends_that_are_changed_late_are_not_put_into_the_past(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 40)
        version = (await publish(program, rolling("P1D"))).policy.version
    late = NOON + 5 * DAY
    with clock.frozen(late):  # the job that was asked for with a notice of two days was paused
        done = await service.reschedule_lots(program, version, NOON + 2 * DAY, UUID(int=0), 10)
        assert done.lots == 1
        assert await db.fetch_value("SELECT expires_at FROM lots WHERE member_id = $1", member) == late
