"""A command that is cancelled, wherever it waits, has had its effect or none, and repeating it settles which."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.settings import Settings
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms
from engage.domains.ledger.service import Adjusted, post_earnings, sweep_due
from engage.domains.ledger.types import Balance, Cause, Earning, TransferKind
from engage.domains.members.service import lock_members
from engage.migrations import orm_config
from tests.base.cancelling import cancel_at
from tests.ledger import words
from tests.ledger.books import (
    NOON,
    STAFF,
    assert_all_whole,
    balance,
    earn,
    events,
    new_key,
    new_member,
    new_program,
    spend,
)
from tests.ledger.publishing import program_with, publish

Keyed = Callable[..., Coroutine[Any, Any, Any]]
"""A command that needs nothing but its `key`."""

POOL = 2
CANCELLATIONS_MIN = 3 * POOL


@pytest.fixture(scope="module")
async def connected(config: Settings) -> AsyncIterator[Settings]:
    """A process with fewer connections than commands will be cancelled."""
    small = config.model_copy(update={"pool_size_max": POOL, "acquire_timeout_s": 1.0})
    await db.connect(small, orm_config(small.database_url))
    yield small
    await db.disconnect()


@dataclass(frozen=True)
class Ground:
    """Two members with points and money in two programs, and a third program in which gifts are offered."""

    member: UUID
    other: UUID
    program: str
    target: str
    offering: str


@pytest.fixture
async def ground(connected: Settings) -> Ground:
    assert connected.database_url
    made = Ground(
        await new_member(), await new_member(), await new_program(), await new_program(),
        await program_with(PolicyTerms(ExpiryKind.NEVER, gift_accept_within="P5D")),
    )  # fmt: skip
    for program in (made.program, made.offering):
        await earn(made.member, program, 10_000)
    await words.top_up(made.member, made.program, 10_000)
    await words.publish_rate(made.program, made.target, 1, 1)
    return made


async def earning(on: Ground) -> Keyed:
    return partial(earn, on.member, on.program, 10)


async def confirming(on: Ground) -> Keyed:
    return partial(words.confirm, (await earn(on.member, on.program, 10, on_confirmation=True)).transfer_id)


async def cancelling(on: Ground) -> Keyed:
    return partial(words.cancel, (await earn(on.member, on.program, 10, on_confirmation=True)).transfer_id, 5)


async def spending(on: Ground) -> Keyed:
    return partial(spend, on.member, on.program, 10)


async def donating(on: Ground) -> Keyed:
    return partial(words.donate, on.member, on.program, 10)


async def holding(on: Ground) -> Keyed:
    return partial(words.hold, on.member, on.program, 10)


async def capturing(on: Ground) -> Keyed:
    return partial(words.capture, (await words.hold(on.member, on.program, 10)).hold_id, 4)


async def releasing(on: Ground) -> Keyed:
    return partial(words.release, (await words.hold(on.member, on.program, 10)).hold_id)


async def reversing(on: Ground) -> Keyed:
    return partial(words.reverse, (await spend(on.member, on.program, 10)).transfer_id)


async def taking_back(on: Ground) -> Keyed:
    return partial(words.take_back, (await earn(on.other, on.target, 10)).transfer_id)


async def clawing_back(on: Ground) -> Keyed:
    return partial(words.claw, on.other, on.target, 10)


async def deducting(on: Ground) -> Keyed:
    return partial(words.deduct, on.member, on.program, 10, from_held=True)


async def restoring(on: Ground) -> Keyed:
    return partial(words.restore, (await words.deduct(on.member, on.program, 10)).transfer_id)


async def giving(on: Ground) -> Keyed:
    return partial(words.gift, on.member, on.other, on.program, 10)


async def offering(on: Ground) -> Keyed:
    return partial(words.gift, on.member, on.other, on.offering, 10)


async def accepting(on: Ground) -> Keyed:
    return partial(words.accept, (await words.gift(on.member, on.other, on.offering, 10)).gift_id)


async def declining(on: Ground) -> Keyed:
    return partial(words.decline, (await words.gift(on.member, on.other, on.offering, 10)).gift_id)


async def withdrawing(on: Ground) -> Keyed:
    return partial(words.withdraw, (await words.gift(on.member, on.other, on.offering, 10)).gift_id)


async def exchanging(on: Ground) -> Keyed:
    return partial(words.exchange, on.member, on.program, on.target, 10)


async def adjusting_up(on: Ground) -> Keyed:
    return partial(words.adjust, on.member, on.program, 10, note="by hand")


async def adjusting_down(on: Ground) -> Keyed:
    return partial(words.adjust, on.member, on.program, -10, note="by hand")


async def approving(on: Ground) -> Keyed:
    with clock.frozen(NOON):
        await publish(on.target, PolicyTerms(ExpiryKind.NEVER, adjust_alone_max=0))
    asked = (await words.adjust(on.other, on.target, 10)).adjustment
    assert asked is not None
    adjustment_id = asked.id

    async def approve(key: str) -> Adjusted:
        assert key
        return await words.approve(adjustment_id)

    return approve


async def topping_up(on: Ground) -> Keyed:
    paid: dict[str, Any] = {"payment_reference": new_key(), "paid_at": clock.now(), "channel": "till"}
    return partial(words.top_up, on.member, on.program, 10, **paid)


async def paying(on: Ground) -> Keyed:
    return partial(words.pay, on.member, on.program, 10)


async def holding_value(on: Ground) -> Keyed:
    return partial(words.hold_value, on.member, on.program, 10)


async def refunding(on: Ground) -> Keyed:
    return partial(words.refund, (await words.top_up(on.other, on.program, 10)).transfer_id)


COMMANDS: dict[Callable[[Ground], Awaitable[Keyed]], TransferKind] = {
    earning: TransferKind.EARN,
    confirming: TransferKind.CONFIRM,
    cancelling: TransferKind.CLAWBACK,
    spending: TransferKind.SPEND,
    donating: TransferKind.DONATE,
    holding: TransferKind.HOLD,
    capturing: TransferKind.CAPTURE,
    releasing: TransferKind.RELEASE,
    reversing: TransferKind.REVERSE,
    taking_back: TransferKind.CLAWBACK,
    clawing_back: TransferKind.CLAWBACK,
    deducting: TransferKind.DEDUCT,
    restoring: TransferKind.RESTORE,
    giving: TransferKind.RECEIVE,
    offering: TransferKind.HOLD,
    accepting: TransferKind.RECEIVE,
    declining: TransferKind.RELEASE,
    withdrawing: TransferKind.RELEASE,
    exchanging: TransferKind.EXCHANGE_IN,
    adjusting_up: TransferKind.ADJUST_UP,
    adjusting_down: TransferKind.ADJUST_DOWN,
    approving: TransferKind.ADJUST_UP,
    topping_up: TransferKind.TOP_UP,
    paying: TransferKind.SPEND,
    holding_value: TransferKind.HOLD,
    refunding: TransferKind.REFUND,
}
"""What prepares each command, and the kind of transfer of which it posts exactly one, the last that it posts."""


async def assert_pool_is_whole() -> None:
    async with AsyncExitStack() as stack:
        for _ in range(POOL):
            connection = await stack.enter_async_context(db.acquired())
            assert not connection.is_in_transaction()


async def cancel_everywhere(
    prepare: Callable[[], Awaitable[Callable[[], Coroutine[Any, Any, object]]]], *, late: bool, least: int
) -> None:
    """Cancel a command at its first await, the next at its second, and so on to the last, until enough were."""
    cancelled, at, to_the_end = 0, 1, False
    while cancelled < least or not to_the_end:
        if await cancel_at(at, await prepare(), late=late):
            cancelled += 1
            at += 1
        else:
            at, to_the_end = 1, True
    await assert_pool_is_whole()


async def count(kind: TransferKind) -> int:
    posted: int = await db.fetch_value("SELECT count(*) FROM transfers WHERE kind = $1", kind)
    return posted


@pytest.mark.parametrize(
    "least", [CANCELLATIONS_MIN, pytest.param(60, marks=pytest.mark.long)], ids=["", "many times"]
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
async def test_a_cancelled_command_has_its_effect_once_or_not_at_all(
    ground: Ground, command: Callable[[Ground], Awaitable[Keyed]], least: int, *, late: bool
) -> None:
    said: list[Callable[[], Coroutine[Any, Any, Any]]] = []
    kind, before, prepared = COMMANDS[command], 0, 0

    async def prepare() -> Callable[[], Coroutine[Any, Any, object]]:
        nonlocal prepared
        present = await count(kind)
        said.append(partial(await command(ground), key=new_key()))
        prepared += await count(kind) - present
        return said[-1]

    before = await count(kind)
    await cancel_everywhere(prepare, late=late, least=least)
    there = await count(kind) - before - prepared
    again = [await say() for say in said]
    assert sum(answer.replayed for answer in again) == there
    assert await count(kind) - before - prepared == len(said)
    await assert_all_whole()


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_bulk_earning_is_whole_or_not_there(connected: Settings, *, late: bool) -> None:
    assert connected.database_url
    program, members = await new_program(), [await new_member() for _ in range(4)]
    lines = [Earning(one, 10, Cause("purchase", str(UUID(int=nth))), NOON) for nth, one in enumerate(members)]

    @db.command
    async def command() -> None:
        await lock_members(members)
        await post_earnings(STAFF, program, lines)

    async def prepare() -> Callable[[], Coroutine[Any, Any, None]]:
        return command

    await cancel_everywhere(prepare, late=late, least=CANCELLATIONS_MIN)
    assert len({(await balance(one, program)).available for one in members}) == 1
    await assert_all_whole()


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_merge_is_whole_or_not_there(ground: Ground, *, late: bool) -> None:
    absorbed: list[UUID] = []

    async def prepare() -> Callable[[], Coroutine[Any, Any, None]]:
        absorbed.append(await new_member())
        await earn(absorbed[-1], ground.target, 10)
        await words.hold(absorbed[-1], ground.target, 4)
        return partial(words.merge, absorbed[-1], ground.other)

    await cancel_everywhere(prepare, late=late, least=CANCELLATIONS_MIN)
    merged = "SELECT count(*) FROM members WHERE id = ANY ($1) AND merged_into_id IS NOT NULL"
    there = await db.fetch_value(merged, absorbed)
    assert 0 < there < len(absorbed)
    assert await balance(ground.other, ground.target) == Balance(available=6 * there, held=4 * there)
    await assert_all_whole()


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_sweep_changes_no_balance(ground: Ground, *, late: bool) -> None:
    swept = 0

    async def prepare() -> Callable[[], Coroutine[Any, Any, int]]:
        nonlocal swept
        swept += 1
        with clock.frozen(NOON - timedelta(days=2)):
            await earn(ground.other, ground.target, 10, expires_at=NOON - timedelta(days=1))
        return partial(sweep_due, 10)

    with clock.frozen(NOON):
        await cancel_everywhere(prepare, late=late, least=CANCELLATIONS_MIN)
        assert await balance(ground.other, ground.target) == Balance()
        while await sweep_due(10):
            pass
    names = [name for _, name, _ in await events(ground.other)]
    assert names.count("ledger.points_earned.v1") == swept
    await assert_all_whole()
