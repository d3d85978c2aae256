"""Disagreements that the state machine, the storm and their model have found, each in the smallest form."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.domains.ledger.policy.types import BonusStep, ExpiryKind, PolicyTerms
from engage.domains.ledger.types import Balance, Shortfall
from tests.ledger import words
from tests.ledger.books import NOON, balance, earn, new_member, spend
from tests.ledger.publishing import program_with

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)


async def bonus_of(top_up_id: UUID) -> UUID:
    bonus_id: UUID = await db.fetch_value("SELECT bonus_transfer_id FROM top_ups WHERE id = $1", top_up_id)
    return bonus_id


async def offering(**more: str) -> str:
    """A program in which gifts are offered and accepted."""
    return await program_with(PolicyTerms(ExpiryKind.NEVER, gift_accept_within="P5D", **more))  # type: ignore[arg-type]


async def test_points_come_back_to_a_merged_member_as_their_lot_is_by_now(member: UUID, program: str) -> None:
    other = await new_member()
    earned = await earn(member, program, 100, on_confirmation=True)
    deducted = await words.deduct(member, program, 40, from_pending=True)
    await words.merge(member, other)
    await words.confirm(earned.transfer_id)
    assert (await words.restore(deducted.transfer_id)).balance == Balance(available=100)


async def test_a_bonus_pays_debt_as_every_earning_does(member: UUID) -> None:
    bonus = BonusStep(Decimal(0), per_mille=100)
    program = await program_with(PolicyTerms(ExpiryKind.NEVER, top_up_bonus=(bonus,)))
    first = await words.top_up(member, program, 100)
    await words.pay(member, program, 110)
    bonus_id = await bonus_of(first.transfer_id)
    assert (await words.take_back(bonus_id)).balance == Balance(debt=10)
    assert (await words.top_up(member, program, 200)).balance == Balance(available=210)


async def test_of_points_that_arrive_those_pay_debt_that_expire_first(program: str) -> None:
    giver, taker = await new_member(), await new_member()
    for days in (9, 3, 7, 1, 5):
        with clock.frozen(NOON):
            await earn(giver, program, 10, expires_at=NOON + days * DAY)
    with clock.frozen(NOON):
        await words.deduct(taker, program, 25, shortfall=Shortfall.DEBT)
        await words.gift(giver, taker, program, 50)
        assert await words.ends(taker, program) == [NOON + days * DAY for days in (5, 7, 9)]


@dataclass
class Slow:
    """A command in a transaction that is committed when the test lets it go."""

    command: Callable[[], Awaitable[object]]
    done: asyncio.Event = field(default_factory=asyncio.Event)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with db.transaction():
            await self.command()
            self.done.set()
            await self.may_go.wait()


async def are_waiting(number: int) -> bool:
    """Whether so many commands wait for a lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await db.fetch_value(sql) == number)


async def test_whoever_was_merged_away_is_not_locked(member: UUID, program: str) -> None:
    other, third = await new_member(), await new_member()
    earned = await earn(member, program, 40)
    spent = await spend(member, program, 10)
    await words.merge(member, other)
    locking = Slow(lambda: db.execute("SELECT FROM members WHERE id = $1 FOR UPDATE", member))
    async with asyncio.TaskGroup() as group:
        group.create_task(locking.run())
        await locking.done.wait()
        await earn(member, program, 5)
        await words.reverse(spent.transfer_id)
        await words.take_back(earned.transfer_id, 15)
        await words.gift(member, third, program, 10)
        locking.may_go.set()
    assert await balance(other, program) == Balance(available=20)
