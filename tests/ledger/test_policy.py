"""Publishing a points policy: its versions, when each holds, and that what was published stays as it was."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal

import asyncpg
import orjson
import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, IdempotencyConflict, InvalidInput, NotFound
from engage.base.paging import Window
from engage.domains.ledger.policy.queries import get_points_policy, list_points_policies, record_of
from engage.domains.ledger.policy.service import publish_points_policy
from engage.domains.ledger.policy.types import (
    BonusStep,
    ExpiryKind,
    ExpiryPeriod,
    ExpiryRound,
    MovedExpiry,
    PolicyTerms,
    ReturnedKind,
)
from engage.domains.ledger.types import TransferKind
from engage.domains.members.service import create_program
from tests.ledger.books import NOON, assert_whole, new_key, new_program
from tests.ledger.publishing import ADMIN, publish, rolling
from tests.walking import walk_both

DAY = timedelta(days=1)
NEVER = PolicyTerms(ExpiryKind.NEVER)

EVERYTHING_SAID = PolicyTerms(
    ExpiryKind.INACTIVITY,
    "P6M",
    ExpiryRound.QUARTER,
    expiry_activities=(TransferKind.SPEND,),
    returned_kind=ReturnedKind.REISSUED,
    returned_grace="P7D",
    hold_longest="P2W",
    gift_daily_points=1000,
    gift_daily_count=3,
    gift_fee_per_mille=25,
    gift_fee_fixed=2,
    gift_expiry=MovedExpiry.RENEW,
    gift_accept_within="P3D",
    gift_hops_max=0,
    exchange_expiry=MovedExpiry.KEEP,
    adjust_alone_max=500,
    top_up_bonus=(BonusStep(Decimal(0), 10), BonusStep(Decimal("99.50"), 20, Decimal("1.05"))),
    top_up_bonus_valid_for="P1Y",
)


async def versions(program: str) -> list[int]:
    return [one.version for one in (await list_points_policies(program, Window(100))).rows]


async def version_at(program: str, days: float) -> int:
    return (await get_points_policy(program, NOON + days * DAY)).version


async def test_a_program_that_published_nothing_is_version_0(program: str) -> None:
    found = await get_points_policy(program)
    assert (found.program, found.version, found.terms, found.published_by) == (program, 0, NEVER, "system")
    dated = await new_program(valid_for="P12M")
    assert (await get_points_policy(dated)).terms == rolling("P12M")
    assert await versions(program) == []


async def test_a_row_that_says_nothing_more_has_the_same_defaults(program: str) -> None:
    await db.execute(
        "INSERT INTO points_policies (id, program_id, program_code, version, effective_at, published_at,"
        " published_by, expiry_kind) SELECT gen_random_uuid(), engage.program_id($1), $1, 1, $2, $2, 'x', 'NEVER'",
        program,
        NOON,
    )
    [row] = await db.fetch("SELECT * FROM points_policies WHERE program_code = $1", program)
    assert record_of(row, "EUR").terms == NEVER


async def test_what_is_published_is_read_back_whole(program: str) -> None:
    left_out = {one.name for one in fields(PolicyTerms) if getattr(EVERYTHING_SAID, one.name) == one.default}
    assert left_out == {"expiry_month", "expiry_day", "expiry_period", "expiry_count"}
    with clock.frozen(NOON):
        done = await publish(program, EVERYTHING_SAID)
    assert done.policy == await get_points_policy(program, NOON)
    assert (done.policy.version, done.policy.terms, done.policy.published_by) == (1, EVERYTHING_SAID, ADMIN.id)
    assert (done.policy.effective_at, done.policy.published_at) == (NOON, NOON)
    assert (done.position, done.replayed) == (1, False)
    calendar = PolicyTerms(ExpiryKind.CALENDAR, expiry_period=ExpiryPeriod.YEAR, expiry_count=2)
    assert (await publish(program, calendar)).policy.terms == calendar
    fixed = PolicyTerms(ExpiryKind.FIXED, expiry_month=2, expiry_day=29)
    assert (await publish(program, fixed)).policy.terms == fixed


async def test_money_is_stored_in_minor_units(program: str) -> None:
    terms = rolling(top_up_bonus=(BonusStep(Decimal("10.50"), 5, Decimal(2)),))
    await publish(program, terms)
    stored = await db.fetch_value("SELECT top_up_bonus FROM points_policies WHERE program_code = $1", program)
    assert orjson.loads(stored) == [{"from": 1050, "per_mille": 5, "fixed": 200}]
    yen = "yen"
    await create_program(SYSTEM, code=yen, name=yen, time_zone="Asia/Tokyo", money_currency="JPY")
    with pytest.raises(InvalidInput, match="an amount of JPY, 0 or more, with at most 0 decimals"):
        await publish(yen, terms)
    await publish(yen, rolling(top_up_bonus=(BonusStep(Decimal("1000.0")),)))
    assert (await get_points_policy(yen)).terms.top_up_bonus == (BonusStep(Decimal(1000)),)


async def test_each_version_holds_from_its_moment(program: str) -> None:
    with clock.frozen(NOON):
        await publish(program, rolling("P1M"))
        await publish(program, rolling("P2M"), effective_at=NOON + DAY)
    assert await version_at(program, -0.001) == 0
    assert await version_at(program, 0) == 1
    assert await version_at(program, 0.999) == 1
    assert await version_at(program, 1) == 2


async def test_publishing_takes_back_what_was_planned(program: str) -> None:
    with clock.frozen(NOON):
        await publish(program, rolling("P1M"), effective_at=NOON + 5 * DAY)
        await publish(program, rolling("P2M"), effective_at=NOON + 2 * DAY)
        await publish(program, rolling("P3M"), effective_at=NOON + 9 * DAY)
    assert [await version_at(program, days) for days in (0, 2, 5, 9)] == [0, 2, 2, 3]


async def test_versions_are_listed_newest_first(program: str) -> None:
    for _ in range(5):
        await publish(program, NEVER)
    for size in (2, 3):
        rows = await walk_both(lambda window: list_points_policies(program, window), size)
        assert [one.version for one in rows] == [5, 4, 3, 2, 1]
    with pytest.raises(InvalidInput):
        await list_points_policies(program, Window(101))


async def test_publishing_is_said_in_the_stream_of_the_program(program: str) -> None:
    with clock.frozen(NOON):
        await publish(program, NEVER)
        await publish(program, NEVER, effective_at=NOON + DAY)
    rows = await db.fetch("SELECT * FROM events WHERE stream = 'program:' || $1 ORDER BY position", program)
    assert [(row["position"], row["name"], orjson.loads(row["data"])) for row in rows] == [
        (
            nth,
            "ledger.policy_published.v1",
            {"program": program, "version": nth, "effective_at": (NOON + (nth - 1) * DAY).isoformat()},
        )
        for nth in (1, 2)
    ]
    await assert_whole()


async def test_a_repeated_key_finds_its_first_answer(program: str) -> None:
    soon = NOON + DAY
    with clock.frozen(NOON):
        first = await publish(program, EVERYTHING_SAID, "again", soon)
        await publish(program, NEVER)
    with clock.frozen(soon + DAY):
        again = await publish(program, EVERYTHING_SAID, "again", soon)
        assert (again.policy, again.position, again.replayed) == (first.policy, first.position, True)
        with pytest.raises(IdempotencyConflict):
            await publish(program, NEVER, "again", soon)
        with pytest.raises(IdempotencyConflict):
            await publish(program, EVERYTHING_SAID, "again", soon + 9 * DAY)
    assert await versions(program) == [2, 1]


async def test_a_key_belongs_to_its_caller(program: str) -> None:
    await publish(program, NEVER, "mine")
    await publish_points_policy(
        Actor("desk-2", Role.ADMIN), program=program, policy=rolling(), idempotency_key="mine"
    )
    assert await versions(program) == [2, 1]


async def test_many_at_once_get_a_version_each(program: str) -> None:
    done = await asyncio.gather(*(publish(program, NEVER) for _ in range(16)))
    assert sorted(one.policy.version for one in done) == list(range(1, 17))
    assert sorted(one.position for one in done) == list(range(1, 17))


async def test_a_key_sent_many_times_at_once_publishes_once(program: str) -> None:
    done = await asyncio.gather(*(publish(program, NEVER, "once") for _ in range(16)))
    assert {one.policy.version for one in done} == {1}
    assert sorted(one.replayed for one in done) == [False] + [True] * 15
    assert await versions(program) == [1]


@pytest.mark.parametrize("role", [Role.MEMBER, Role.STAFF, Role.MODERATOR, Role.SERVICE])
async def test_only_admins_publish(program: str, role: Role) -> None:
    with pytest.raises(Forbidden):
        await publish_points_policy(Actor("till-7", role), program=program, policy=NEVER, idempotency_key=new_key())
    assert await versions(program) == []


async def test_a_program_that_is_not_there() -> None:
    for ask in (publish("nowhere", NEVER), get_points_policy("nowhere"), list_points_policies("nowhere", Window(9))):
        with pytest.raises(NotFound) as caught:
            await ask
        assert caught.value.path == ["program"]
    assert await db.fetch_value("SELECT engage.ledger_policy('nowhere', $1) IS NULL", NOON)


@pytest.mark.parametrize("change", ["UPDATE points_policies SET gift_hops_max = 9", "DELETE FROM points_policies"])
async def test_what_was_published_is_never_changed(program: str, change: str) -> None:
    await publish(program, NEVER)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.execute(change)
