"""What was due is posted with a refused command too, and told as soon: screens do not wait for the next look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from engage.base import clock
from engage.base.errors import Refusal
from engage.domains.ledger.errors import BalanceLimit
from engage.domains.ledger.types import POINTS_MAX
from engage.realtime.rings import channel_of
from tests.ledger.books import NOON, earn, events, new_member, new_program, spend
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import accept, exchange, gift, hold, publish_rate, tried
from tests.realtime.watching import Ear, until

DAY = timedelta(days=1)

pytestmark = pytest.mark.usefixtures("bell")

Asking = Callable[[UUID, str], Awaitable[object]]


async def gift_to_oneself(member: UUID, program: str) -> object:
    return await gift(member, member, program, 1)


async def gift_to_the_frozen(member: UUID, program: str) -> object:
    return await gift(member, await new_member("FROZEN"), program, 1)


async def gift_of_too_much(member: UUID, program: str) -> object:
    return await gift(member, await new_member(), program, 10)


async def gift_to_the_full(member: UUID, program: str) -> object:
    full = await new_member()
    await earn(full, program, POINTS_MAX)
    return await gift(member, full, program, 1)


async def exchange_into_nowhere(member: UUID, program: str) -> object:
    return await exchange(member, program, "nowhere", 1)


async def exchange_without_rate(member: UUID, program: str) -> object:
    return await exchange(member, program, await new_program(), 1)


async def exchange_of_too_little(member: UUID, program: str) -> object:
    other = await new_program()
    await publish_rate(program, other, 1, 100)
    return await exchange(member, program, other, 1)


async def spending_of_too_much(member: UUID, program: str) -> object:
    return await spend(member, program, 10)


async def hold_beyond_its_time(member: UUID, program: str) -> object:
    return await hold(member, program, 1, deadline=clock.now() + 1000 * DAY)


@pytest.mark.parametrize(
    "ask",
    [
        gift_to_oneself,
        gift_to_the_frozen,
        gift_of_too_much,
        gift_to_the_full,
        exchange_into_nowhere,
        exchange_without_rate,
        exchange_of_too_little,
        spending_of_too_much,
        hold_beyond_its_time,
    ],
)
async def test_what_was_due_is_told_with_a_refusal(ear: Ear, ask: Asking) -> None:
    program, member = await program_with(rolling()), await new_member()
    with clock.frozen(NOON):
        await earn(member, program, 8, expires_at=NOON + DAY)
        await earn(member, program, 1)
    await ear.on(channel_of(f"member:{member}"))
    with clock.frozen(NOON + 2 * DAY):
        assert isinstance(await tried(ask(member, program), Refusal), Refusal)  # type: ignore[arg-type]
    assert [name for _, name, _ in await events(member)] == [
        "ledger.points_earned.v1",
        "ledger.points_earned.v1",
        "ledger.points_expired.v1",
    ]
    await until(lambda: expired(ear) == [[3, 8]])


async def test_what_was_due_of_both_is_told_where_a_gift_is_refused(ear: Ear) -> None:
    program = await program_with(rolling(gift_accept_within="P9D"))
    sender, recipient = await new_member(), await new_member()
    with clock.frozen(NOON):
        await earn(sender, program, 9)
        offer = await gift(sender, recipient, program, 9)
        await earn(sender, program, 7, expires_at=NOON + DAY)
        await earn(recipient, program, 8, expires_at=NOON + DAY)
        await earn(recipient, program, POINTS_MAX - 8)
    for member in (sender, recipient):
        await ear.on(channel_of(f"member:{member}"))
    with clock.frozen(NOON + 2 * DAY):
        assert isinstance(await tried(accept(offer.gift_id), BalanceLimit), BalanceLimit)
    await until(lambda: sorted(expired(ear)) == [[3, 8], [4, 7]])


def expired(ear: Ear) -> list[list[int]]:
    """Positions of the expiries that were heard of, with their points."""
    heard = [orjson.loads(message) for message in ear.heard]
    return [[position, -data["amount"]] for position, name, data in heard if name == "ledger.points_expired.v1"]
