"""Many at once on few members: nobody spends what is not there, and no key has two effects."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

from engage.base import clock, db
from engage.domains.ledger.errors import InsufficientPoints
from engage.domains.ledger.service import sweep_due
from engage.domains.ledger.types import HOUSE_KINDS, Balance, Posted
from engage.domains.ledger.verify import verify_ledger
from tests.ledger.books import (
    NOON,
    assert_whole,
    balance,
    earn,
    events,
    lots,
    new_key,
    new_member,
    new_program,
    schedule,
    spend,
    statement,
)

TASKS = 32


async def tried(command: Coroutine[Any, Any, Posted]) -> Posted | None:
    """What a command answered; None where there were not enough points."""
    try:
        return await command
    except InsufficientPoints:
        return None


async def test_one_member_is_never_overspent(member: UUID, program: str) -> None:
    for _ in range(10):
        await earn(member, program, 10)
    answers = await asyncio.gather(
        *(tried(spend(member, program, 5)) for _ in range(TASKS)),
        *(tried(spend(member, program, 5)) for _ in range(200 - TASKS)),
    )
    spent = [answer for answer in answers if answer is not None]
    assert len(spent) == 20
    assert sorted(answer.balance.available for answer in spent) == list(range(0, 100, 5))
    assert [row.balance_after for row in await statement(member, program)][:20] == list(range(0, 100, 5))
    assert {remaining for _, _, remaining in await lots(member, program)} == {0}
    assert [position for position, *_ in await events(member)] == list(range(1, 31))
    await assert_whole()


async def test_a_key_sent_many_times_at_once_has_one_effect(member: UUID, program: str) -> None:
    earned = await asyncio.gather(*(earn(member, program, 50, "earn once") for _ in range(TASKS)))
    spent = await asyncio.gather(*(spend(member, program, 20, "spend once") for _ in range(TASKS)))
    for answers in (earned, spent):
        assert Counter(answer.replayed for answer in answers) == {True: TASKS - 1, False: 1}
        assert (
            len({(answer.transfer_id, answer.balance, answer.position, answer.posted_at) for answer in answers}) == 1
        )
    assert await balance(member, program) == Balance(available=30)
    assert len(await statement(member, program)) == 2
    await assert_whole()


async def test_the_first_movements_of_a_program_open_its_books_once(member: UUID) -> None:
    program = await new_program()
    members = [member, *[await new_member() for _ in range(7)]]
    await asyncio.gather(*(earn(one, program, 1) for one in members for _ in range(4)))
    assert [(await balance(one, program)).available for one in members] == [4] * 8
    currency = await db.fetch_value("SELECT engage.ledger_currency($1)", program)
    assert (
        await db.fetch_value("SELECT count(*) FROM accounts WHERE currency_id = $1", currency) == len(HOUSE_KINDS) + 8
    )
    await assert_whole()


async def move_something(dice: random.Random, member: UUID, program: str, day: int) -> None:
    """One of all that happens to a member, by chance; some of it said twice."""
    amount, key = dice.randint(1, 40), new_key()
    match dice.randrange(6):
        case 0:
            usable_at = NOON + timedelta(days=day + dice.randint(1, 2))
            await earn(member, program, amount, usable_at=usable_at, expires_at=usable_at + timedelta(days=1))
        case 1 | 2:
            posted = await earn(member, program, amount, key)
            assert (await earn(member, program, amount, key)).transfer_id == posted.transfer_id
        case 3 | 4:
            if await tried(spend(member, program, amount, key)) is not None:
                assert (await spend(member, program, amount, key)).replayed
        case _:
            await sweep_due(3)


async def verify_until(done: asyncio.Event) -> int:
    """Verify again and again; answers how often."""
    for times in itertools.count(1):
        report = await verify_ledger()
        assert report.ok, str(report.first_wrong)
        if done.is_set():
            return times
    return 0


async def test_everything_at_once_leaves_the_ledger_whole(program: str) -> None:
    dice = random.Random(7)  # noqa: S311 -- a load, not a secret
    members = [await new_member() for _ in range(8)]

    async def work(day: int) -> None:
        for _ in range(8):
            await move_something(dice, dice.choice(members), program, day)

    done = asyncio.Event()
    verifying = asyncio.create_task(verify_until(done))
    try:
        for day in range(4):
            with clock.frozen(NOON + timedelta(days=day)):
                await asyncio.gather(*(work(day) for _ in range(12)))
    finally:
        done.set()
        verified = await verifying
    assert verified > 1
    with clock.frozen(NOON + timedelta(days=10)):
        before = [await balance(one, program) for one in members]
        while await sweep_due(3):
            pass
        assert [await balance(one, program) for one in members] == before
        for one, now in zip(members, before, strict=True):
            assert (await schedule(one, program)).total == now.available
            assert now.pending == 0
            positions = [position for position, *_ in await events(one)]
            assert positions == list(range(1, len(positions) + 1))
    await assert_whole()
