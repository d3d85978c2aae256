"""Rule 8: gifts between members. Limits of a day, fee and expiry are the program's; frozen members give and get none.

Lots that arrive name the ones that they came from (rule 3).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.errors import BalanceLimit, GiftLimit, InsufficientPoints, MemberNotActive
from engage.domains.ledger.policy.types import MovedExpiry
from engage.domains.ledger.service import gift_points
from engage.domains.ledger.types import POINTS_MAX, Balance, GiftPosted
from tests.ledger.books import (
    NOON,
    amounts,
    balance,
    earn,
    events,
    everything,
    new_key,
    new_member,
    spend,
    statement,
)
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import claw, ends, freeze, gift, left, merge, put, reverse, tried

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)


@pytest.fixture
async def friend(program: str) -> UUID:
    assert program
    return await new_member()


async def test_a_gift_goes_at_once(member: UUID, friend: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 30, expires_at=NOON + DAY)
        await earn(member, program, 30)
        given = await gift(member, friend, program, 40)
        assert (given.kind, given.amount, given.fee, given.deadline) == ("GIFT", -40, 0, None)
        assert (given.balance, given.recipient_id) == (Balance(available=20), friend)
        assert given.gift_id == given.transfer_id
        assert await balance(friend, program) == Balance(available=40)
        assert await left(friend, program) == [30, 10]
        assert await ends(friend, program) == [NOON + DAY, None]  # KEEP is what holds without a policy
    [received] = await statement(friend, program)
    assert (received.kind, received.refers_id) == ("RECEIVE", given.transfer_id)
    [(position, name, data)] = await events(friend)
    assert (position, name, data["amount"]) == (1, "ledger.gift_received.v1", 40)
    assert [name for _, name, _ in await events(member)][-1] == "ledger.points_gifted.v1"
    origins = "SELECT o.member_id FROM lots n JOIN lots o ON o.id = n.origin_lot_id WHERE n.member_id = $1"
    assert [row[0] for row in await db.fetch(origins, friend)] == [member, member]


async def test_a_renewed_gift_ends_as_points_given_now(member: UUID, friend: UUID) -> None:
    program = await program_with(rolling("P10D", gift_expiry=MovedExpiry.RENEW))
    with clock.frozen(NOON):
        await earn(member, program, 30)
    with clock.frozen(NOON + 9 * DAY):
        await gift(member, friend, program, 20)
        assert await ends(member, program) == [NOON + 10 * DAY]
        assert await ends(friend, program) == [NOON + 19 * DAY]


@pytest.mark.parametrize(
    ("per_mille", "fixed", "amount", "fee"),
    [(25, 0, 40, 1), (25, 0, 41, 2), (25, 2, 100, 5), (1, 0, 1, 1), (0, 7, 1, 7), (1000, 0, 33, 33), (0, 0, 5, 0)],
)
async def test_a_fee_is_rounded_up_and_paid_beside_the_gift(
    member: UUID, friend: UUID, per_mille: int, fixed: int, amount: int, fee: int
) -> None:
    program = await program_with(rolling(gift_fee_per_mille=per_mille, gift_fee_fixed=fixed))
    await earn(member, program, amount + fee)
    given = await gift(member, friend, program, amount)
    assert (given.amount, given.fee, given.balance) == (-amount, fee, Balance())
    assert (await balance(friend, program)).available == amount
    records = await statement(member, program)
    assert amounts(records) == [*([-fee] if fee else []), -amount, amount + fee]
    if fee:
        assert (records[0].kind, records[0].refers_id, records[0].balance_after) == ("FEE", given.transfer_id, 0)


async def test_the_fee_counts_as_needed(member: UUID, friend: UUID) -> None:
    program = await program_with(rolling(gift_fee_fixed=5))
    await earn(member, program, 100)
    before = await everything()
    with pytest.raises(InsufficientPoints) as caught:
        await gift(member, friend, program, 96)
    assert caught.value.extras == {"available": 100, "required": 101}
    assert await everything() == before


async def test_points_of_a_day_are_limited(member: UUID, friend: UUID) -> None:
    program = await program_with(rolling(gift_daily_points=50))
    with clock.frozen(NOON):
        await earn(member, program, 200)
        await gift(member, friend, program, 30)
        before = await everything()
        with pytest.raises(GiftLimit) as caught:
            await gift(member, await new_member(), program, 21)
        assert (caught.value.path, caught.value.extras) == (
            ["amount"],
            {"limit_kind": "DAILY_POINTS", "limit": 50, "remaining": 20},
        )
        assert await everything() == before
        await gift(member, friend, program, 20)
        await earn(friend, program, 9)
        await gift(friend, member, program, 9)  # each member has a limit of their own
        with pytest.raises(GiftLimit):
            await gift(member, friend, program, 1)


async def test_gifts_of_a_day_are_counted(member: UUID, friend: UUID) -> None:
    program = await program_with(rolling(gift_daily_count=2))
    other_program = await program_with(rolling(gift_daily_count=1))
    with clock.frozen(NOON):
        for one in (program, other_program):
            await earn(member, one, 100)
        await gift(member, friend, program, 1)
        await gift(member, friend, other_program, 1)
        await gift(member, friend, program, 1)
        for one, limit in ((program, 2), (other_program, 1)):
            with pytest.raises(GiftLimit) as caught:
                await gift(member, friend, one, 1)
            assert caught.value.extras == {"limit_kind": "DAILY_COUNT", "limit": limit, "remaining": 0}


@pytest.mark.parametrize("limits", [{"gift_daily_points": 0}, {"gift_daily_count": 0}])
async def test_a_limit_of_nothing_lets_nothing_be_given(member: UUID, friend: UUID, limits: dict[str, Any]) -> None:
    program = await program_with(rolling(**limits))
    await earn(member, program, 100)
    with pytest.raises(GiftLimit) as caught:
        await gift(member, friend, program, 1)
    assert (caught.value.extras["limit"], caught.value.extras["remaining"]) == (0, 0)


@pytest.mark.parametrize(
    ("zone", "last_of_the_day", "first_of_the_next"),
    [
        ("UTC", "2026-03-10T23:59:59.999999+00:00", "2026-03-11T00:00:00+00:00"),
        ("Asia/Shanghai", "2026-03-10T23:59:59.999999+08:00", "2026-03-11T00:00:00+08:00"),
        # A day of 23 hours, one of 25, and one that begins at one o'clock.
        ("Europe/Berlin", "2026-03-29T23:59:59.999999+02:00", "2026-03-30T00:00:00+02:00"),
        ("Europe/Berlin", "2026-10-25T23:59:59.999999+01:00", "2026-10-26T00:00:00+01:00"),
        ("America/Santiago", "2026-09-05T23:59:59.999999-04:00", "2026-09-06T01:00:00-03:00"),
    ],
)
async def test_a_day_ends_at_midnight_in_the_programs_zone(
    member: UUID, friend: UUID, zone: str, last_of_the_day: str, first_of_the_next: str
) -> None:
    program = await program_with(rolling(gift_daily_points=50, gift_daily_count=1), zone)
    last, first = datetime.fromisoformat(last_of_the_day), datetime.fromisoformat(first_of_the_next)
    with clock.frozen(last - timedelta(hours=22)):
        await earn(member, program, 200)
        await gift(member, friend, program, 50)
    with clock.frozen(last), pytest.raises(GiftLimit):
        await gift(member, friend, program, 1)
    with clock.frozen(first):
        await gift(member, friend, program, 50)
    with clock.frozen(first + timedelta(hours=22)), pytest.raises(GiftLimit):
        await gift(member, friend, program, 1)


async def test_points_that_were_given_are_not_given_on_beyond_the_limit(member: UUID, friend: UUID) -> None:
    program = await program_with(rolling(gift_hops_max=1))
    third = await new_member()
    await earn(member, program, 100)
    await gift(member, friend, program, 100)
    await gift(friend, third, program, 100)
    await earn(third, program, 30)
    with pytest.raises(GiftLimit) as caught:
        await gift(third, member, program, 31)
    assert caught.value.extras == {"limit_kind": "HOPS", "limit": 1, "remaining": 30}
    await gift(third, member, program, 30)  # those that may go do, though the others were earned before
    assert await left(third, program) == [100, 0]


async def test_what_was_given_is_not_given_on_where_the_limit_is_none(member: UUID, friend: UUID) -> None:
    program = await program_with(rolling(gift_hops_max=0))
    await earn(member, program, 100)
    await gift(member, friend, program, 100)
    with pytest.raises(GiftLimit) as caught:
        await gift(friend, member, program, 1)
    assert caught.value.extras == {"limit_kind": "HOPS", "limit": 0, "remaining": 0}


async def test_a_circle_ends(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    await gift(member, friend, program, 100)
    await gift(friend, member, program, 100)  # once is what holds without a policy
    with pytest.raises(GiftLimit):
        await gift(member, friend, program, 1)
    spent = await spend(member, program, 60)
    await reverse(spent.transfer_id)
    with pytest.raises(GiftLimit):  # points that came back are still given ones
        await gift(member, friend, program, 1)
    survivor = await new_member()
    await merge(member, survivor)
    with pytest.raises(GiftLimit):  # as are merged ones
        await gift(survivor, friend, program, 1)


async def test_nobody_gives_to_themselves(member: UUID, program: str) -> None:
    absorbed = await new_member()
    await earn(member, program, 100)
    await merge(absorbed, member)
    before = await everything()
    for recipient in (member, absorbed):
        with pytest.raises(InvalidInput) as caught:
            await gift(member, recipient, program, 1)
        assert caught.value.path == ["recipientId"]
    assert await everything() == before


async def test_members_who_are_not_there(member: UUID, program: str) -> None:
    await earn(member, program, 100)
    before = await everything()
    for giver, recipient, path in ((member, new_id(), "recipientId"), (new_id(), member, "memberId")):
        with pytest.raises(NotFound) as caught:
            await gift(giver, recipient, program, 1)
        assert caught.value.path == [path]
    assert await everything() == before


@pytest.mark.parametrize("state", ["FROZEN", "SUSPENDED", "CANCELLED"])
async def test_members_who_may_not(member: UUID, friend: UUID, program: str, state: str) -> None:
    await earn(member, program, 100)
    await earn(friend, program, 100)
    await (freeze(friend) if state == "FROZEN" else put(friend, state))
    before = await everything()
    for giver, recipient, path in ((member, friend, "recipientId"), (friend, member, "memberId")):
        with pytest.raises(MemberNotActive) as caught:
            await gift(giver, recipient, program, 1)
        assert (caught.value.path, caught.value.extras) == ([path], {"state": state})
    assert await everything() == before


async def test_a_gift_pays_what_its_recipient_owes(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    await claw(friend, program, 30)
    await gift(member, friend, program, 40)
    assert await balance(friend, program) == Balance(available=10)


async def test_a_gift_has_room_with_its_recipient(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    await earn(friend, program, POINTS_MAX - 10)
    with pytest.raises(BalanceLimit) as caught:
        await gift(member, friend, program, 11)
    assert caught.value.extras == {"limit": POINTS_MAX, "balance": POINTS_MAX - 10, "required": 11}
    await gift(member, friend, program, 10)


async def test_a_message_stands_beside_the_gift_and_can_be_erased(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    given = await gift(member, friend, program, 10, message="  Happy birthday,\nyour friend ")
    note = await db.fetch_row("SELECT member_id, text FROM transfer_notes WHERE transfer_id = $1", given.transfer_id)
    assert note
    assert tuple(note) == (member, "Happy birthday,\nyour friend")
    for table in ("events", "outbox", "transfers", "gifts", "idempotency_answers"):
        found = f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%birthday%'"  # noqa: S608 -- our own names
        assert await db.fetch_value(found) == 0
    await db.execute("DELETE FROM transfer_notes WHERE member_id = $1", member)
    await gift(member, friend, program, 10, message=" \n ")
    assert await db.fetch_value("SELECT count(*) FROM transfer_notes WHERE member_id = $1", member) == 0
    for message in ("x" * 501, "bell \x07"):
        with pytest.raises(InvalidInput) as caught:
            await gift(member, friend, program, 10, message=message)
        assert caught.value.path == ["message"]


async def test_twenty_gifts_at_once_never_pass_the_limits_of_a_day(member: UUID) -> None:
    friends = [await new_member() for _ in range(4)]
    by_points = await program_with(rolling(gift_daily_points=50))
    by_count = await program_with(rolling(gift_daily_count=3))
    for program, fit in ((by_points, 7), (by_count, 3)):
        with clock.frozen(NOON):
            await earn(member, program, 1000)
            answers = await asyncio.gather(
                *(tried(gift(member, friends[nth % 4], program, 7), GiftLimit) for nth in range(20))
            )
        assert sum(isinstance(answer, GiftPosted) for answer in answers) == fit
        assert (await balance(member, program)).available == 1000 - 7 * fit


async def test_gifts_to_each_other_at_once_do_not_lock_each_other_up(
    member: UUID, friend: UUID, program: str
) -> None:
    for one in (member, friend):
        await earn(one, program, 100)
    await asyncio.gather(
        *(gift(member, friend, program, 2) for _ in range(15)), *(gift(friend, member, program, 3) for _ in range(15))
    )
    assert [(await balance(one, program)).available for one in (member, friend)] == [115, 85]


async def test_a_member_gives_their_own(member: UUID, friend: UUID, program: str) -> None:
    await earn(member, program, 100)
    given: dict[str, Any] = {"member_id": member, "recipient_id": friend, "program": program, "amount": 5}
    await gift_points(Actor("a-phone", Role.MEMBER, member), **given, idempotency_key=new_key())
    with pytest.raises(Forbidden):
        await gift_points(Actor("a-phone", Role.MEMBER, friend), **given, idempotency_key=new_key())
