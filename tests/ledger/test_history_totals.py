"""Totals: what is outstanding follows from all that was ever moved, swept or not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, NotFound
from engage.base.settings import Settings
from engage.domains.ledger import queries, service
from engage.domains.ledger.queries.records import ProgramPoints, ProgramValue
from engage.domains.ledger.types import Balance
from tests.ledger.books import NOON, balance, earn, new_key, new_program
from tests.ledger.whole_books import DAY, HOUR, Story, write_books


@pytest.fixture(scope="module")
async def story(connected: Settings) -> Story:
    assert connected.database_url
    return await write_books()


def derived(of: ProgramPoints) -> int:
    """What must be outstanding, as the description of the API says."""
    return (
        of.issued + of.adjusted + of.exchanged_in + of.returned - of.spent - of.expired - of.donated - of.forfeited
        - of.fees - of.exchanged_out - of.clawed_back
    )  # fmt: skip


def derived_value(of: ProgramValue) -> int:
    return of.topped_up + of.bonus + of.returned - of.paid - of.refunded - of.taken_back - of.expired


def owed(of: Balance) -> int:
    return of.available + of.pending + of.held - of.debt


async def test_figures_of_books_with_every_kind_of_transfer(story: Story) -> None:
    with clock.frozen(NOON + 3 * DAY):
        points = await queries.get_program_points(SYSTEM, story.program)
        balances = [await balance(member, story.program) for member in (story.member, story.friend, story.twin)]
    assert points == ProgramPoints(
        members=3, issued=1000 + 50 + 40 + 30 + 20 + 9 + 60, spent=70 + 60, expired=9, reversed=20 + 25 + 30,
        outstanding=sum(map(owed, balances)), donated=5, forfeited=150, adjusted=25 - 15, exchanged_in=0,
        exchanged_out=81, gifted=200, fees=3, clawed_back=7 + 25, returned=20 + 30,
        debt=sum(one.debt for one in balances),
    )  # fmt: skip
    assert derived(points) == points.outstanding
    there = await queries.get_program_points(SYSTEM, story.other_program)
    assert (there.exchanged_in, there.outstanding, derived(there)) == (40, 40, 40)


async def test_figures_of_stored_value(story: Story) -> None:
    with clock.frozen(NOON + 3 * DAY):
        value = await queries.get_program_value(SYSTEM, story.program)
    assert value == ProgramValue(
        members=1, money="EUR", topped_up=2050, bonus=205, paid=500, refunded=430, taken_back=43, returned=0,
        expired=0, outstanding=1282,
    )  # fmt: skip
    assert derived_value(value) == value.outstanding


async def test_figures_are_the_same_before_and_after_the_sweep() -> None:
    story = await write_books()
    with clock.frozen(NOON + 3 * DAY):
        await service.clawback_points(
            SYSTEM, member_id=story.friend, program=story.program, amount=1000, idempotency_key=new_key()
        )
        await earn(story.friend, story.program, 30, usable_at=NOON + 4 * DAY)
        await earn(story.friend, story.program, 900, usable_at=NOON + 5 * DAY, expires_at=NOON + 7 * DAY)
    at = [NOON + days * DAY for days in (3, 4, 5, 7, 40, 1000)]
    before = [await _figures(story, moment) for moment in at]
    with clock.frozen(at[-1]):
        while await service.sweep_due(100):
            pass
    assert await _figures(story, at[-1]) == before[-1]
    debts = [points.debt for points, _ in before]
    assert debts[0] > debts[1] > debts[2]
    assert [points.expired for points, _ in before] == sorted(points.expired for points, _ in before)


async def _figures(story: Story, at: datetime) -> Any:
    with clock.frozen(at):
        points = await queries.get_program_points(SYSTEM, story.program)
        value = await queries.get_program_value(SYSTEM, story.program)
        balances = [await balance(member, story.program) for member in (story.member, story.friend, story.twin)]
    assert derived(points) == points.outstanding == sum(map(owed, balances))
    assert points.debt == sum(one.debt for one in balances)
    assert derived_value(value) == value.outstanding
    return points, value


async def test_an_expired_bonus_is_expired_before_any_sweep() -> None:
    story = await write_books()
    await db.execute("UPDATE lots SET expires_at = $2 WHERE source_id IN (SELECT bonus_transfer_id FROM top_ups"
                     " WHERE member_id = $1)", story.member, NOON + 4 * DAY)  # fmt: skip
    await db.execute("UPDATE accounts SET next_due_at = $2 WHERE member_id = $1", story.member, NOON + 4 * DAY)
    with clock.frozen(NOON + 4 * DAY + HOUR):
        value = await queries.get_program_value(SYSTEM, story.program)
    assert value.expired > 0
    assert derived_value(value) == value.outstanding


async def test_totals_are_for_admins_and_of_programs_that_there_are() -> None:
    program = await new_program()
    assert (await queries.get_program_value(SYSTEM, program)).outstanding == 0
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(Forbidden):
            await queries.get_program_value(Actor("x", role), program)
        with pytest.raises(Forbidden):
            await queries.get_program_points(Actor("x", role), program)
    with pytest.raises(NotFound):
        await queries.get_program_value(SYSTEM, "nowhere")
