"""Stored value: money paid in, in minor units, kept apart from points; a payment outside counts once.

The bonus is the policy's; a refund pays back what is unspent and takes the bonus back in proportion.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.errors import (
    BalanceLimit,
    ExceedsReversible,
    InsufficientPoints,
    MemberNotActive,
    NotReversible,
    PaymentUsed,
)
from engage.domains.ledger.policy.types import BonusStep
from engage.domains.ledger.service import pay_stored_value, sweep_due
from engage.domains.ledger.service import top_up as top_up_command
from engage.domains.ledger.types import POINTS_MAX, Balance, Cause, CurrencyKind, Posted, ValuePosted
from engage.domains.members.errors import UnknownChannel
from tests.ledger.books import NOON, balance, earn, events, everything, new_key, new_member, spend, statement
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import (
    capture,
    deduct,
    freeze,
    hold_value,
    merge,
    open_channel,
    pay,
    put,
    refund,
    release,
    reverse,
    take_back,
    top_up,
    tried,
    value,
)

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)
STEPS = (
    BonusStep(Decimal(50), 100),
    BonusStep(Decimal(100), 150, Decimal("1.05")),
    BonusStep(Decimal(200), 0, Decimal(50)),
)


@pytest.fixture
async def bonus_program(connected: object) -> str:
    assert connected
    return await program_with(rolling("P30D", top_up_bonus=STEPS, top_up_bonus_valid_for="P10D"))


async def test_money_is_put_in_and_paid_with(member: UUID, program: str) -> None:
    posted = await top_up(member, program, 5000, payment_reference="psp-17")
    assert (posted.kind, posted.amount, posted.currency, posted.bonus) == ("TOP_UP", 5000, CurrencyKind.CASH, 0)
    assert posted.balance == Balance(available=5000)
    paid = await pay(member, program, 1999, cause=Cause("order", "A-1"))
    assert (paid.kind, paid.amount, paid.currency, paid.balance) == (
        "SPEND", -1999, CurrencyKind.CASH, Balance(available=3001),
    )  # fmt: skip
    with pytest.raises(InsufficientPoints) as caught:
        await pay(member, program, 3002)
    assert caught.value.extras == {"available": 3001, "required": 3002, "money": "EUR"}
    assert [(name.split(".")[1], data["currency"]) for _, name, data in await events(member)] == [
        ("value_topped_up", "CASH"), ("points_spent", "CASH"),
    ]  # fmt: skip
    assert (await events(member))[0][2]["cause_id"] == "psp-17"


async def test_money_is_kept_apart_from_points(member: UUID, program: str) -> None:
    await earn(member, program, 100)
    assert await value(member, program) == Balance()
    with pytest.raises(InsufficientPoints):
        await pay(member, program, 1)
    await top_up(member, program, 70)
    with pytest.raises(InsufficientPoints):
        await spend(member, program, 101)
    await deduct(member, program, None)
    assert await balance(member, program) == Balance()
    assert await value(member, program) == Balance(available=70)
    assert [one.amount for one in await statement(member, program)] == [-100, 100]


async def test_a_payment_counts_once(member: UUID, program: str) -> None:
    await top_up(member, program, 5000, payment_reference="psp-1")
    before = await everything()
    for one in (member, await new_member()):
        with pytest.raises(PaymentUsed) as caught:
            await top_up(one, program, 5000, payment_reference=" psp-1 ")
        assert caught.value.path == ["paymentReference"]
    assert await everything() == before
    other = await program_with(rolling())
    assert (await top_up(member, other, 5000, payment_reference="psp-1")).amount == 5000


async def test_a_payment_put_in_many_times_at_once_counts_once(program: str) -> None:
    members = [await new_member() for _ in range(4)]
    await open_channel()
    answers = await asyncio.gather(
        *(tried(top_up(members[nth % 4], program, 500, payment_reference="psp-2"), PaymentUsed) for nth in range(16))
    )
    assert sum(isinstance(answer, ValuePosted) for answer in answers) == 1
    assert sum([(await value(one, program)).available for one in members]) == 500


async def test_a_refused_top_up_leaves_its_payment_unused(member: UUID, program: str) -> None:
    await top_up(member, program, POINTS_MAX - 5)
    before = await everything()
    with pytest.raises(BalanceLimit) as caught:
        await top_up(member, program, 6, payment_reference="psp-3")
    assert caught.value.extras == {"limit": POINTS_MAX, "balance": POINTS_MAX - 5, "required": 6, "money": "EUR"}
    assert await everything() == before
    assert (await top_up(await new_member(), program, 6, payment_reference="psp-3")).amount == 6


@pytest.mark.parametrize(
    ("amount", "bonus"),
    [(4999, 0), (5000, 500), (5009, 500), (9999, 999), (10000, 1605), (19999, 3104), (20000, 5000), (10**9, 5000)],
)
async def test_a_bonus_is_that_of_the_highest_step_reached(
    member: UUID, bonus_program: str, amount: int, bonus: int
) -> None:
    posted = await top_up(member, bonus_program, amount)
    assert (posted.amount, posted.bonus, posted.balance) == (amount, bonus, Balance(available=amount + bonus))
    names = [name.split(".")[1] for _, name, _ in await events(member)]
    assert names == ["value_topped_up", *(["points_earned"] if bonus else [])]


async def test_a_bonus_has_an_end_and_goes_first(member: UUID, bonus_program: str) -> None:
    with clock.frozen(NOON):
        await top_up(member, bonus_program, 5000)
        await pay(member, bonus_program, 200)
    with clock.frozen(NOON + 10 * DAY):
        assert await value(member, bonus_program) == Balance(available=5000)
        while await sweep_due(100):
            pass
        assert await value(member, bonus_program) == Balance(available=5000)
    with clock.frozen(NOON + 4000 * DAY):  # what was paid in never ends
        assert await value(member, bonus_program) == Balance(available=5000)


async def test_value_is_held_and_captured_or_released(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await top_up(member, program, 1000)
        held = await hold_value(member, program, 600, deadline=NOON + DAY)
        assert (held.currency, held.balance) == (CurrencyKind.CASH, Balance(available=400, held=600))
        assert await balance(member, program) == Balance()
        captured = await capture(held.hold_id, 250, keep_rest=True)
        assert (captured.currency, captured.balance) == (CurrencyKind.CASH, Balance(available=400, held=350))
        assert (await release(held.hold_id, 50)).balance == Balance(available=450, held=300)
        assert (await reverse(captured.transfer_id, 30)).balance == Balance(available=480, held=300)
    with clock.frozen(NOON + DAY):
        assert await value(member, program) == Balance(available=780)


async def test_a_refund_pays_back_what_is_unspent(member: UUID, program: str) -> None:
    first = await top_up(member, program, 1000)
    await top_up(member, program, 500)
    await pay(member, program, 300)
    with pytest.raises(ExceedsReversible) as caught:
        await refund(first.transfer_id, 701)
    assert (caught.value.path, caught.value.extras) == (
        ["amount"],
        {"remaining": 700, "required": 701, "money": "EUR"},
    )
    part = await refund(first.transfer_id, 200)
    assert (part.kind, part.amount, part.bonus, part.remaining) == ("REFUND", -200, 0, 500)
    rest = await refund(first.transfer_id)
    assert (rest.amount, rest.remaining, rest.balance) == (-500, 0, Balance(available=500))
    with pytest.raises(ExceedsReversible) as nothing:
        await refund(first.transfer_id)
    assert nothing.value.extras == {"remaining": 0, "required": 1000, "money": "EUR"}
    assert [name.split(".")[1] for _, name, _ in await events(member)][-1] == "value_refunded"


async def test_a_refund_takes_the_bonus_back_in_proportion(member: UUID, bonus_program: str) -> None:
    posted = await top_up(member, bonus_program, 5000)
    seen = []
    for amount in (1000, 1, 3999):
        back = await refund(posted.transfer_id, amount)
        seen.append((back.bonus, back.remaining))
    assert seen == [(100, 4000), (1, 3999), (399, 0)]
    assert await value(member, bonus_program) == Balance()


async def test_many_small_refunds_take_no_more_of_the_bonus_than_one(member: UUID, bonus_program: str) -> None:
    posted = await top_up(member, bonus_program, 5000)
    taken = [(await refund(posted.transfer_id, 3)).bonus for _ in range(10)]
    assert sum(taken) == 3
    assert await value(member, bonus_program) == Balance(available=5500 - 33)


async def test_a_refund_takes_as_much_of_the_bonus_as_is_still_there(member: UUID, bonus_program: str) -> None:
    posted = await top_up(member, bonus_program, 5000)
    await pay(member, bonus_program, 480)
    back = await refund(posted.transfer_id)
    assert (back.amount, back.bonus, back.balance) == (-5000, 20, Balance())


async def test_value_that_came_back_is_refunded_too(member: UUID, program: str) -> None:
    posted = await top_up(member, program, 1000)
    paid = await pay(member, program, 400)
    await refund(posted.transfer_id)
    assert (await reverse(paid.transfer_id)).balance == Balance(available=400)
    assert (await refund(posted.transfer_id)).amount == -400


async def test_held_value_is_not_refunded(member: UUID, program: str) -> None:
    posted = await top_up(member, program, 1000)
    await hold_value(member, program, 400)
    with pytest.raises(ExceedsReversible) as caught:
        await refund(posted.transfer_id, 601)
    assert caught.value.extras["remaining"] == 600


async def test_refunds_at_once_pay_back_no_more_than_is_there(member: UUID, bonus_program: str) -> None:
    posted = await top_up(member, bonus_program, 5000)
    answers = await asyncio.gather(
        *(tried(refund(posted.transfer_id, 700), ExceedsReversible) for _ in range(12)),
        *(tried(pay(member, bonus_program, 50), InsufficientPoints) for _ in range(12)),
    )
    done = [answer for answer in answers if isinstance(answer, Posted)]
    refunds = [answer for answer in done if isinstance(answer, ValuePosted)]
    assert 6 <= len(refunds) <= 7
    gone = -sum(answer.amount for answer in done) + sum(answer.bonus for answer in refunds)
    assert await value(member, bonus_program) == Balance(available=5500 - gone)


async def test_a_top_up_is_refunded_and_not_reversed(member: UUID, bonus_program: str) -> None:
    posted = await top_up(member, bonus_program, 5000)
    with pytest.raises(NotReversible):
        await take_back(posted.transfer_id)
    with pytest.raises(NotFound) as caught:
        await refund((await earn(member, bonus_program, 5)).transfer_id)
    assert caught.value.path == ["transferId"]
    bonus = await db.fetch_value("SELECT bonus_transfer_id FROM top_ups WHERE id = $1", posted.transfer_id)
    assert (await take_back(bonus, 200)).balance == Balance(available=5300)
    assert (await refund(posted.transfer_id)).bonus == 300


async def test_value_goes_on_through_a_merge(member: UUID, bonus_program: str) -> None:
    survivor = await new_member()
    posted = await top_up(member, bonus_program, 5000)
    await earn(member, bonus_program, 7)
    paid = await pay(member, bonus_program, 100)
    await merge(member, survivor)
    assert await value(survivor, bonus_program) == Balance(available=5400)
    assert await balance(survivor, bonus_program) == Balance(available=7)
    await reverse(paid.transfer_id)
    back = await refund(posted.transfer_id)
    assert (back.member_id, back.amount, back.bonus) == (survivor, -5000, 500)


async def test_states(member: UUID, program: str) -> None:
    posted = await top_up(member, program, 1000)
    await freeze(member)
    await top_up(member, program, 500)
    for command in (pay, hold_value):
        with pytest.raises(MemberNotActive):
            await command(member, program, 1)
    other = await new_member()
    old = await top_up(other, program, 1000)
    await put(other, "CANCELLED")
    with pytest.raises(MemberNotActive):
        await top_up(other, program, 1)
    for one in (posted, old):
        assert (await refund(one.transfer_id)).amount == -1000


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"payment_reference": "  "}, "paymentReference"),
        ({"payment_reference": "x" * 81}, "paymentReference"),
        ({"payment_reference": "a\nb"}, "paymentReference"),
        ({"paid_at": NOON + timedelta(hours=1)}, "paidAt"),
        ({"paid_at": datetime(2026, 3, 1)}, "paidAt"),  # noqa: DTZ001 -- a moment without a zone is the point
    ],
)
async def test_what_cannot_be(member: UUID, program: str, more: dict[str, Any], path: str) -> None:
    with clock.frozen(NOON):
        await open_channel()
        before = await everything()
        with pytest.raises(InvalidInput) as caught:
            await top_up(member, program, 5, **more)
        assert caught.value.path == [path]
        assert await everything() == before


async def test_places_that_are_not_there(member: UUID, program: str) -> None:
    with pytest.raises(UnknownChannel):
        await top_up(member, program, 5, channel="nowhere")
    with pytest.raises(NotFound):
        await top_up(member, program, 5, store="nowhere")
    with pytest.raises(NotFound) as caught:
        await top_up(member, "nowhere", 5)
    assert caught.value.path == ["program"]
    with pytest.raises(NotFound) as refunding:
        await refund(new_id())
    assert refunding.value.path == ["transferId"]


async def test_who_may(member: UUID, program: str) -> None:
    own = Actor("a-phone", Role.MEMBER, member)
    await top_up(member, program, 1000)
    paid = await pay_stored_value(own, member_id=member, program=program, amount=5, idempotency_key=new_key())
    assert paid.balance == Balance(available=995)
    with pytest.raises(Forbidden):
        await top_up_command(
            own, member_id=member, program=program, amount=5, channel="till", payment_reference="psp-9",
            paid_at=NOON, idempotency_key=new_key(),
        )  # fmt: skip
