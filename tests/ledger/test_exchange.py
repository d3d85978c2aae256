"""Exchange between programs: by the published rate in force that was shown, rounded down over all lots."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.errors import BalanceLimit, InsufficientPoints, MemberNotActive, RateNotInForce
from engage.domains.ledger.policy.types import MovedExpiry
from engage.domains.ledger.service import exchange_points, publish_exchange_rate
from engage.domains.ledger.types import POINTS_MAX, Balance
from tests.ledger.books import (
    NOON,
    STAFF,
    amounts,
    balance,
    earn,
    events,
    everything,
    new_key,
    new_member,
    new_program,
    statement,
)
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import claw, ends, exchange, left, publish_rate, put, take_back

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)


@pytest.fixture
async def other(program: str) -> str:
    assert program
    return await new_program()


async def test_points_of_one_program_become_points_of_another(member: UUID, program: str, other: str) -> None:
    rate = await publish_rate(program, other, 3, 2)
    assert (rate.version, rate.from_program, rate.to_program, rate.ends_at) == (1, program, other, None)
    await earn(member, program, 100)
    done = await exchange(member, program, other, 41, rate_id=rate.id)
    assert (done.kind, done.amount, done.program, done.balance) == (
        "EXCHANGE_OUT", -41, program, Balance(available=59),
    )  # fmt: skip
    assert (done.received, done.received_balance, done.rate_id) == (61, Balance(available=61), rate.id)
    assert await balance(member, other) == Balance(available=61)
    [received] = await statement(member, other)
    assert (received.id, received.kind, received.amount, received.refers_id) == (
        done.received_transfer_id, "EXCHANGE_IN", 61, done.transfer_id,
    )  # fmt: skip
    assert [(position, name.split(".")[1]) for position, name, _ in await events(member)] == [
        (1, "points_earned"), (2, "points_exchanged"), (3, "exchange_received"),
    ]  # fmt: skip
    with pytest.raises(RateNotInForce):  # one direction says nothing of the other
        await exchange(member, other, program, 2)


async def test_the_rate_in_force_is_the_newest_whose_time_has_come(member: UUID, program: str, other: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 1000)
        with pytest.raises(RateNotInForce) as caught:
            await exchange(member, program, other, 10)
        assert (caught.value.path, caught.value.extras) == (["rateId"], {"rate_id": None})
        planned = await publish_rate(program, other, 1, 1, effective_at=NOON + DAY, ends_at=NOON + 3 * DAY)
        with pytest.raises(RateNotInForce):
            await exchange(member, program, other, 10)
        later = await publish_rate(program, other, 2, 1, effective_at=NOON + 2 * DAY, ends_at=NOON + 3 * DAY)
        assert [planned.version, later.version] == [1, 2]
    for hours, received in ((24, 10), (47.9, 10), (48, 20), (71.9, 20)):
        with clock.frozen(NOON + timedelta(hours=hours)):
            assert (await exchange(member, program, other, 10)).received == received
    with clock.frozen(NOON + 3 * DAY):
        with pytest.raises(RateNotInForce) as ended:
            await exchange(member, program, other, 10)
        assert ended.value.extras == {"rate_id": None}


async def test_another_rate_than_was_shown_is_refused(member: UUID, program: str, other: str) -> None:
    await earn(member, program, 100)
    shown = await publish_rate(program, other, 3, 2)
    newer = await publish_rate(program, other, 1, 2)
    before = await everything()
    for rate_id in (shown.id, new_id()):
        with pytest.raises(RateNotInForce) as caught:
            await exchange(member, program, other, 10, rate_id=rate_id)
        assert caught.value.extras == {"rate_id": newer.id}
    assert await everything() == before
    assert (await exchange(member, program, other, 10, rate_id=newer.id)).received == 5
    assert (await exchange(member, program, other, 10)).rate_id == newer.id


async def test_an_id_out_of_a_row_is_an_id_like_any_other(member: UUID, program: str, other: str) -> None:
    await earn(member, program, 100)
    await publish_rate(program, other, 3, 2)
    [row] = await db.fetch("SELECT id FROM exchange_rates WHERE from_program = $1", program)
    assert (await exchange(member, program, other, 10, rate_id=row["id"])).received == 15


async def test_many_small_lots_lose_nothing_to_rounding(member: UUID, program: str, other: str) -> None:
    with clock.frozen(NOON):
        await publish_rate(program, other, 2, 3)
        for hour in range(10):
            await earn(member, program, 1, expires_at=NOON + DAY + timedelta(hours=hour))
        done = await exchange(member, program, other, 10)
        assert done.received == 6
        assert await left(member, program) == [0] * 10
    # 10 lots of 1 make 6 2/3: after each, as much has arrived as is whole by then.
    assert await left(member, other) == [1] * 6


@pytest.mark.parametrize(
    ("numerator", "denominator", "amount", "received"),
    [
        (1, 3, 2, 0),
        (1, 3, 3, 1),
        (1, 3, 8, 2),
        (7, 5, 9, 12),
        (1, 10**12, 10**12 - 1, 0),
        (10**12 - 1, 10**12, 9007199254740991, 9007199254731983),
        (1, 7, 9007199254740991, 1286742750677284),
        # A quotient that is short of a whole number by less than numeric division shows.
        (1000004, 1000003, 8000023999999999, 8000031999999998),
    ],
)
async def test_what_arrives_is_rounded_down_exactly(
    member: UUID, program: str, other: str, numerator: int, denominator: int, amount: int, received: int
) -> None:
    assert received == amount * numerator // denominator
    await publish_rate(program, other, numerator, denominator)
    await earn(member, program, amount)
    if received:
        assert (await exchange(member, program, other, amount)).received == received
        assert await left(member, other) == [received]
        return
    with pytest.raises(InvalidInput, match=f"exchange {-(-denominator // numerator)} or more") as caught:
        await exchange(member, program, other, amount)
    assert caught.value.path == ["amount"]


@pytest.mark.parametrize(("kind", "days"), [(MovedExpiry.RENEW, 15), (MovedExpiry.KEEP, 30)])
async def test_what_arrives_is_renewed_or_keeps_its_end(member: UUID, kind: MovedExpiry, days: int) -> None:
    giving = await program_with(rolling("P30D"))
    taking = await program_with(rolling("P10D", exchange_expiry=kind))
    with clock.frozen(NOON):
        await publish_rate(giving, taking, 1, 1)
        await earn(member, giving, 100)
    with clock.frozen(NOON + 5 * DAY):
        await exchange(member, giving, taking, 60)
        assert await ends(member, taking) == [NOON + days * DAY]


async def test_without_a_policy_what_arrives_is_renewed(member: UUID, other: str) -> None:
    giving = await new_program(valid_for="P30D")
    await publish_rate(giving, other, 1, 1)
    await earn(member, giving, 100)
    await exchange(member, giving, other, 60)
    assert await ends(member, other) == [None]


async def test_what_is_owed_there_is_paid(member: UUID, program: str, other: str) -> None:
    await publish_rate(program, other, 2, 1)
    await earn(member, program, 100)
    await claw(member, other, 30)
    done = await exchange(member, program, other, 25)
    assert (done.received, done.received_balance) == (50, Balance(available=20))
    assert amounts(await statement(member, other)) == [-30, 50, -30]


async def test_an_earning_whose_points_were_exchanged_is_owed_where_it_was_earned(
    member: UUID, program: str, other: str
) -> None:
    await publish_rate(program, other, 2, 1)
    earned = await earn(member, program, 100)
    await exchange(member, program, other, 80)
    assert (await take_back(earned.transfer_id)).balance == Balance(debt=80)
    assert await balance(member, other) == Balance(available=160)


async def test_what_is_refused_moves_nothing(member: UUID, program: str, other: str) -> None:
    await earn(member, program, 10**9)
    await earn(member, other, 5)
    await publish_rate(program, other, 10**12, 1)
    before = await everything()
    with pytest.raises(InsufficientPoints) as short:
        await exchange(member, program, other, 10**9 + 1)
    assert short.value.extras == {"available": 10**9, "required": 10**9 + 1}
    for amount in (9008, 10**9):  # the second goes beyond 64 bits
        with pytest.raises(BalanceLimit) as full:
            await exchange(member, program, other, amount)
        assert (full.value.extras["limit"], full.value.extras["balance"]) == (POINTS_MAX, 5)
    for from_program, to_program, path in (("nowhere", other, "fromProgram"), (program, "nowhere", "toProgram")):
        with pytest.raises(NotFound) as missing:
            await exchange(member, from_program, to_program, 1)
        assert missing.value.path == [path]
    with pytest.raises(RateNotInForce):
        await exchange(member, program, program, 1)
    assert await everything() == before
    await put(member, "SUSPENDED")
    with pytest.raises(MemberNotActive):
        await exchange(member, program, other, 1)


async def test_rates_that_cannot_be_published(program: str, other: str) -> None:
    with clock.frozen(NOON):
        for numerator, denominator, path in (
            (0, 1, "numerator"),
            (1, 0, "denominator"),
            (1, 10**12 + 1, "denominator"),
        ):
            with pytest.raises(InvalidInput) as caught:
                await publish_rate(program, other, numerator, denominator)
            assert caught.value.path == [path]
        for begins, ends_at, path in (
            (NOON - timedelta(seconds=1), None, "effectiveAt"),
            (NOON + DAY, NOON + DAY, "endsAt"),
            (None, NOON, "endsAt"),
            (datetime(2026, 4, 1), None, "effectiveAt"),  # noqa: DTZ001 -- a moment without a zone is the point
        ):
            with pytest.raises(InvalidInput) as caught:
                await publish_rate(program, other, 1, 1, effective_at=begins, ends_at=ends_at)
            assert caught.value.path == [path]
        with pytest.raises(InvalidInput) as same:
            await publish_rate(program, program, 1, 1)
        assert same.value.path == ["toProgram"]
        for from_program, to_program, path in (("nowhere", other, "fromProgram"), (program, "nowhere", "toProgram")):
            with pytest.raises(NotFound) as missing:
                await publish_rate(from_program, to_program, 1, 1)
            assert missing.value.path == [path]


@pytest.mark.parametrize("change", ["UPDATE exchange_rates SET numerator = 9", "DELETE FROM exchange_rates"])
async def test_a_published_rate_is_never_changed(program: str, other: str, change: str) -> None:
    await publish_rate(program, other, 1, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.execute(change)


async def test_rates_published_at_once_have_versions_of_their_own(program: str, other: str) -> None:
    rates = await asyncio.gather(*(publish_rate(program, other, nth, 1) for nth in range(1, 13)))
    assert sorted(rate.version for rate in rates) == list(range(1, 13))
    rows = await db.fetch(
        "SELECT data ->> 'version' FROM events WHERE stream = 'program:' || $1 ORDER BY position", program
    )
    assert [int(row[0]) for row in rows] == list(range(1, 13))


async def test_exchanges_both_ways_at_once(member: UUID, program: str, other: str) -> None:
    for one, two in ((program, other), (other, program)):
        await publish_rate(one, two, 1, 1)
        await earn(member, one, 100)
    await asyncio.gather(
        *(exchange(member, program, other, 3) for _ in range(10)),
        *(exchange(member, other, program, 2) for _ in range(10)),
    )
    assert [(await balance(member, one)).available for one in (program, other)] == [90, 110]


async def test_who_may(member: UUID, program: str, other: str) -> None:
    for actor in (STAFF, Actor("a-phone", Role.MEMBER, member)):
        with pytest.raises(Forbidden):
            await publish_exchange_rate(actor, from_program=program, to_program=other, numerator=1, denominator=1)
    await publish_rate(program, other, 1, 1)
    await earn(member, program, 10)
    for actor, allowed in (
        (Actor("x", Role.MEMBER, member), True),
        (Actor("x", Role.MEMBER, await new_member()), False),
    ):
        command = exchange_points(
            actor, member_id=member, from_program=program, to_program=other, amount=1, idempotency_key=new_key()
        )
        if allowed:
            assert (await command).received == 1
            continue
        with pytest.raises(Forbidden):
            await command
