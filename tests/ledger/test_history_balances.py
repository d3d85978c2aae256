"""A balance of the past is what every reader was told then, whatever has been posted since."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engage.base import clock, db
from engage.base.readings import Fetch, fetch_together
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.domains.ledger.queries import BALANCES, BALANCES_AT, STORED_VALUES
from engage.domains.ledger.queries.records import StoredValue
from engage.domains.ledger.types import Balance
from tests.ledger.books import NOON, STAFF, balance, earn, new_key, spend
from tests.ledger.lives import HOUR, Life, Step, steps
from tests.ledger.sums import assert_sums

Told = dict[tuple[UUID, str, str], Balance | None]


@pytest.fixture(scope="module", autouse=True)
async def database(connected: Settings) -> None:
    assert connected.database_url


def _balance(found: Balance | StoredValue | None) -> Balance | None:
    return found.balance if isinstance(found, StoredValue) else found


async def told(life: Life, at: datetime | None = None) -> Told:
    """All balances as they are told now; or now of the past."""
    members = tuple(life.members)
    fetches: list[Fetch[Any]] = []
    for program in life.programs:
        fetches += [
            Fetch(BALANCES, members, (program, clock.now()))
            if at is None
            else Fetch(BALANCES_AT, members, (program, at)),
            Fetch(STORED_VALUES, members, (program, at, clock.now())),
        ]
    return {
        (member, str(fetch.args[0]), "CASH" if fetch.reading is STORED_VALUES else "POINTS"): _balance(
            found.get(str(member), fetch.reading.absent)
        )
        for fetch, found in zip(fetches, await fetch_together(fetches), strict=True)
        for member in members
    }


async def live(story: list[Step]) -> None:
    """Live through a story, remember what was told on the way, and ask for all of it at the end."""
    with ExitStack() as stack:
        life = Life(stack)
        await life.begin()
        before = {life.now - HOUR: await told(life)}
        for step in story:
            await life.do(step)
            before[life.now] = await told(life)
            life.wait(HOUR / 2)
            before[life.now] = await told(life)
        await assert_sums()
        for at, expected in before.items():
            assert await told(life, at) == expected, at
        life.wait(HOUR * 24 * 40)
        while await _swept(life):
            pass
        for at, expected in before.items():
            assert await told(life, at) == expected, at


async def _swept(life: Life) -> bool:
    due = "SELECT EXISTS (SELECT FROM accounts WHERE next_due_at <= $1)"
    await life.do(Step("sweep", amount=1000))
    return bool(await db.fetch_value(due, clock.now()))


@given(st.lists(steps, max_size=25))
async def test_any_life(story: list[Step]) -> None:
    await live(story)


@pytest.mark.long
@hypothesis_settings(max_examples=1000)
@given(st.lists(steps, min_size=20, max_size=80))
async def test_any_long_life(story: list[Step]) -> None:
    await live(story)


async def test_what_a_clock_that_is_behind_has_posted_is_not_missed(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 50)
    with clock.frozen(NOON - HOUR / 100):  # another machine, under the lock after the first
        await spend(member, program, 20)
    with clock.frozen(NOON + HOUR):
        for at in (NOON, NOON + HOUR / 2):
            [found] = await fetch_together([Fetch(BALANCES_AT, (member,), (program, at))])
            assert found[str(member)] == Balance(available=30)


async def test_of_a_long_history_each_moment_is_found(member: UUID, program: str) -> None:
    expected = {NOON - HOUR: Balance()}
    for nth in range(40):
        with clock.frozen(NOON + nth * HOUR):
            await earn(member, program, 1 + nth)
            held = await service.hold_points(
                STAFF, member_id=member, program=program, amount=1, idempotency_key=new_key()
            )
            if nth % 3 == 0:
                await service.capture_hold(STAFF, hold_id=held.hold_id, idempotency_key=new_key())
            expected[clock.now()] = await balance(member, program)
    for at, before in expected.items():
        [found] = await fetch_together([Fetch(BALANCES_AT, (member,), (program, at))])
        assert found.get(str(member), BALANCES_AT.absent) == before
