"""A freeze stops points at once, and what stood still goes on after the thaw."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from engage.base import clock
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.domains.ledger.errors import InsufficientPoints, MemberNotActive
from engage.domains.ledger.service import hold_points, sweep_due
from engage.domains.lifecycle.service import freeze_member, thaw_member
from engage.domains.members.types import MemberState
from tests.ledger.books import NOON, STAFF, balance, earn, events, new_key, new_member, new_program, schedule, spend

DAY = timedelta(days=1)
WHY = "ACCOUNT_TAKEOVER"


async def test_a_freeze_stops_points_and_a_thaw_lets_them_go(connected: Settings) -> None:
    assert connected.database_url
    program, member = await new_program(), await new_member()
    await earn(member, program, 10)
    assert (await freeze_member(STAFF, member_id=member, reason=WHY)).state is MemberState.FROZEN
    with pytest.raises(MemberNotActive) as refused:
        await spend(member, program, 1)
    assert refused.value.extras == {"state": "FROZEN"}
    assert (await earn(member, program, 5)).balance.available == 15
    assert (await thaw_member(STAFF, member_id=member, reason=WHY)).state is MemberState.ACTIVE
    assert (await spend(member, program, 15)).balance.available == 0
    assert [name for _, name, _ in await events(member)] == [
        "ledger.points_earned.v1",
        "members.frozen.v1",
        "ledger.points_earned.v1",
        "members.thawed.v1",
        "ledger.points_spent.v1",
    ]


async def test_expiry_and_deadlines_stand_still_and_go_on(connected: Settings) -> None:
    assert connected.database_url
    program, member = await new_program(), await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 10, expires_at=NOON + 3 * DAY)
        await earn(member, program, 7)
        await hold_points(
            STAFF, member_id=member, program=program, amount=12, deadline=NOON + 2 * DAY, idempotency_key=new_key()
        )
    with clock.frozen(NOON + DAY):
        await freeze_member(STAFF, member_id=member, reason=WHY)
    with clock.frozen(NOON + 30 * DAY):
        assert (await balance(member, program)).held == 12
        while await sweep_due(100):
            pass  # ends, though something of the frozen member would be due
        assert (await balance(member, program)).held == 12
        await thaw_member(STAFF, member_id=member, reason=WHY)
    with clock.frozen(NOON + 31 * DAY - timedelta(seconds=1)):
        assert (await balance(member, program)).held == 12
    with clock.frozen(NOON + 31 * DAY):
        now = await balance(member, program)
        assert (now.available, now.held) == (17, 0)
        assert (await schedule(member, program)).lines[0].amount == 10
    with clock.frozen(NOON + 32 * DAY):
        assert (await balance(member, program)).available == 7
        with pytest.raises(InsufficientPoints):
            await spend(member, program, 8)


async def test_a_freeze_waits_for_no_spend_and_none_follows_it(connected: Settings) -> None:
    assert connected.database_url
    program, member = await new_program(), await new_member()
    await earn(member, program, 1000)

    async def spends() -> bool:
        try:
            await spend(member, program, 1)
        except MemberNotActive:
            return False
        return True

    done = await asyncio.gather(*(spends() for _ in range(20)), freeze_member(STAFF, member_id=member, reason=WHY))
    names = [name for _, name, _ in await events(member)]
    assert (
        names[-1] == "members.frozen.v1" or "ledger.points_spent.v1" not in names[names.index("members.frozen.v1") :]
    )
    assert names.count("ledger.points_spent.v1") == done[:-1].count(True)


async def test_repeating_changes_nothing(connected: Settings) -> None:
    assert connected.database_url
    member = await new_member()
    for command, count in ((freeze_member, 1), (thaw_member, 2)):
        await command(STAFF, member_id=member, reason=WHY)
        await command(STAFF, member_id=member, reason=WHY)
        assert len(await events(member)) == count


@pytest.mark.parametrize("command", [freeze_member, thaw_member])
async def test_what_is_refused(connected: Settings, command: type) -> None:
    assert connected.database_url
    member = await new_member()
    with pytest.raises(Forbidden):
        await command(Actor("a-phone", Role.MEMBER, member), member_id=member, reason=WHY)
    with pytest.raises(InvalidInput):
        await command(STAFF, member_id=member, reason="because I say so")
    with pytest.raises(NotFound):
        await command(STAFF, member_id=new_id(), reason=WHY)
    with pytest.raises(MemberNotActive):
        await command(STAFF, member_id=await new_member("CANCELLED"), reason=WHY)
