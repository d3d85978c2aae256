"""A new policy holds for new points; for those that are there only after a preview, and for nobody at once."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.domains.ledger.policy.errors import PreviewOutdated
from engage.domains.ledger.policy.queries import get_expiry_outlook
from engage.domains.ledger.policy.service import apply_expiry_change, preview_expiry_change, publish_points_policy
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms
from engage.domains.ledger.service import earn_points, reschedule_lots, sweep_due
from engage.wiring import register_all
from tests.ledger.books import NOON, STAFF, balance, earn, events, new_key, new_member, new_program, schedule, spend

register_all()  # an admin asks for the job that gives points other ends
DAY = timedelta(days=1)
FIRST = UUID(int=0)


async def publish(program: str, kind: ExpiryKind, after: str | None = None) -> int:
    done = await publish_points_policy(
        SYSTEM, program=program, policy=PolicyTerms(kind, after), idempotency_key=new_key()
    )
    return done.policy.version


async def ends(member: UUID) -> list[timedelta | None]:
    """When each lot of a member ends, counted from noon, in the order in which they were made."""
    rows = await db.fetch(
        "SELECT l.expires_at FROM lots l JOIN transfers t ON t.id = l.source_id"
        " WHERE l.member_id = $1 ORDER BY t.version_after",
        member,
    )
    return [None if row["expires_at"] is None else row["expires_at"] - NOON for row in rows]


async def test_points_that_are_there_keep_their_ends_until_somebody_changes_them(member: UUID) -> None:
    with clock.frozen(NOON):
        program = await new_program()
        await earn(member, program, 10)
        await earn(member, program, 5, expires_at=NOON + 400 * DAY)
        version = await publish(program, ExpiryKind.ROLLING, "P10D")
        await earn(member, program, 3)
        assert await ends(member) == [None, 400 * DAY, 10 * DAY]
        preview = await preview_expiry_change(SYSTEM, program=program, version=version, notice="P20D")
        assert (preview.outlook.lots, preview.outlook.sooner, preview.outlook.later) == (1, 10, 0)
        assert await ends(member) == [None, 400 * DAY, 10 * DAY]
        done = await reschedule_lots(program, version, NOON + 20 * DAY, FIRST, 10)
        assert (done.last_account, done.accounts, done.lots) == (None, 1, 1)
        # Not before the notice is over; what was given by hand stays; what has its end by this version as well.
        assert await ends(member) == [20 * DAY, 400 * DAY, 10 * DAY]
        assert (await events(member))[-1][1:] == (
            "ledger.expiry_changed.v1",
            {"member_id": str(member), "program": program, "version": version, "sooner": 10, "later": 0},
        )
        assert (await reschedule_lots(program, version, NOON + 20 * DAY, FIRST, 10)).lots == 0
    with clock.frozen(NOON + 20 * DAY):
        assert (await balance(member, program)).available == 5
        assert (await schedule(member, program)).total == 5


async def test_what_comes_later_comes_later_at_once(member: UUID) -> None:
    with clock.frozen(NOON):
        program = await new_program(valid_for="P10D")
        await earn(member, program, 10)
        later = await earn_points(
            STAFF, member_id=member, program=program, amount=4, idempotency_key=new_key(), on_confirmation=True
        )
        version = await publish(program, ExpiryKind.NEVER)
        await reschedule_lots(program, version, NOON + 30 * DAY, FIRST, 10)
        assert await ends(member) == [None, None]
        assert later.balance.pending == 4
    with clock.frozen(NOON + 100 * DAY):
        while await sweep_due(100):
            pass
        assert (await spend(member, program, 10)).balance.available == 0


async def test_inactivity_begins_when_it_is_switched_on(member: UUID) -> None:
    with clock.frozen(NOON - 300 * DAY):
        program = await new_program()
        await earn(member, program, 10)
    with clock.frozen(NOON):
        version = await publish(program, ExpiryKind.INACTIVITY, "P90D")
        await reschedule_lots(program, version, NOON + 30 * DAY, FIRST, 10)
    with clock.frozen(NOON + 80 * DAY):
        assert (await balance(member, program)).available == 10
        await spend(member, program, 1)
    with clock.frozen(NOON + 160 * DAY):
        assert (await balance(member, program)).available == 9
    with clock.frozen(NOON + 171 * DAY):
        assert (await balance(member, program)).available == 0


async def test_an_outlook_by_months_adds_up(member: UUID) -> None:
    with clock.frozen(NOON):
        program, other = await new_program(zone="Asia/Shanghai"), await new_member()
        await earn(member, program, 10, expires_at=NOON + 60 * DAY)
        await earn(member, program, 20)
        await earn(member, program, 2, usable_at=NOON + DAY)
        await earn(other, program, 7, expires_at=NOON + 61 * DAY)
        mine = await get_expiry_outlook(STAFF, program=program, member_id=member)
        assert [(line.month, line.amount, line.proposed) for line in mine.months] == [
            (date(2026, 5, 1), 10, 10),
            (None, 22, 22),
        ]
        everyones = await get_expiry_outlook(SYSTEM, program=program)
        assert (everyones.months[0].amount, everyones.total, everyones.sooner) == (17, 39, 0)
        version = await publish(program, ExpiryKind.ROLLING, "P1M")
        then = await get_expiry_outlook(STAFF, program=program, member_id=member, version=version)
        assert [(line.month, line.amount, line.proposed) for line in then.months] == [
            (date(2026, 4, 1), 0, 22),
            (date(2026, 5, 1), 10, 10),
            (None, 22, 0),
        ]


async def test_batches_go_through_a_program_once(program: str) -> None:
    with clock.frozen(NOON):
        members = [await new_member() for _ in range(5)]
        for one in members:
            await earn(one, program, 1)
        version = await publish(program, ExpiryKind.ROLLING, "P40D")
        done = await reschedule_lots(program, version, NOON, FIRST, 2)
        seen = done.lots
        while done.last_account is not None:
            done = await reschedule_lots(program, version, NOON, done.last_account, 2)
            seen += done.lots
        assert seen == 5
        assert [await ends(one) for one in members] == [[40 * DAY]] * 5


async def test_a_preview_is_had_done_once_and_only_while_it_holds(program: str, member: UUID) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 1)
        version = await publish(program, ExpiryKind.ROLLING, "P40D")
        preview = await preview_expiry_change(SYSTEM, program=program, version=version)
        job = await apply_expiry_change(SYSTEM, preview_id=preview.id)
        assert await apply_expiry_change(SYSTEM, preview_id=preview.id) == job
        stale = await preview_expiry_change(SYSTEM, program=program, version=version)
        await publish(program, ExpiryKind.NEVER)
        with pytest.raises(PreviewOutdated) as refused:
            await apply_expiry_change(SYSTEM, preview_id=stale.id)
        assert refused.value.extras == {"in_force": version + 1}
        fresh = await preview_expiry_change(SYSTEM, program=program, version=version + 1)
    with clock.frozen(NOON + 2 * DAY), pytest.raises(PreviewOutdated):
        await apply_expiry_change(SYSTEM, preview_id=fresh.id)
