"""A command that is cancelled, wherever it waits, has had its effect or none, and repeating it settles which."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest

from engage.base import db
from engage.base.settings import Settings
from engage.domains.ledger.service import post_earnings
from engage.domains.ledger.types import Cause, Earning, Posted
from engage.domains.members.service import lock_members
from engage.migrations import orm_config
from tests.base.cancelling import cancel_at
from tests.ledger.books import (
    NOON,
    STAFF,
    assert_whole,
    balance,
    earn,
    events,
    new_key,
    new_member,
    new_program,
    spend,
    statement,
)

Command = Callable[[], Coroutine[Any, Any, object]]

POOL = 3
CANCELLATIONS_MIN = 4 * POOL


@pytest.fixture(scope="module")
async def connected(config: Settings) -> AsyncIterator[Settings]:
    """A process with fewer connections than commands will be cancelled."""
    small = config.model_copy(update={"pool_size_max": POOL, "acquire_timeout_s": 1.0})
    await db.connect(small, orm_config(small.database_url))
    yield small
    await db.disconnect()


async def assert_pool_is_whole() -> None:
    async with AsyncExitStack() as stack:
        for _ in range(POOL):
            connection = await stack.enter_async_context(db.acquired())
            assert not connection.is_in_transaction()


async def cancel_everywhere(command: Command, *, late: bool) -> int:
    """Cancel a command at its first await, the next at its second, and so on; answers how many were cancelled."""
    cancelled, at = 0, 1
    while cancelled < CANCELLATIONS_MIN:
        if await cancel_at(at, command, late=late):
            cancelled += 1
            at += 1
        else:
            at = 1  # it ended before: begin again until more were cancelled than there are connections
    await assert_pool_is_whole()
    return cancelled


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_earning_is_there_once_or_not_at_all(member: UUID, program: str, *, late: bool) -> None:
    keys: list[str] = []

    async def command() -> Posted:
        keys.append(new_key())
        return await earn(member, program, 10, keys[-1])

    assert await cancel_everywhere(command, late=late) == CANCELLATIONS_MIN
    there = len(await statement(member, program))
    assert (await balance(member, program)).available == 10 * there
    again = [await earn(member, program, 10, key) for key in keys]
    assert sum(answer.replayed for answer in again) == there
    assert (await balance(member, program)).available == 10 * len(keys)
    assert [position for position, *_ in await events(member)] == list(range(1, len(keys) + 1))
    await assert_whole()


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_spending_is_there_once_or_not_at_all(member: UUID, program: str, *, late: bool) -> None:
    keys: list[str] = []
    await earn(member, program, 1000)

    async def command() -> Posted:
        keys.append(new_key())
        return await spend(member, program, 10, keys[-1])

    assert await cancel_everywhere(command, late=late) == CANCELLATIONS_MIN
    there = len(await statement(member, program)) - 1
    assert (await balance(member, program)).available == 1000 - 10 * there
    again = [await spend(member, program, 10, key) for key in keys]
    assert sum(answer.replayed for answer in again) == there
    assert (await balance(member, program)).available == 1000 - 10 * len(keys)
    await assert_whole()


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_bulk_earning_is_whole_or_not_there(*, late: bool) -> None:
    program, members = await new_program(), [await new_member() for _ in range(4)]
    lines = [Earning(one, 10, Cause("purchase", str(UUID(int=nth))), NOON) for nth, one in enumerate(members)]

    @db.command
    async def command() -> None:
        await lock_members(members)
        await post_earnings(STAFF, program, lines)

    assert await cancel_everywhere(command, late=late) == CANCELLATIONS_MIN
    assert len({(await balance(one, program)).available for one in members}) == 1
    await assert_whole()
