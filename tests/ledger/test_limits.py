"""Figures at their limits, for every command, and rule 10: one key has one effect. A refusal changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock
from engage.base.errors import IdempotencyConflict, InvalidInput, NotFound, Refusal
from engage.base.ids import new_id
from engage.domains.ledger.errors import BalanceLimit, InsufficientPoints
from engage.domains.ledger.types import POINTS_MAX, Balance, Posted
from tests.ledger.books import NOON, balance, earn, everything, new_key, new_member, new_program, spend
from tests.ledger.publishing import program_with, rolling
from tests.ledger.stage import COMMANDS, ON_MEMBERS, Stage, set_stage
from tests.ledger.words import (
    accept,
    adjust,
    cancel,
    capture,
    claw,
    confirm,
    decline,
    deduct,
    donate,
    exchange,
    gift,
    hold,
    merge,
    open_channel,
    pay,
    publish_rate,
    refund,
    restore,
    reverse,
    top_up,
    value,
    withdraw,
)

pytestmark = pytest.mark.usefixtures("sound")

DAY = timedelta(days=1)


@pytest.fixture
async def stage(connected: object) -> Stage:
    assert connected
    await open_channel()
    return await set_stage()


async def refused(kind: type[Refusal], command: Awaitable[Any]) -> Refusal:
    """See that a command is refused, and that nothing was changed by that."""
    before = await everything()
    with pytest.raises(kind) as caught:
        await command
    assert await everything() == before
    return caught.value


@pytest.mark.parametrize("name", COMMANDS)
async def test_amounts_that_cannot_be(stage: Stage, name: str) -> None:
    for amount in (0, -1, POINTS_MAX + 1, 2**63, -(2**63)):
        if name == "adjust" and amount == -1:
            continue  # is right there: points are taken away
        refusal = await refused(InvalidInput, COMMANDS[name](stage, amount, new_key()))
        assert refusal.path == ["amount"]


@pytest.mark.parametrize("name", COMMANDS)
async def test_the_largest_amount_is_a_matter_of_figures(stage: Stage, name: str) -> None:
    refusal = await refused(Refusal, COMMANDS[name](stage, POINTS_MAX, new_key()))
    assert refusal.code in {
        "INSUFFICIENT_POINTS", "BALANCE_LIMIT", "EXCEEDS_HOLD", "EXCEEDS_REVERSIBLE",
    }  # fmt: skip
    assert refusal.extras["required"] == POINTS_MAX


@pytest.mark.parametrize("name", COMMANDS)
async def test_one_key_has_one_effect(stage: Stage, name: str) -> None:
    first = await COMMANDS[name](stage, 2, "the same")
    before = await everything()
    again = await COMMANDS[name](stage, 2, "the same")
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.transfer_id, again.amount, again.balance, again.position, again.posted_at) == (
        first.transfer_id, first.amount, first.balance, first.position, first.posted_at,
    )  # fmt: skip
    with pytest.raises(IdempotencyConflict) as caught:
        await COMMANDS[name](stage, 3, "the same")
    assert caught.value.path == ["idempotencyKey"]
    assert await everything() == before


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_key_sent_many_times_at_once_has_one_effect(stage: Stage, name: str) -> None:
    answers = await asyncio.gather(*(COMMANDS[name](stage, 2, "at once") for _ in range(6)))
    assert len({(answer.transfer_id, answer.balance, answer.position) for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 5


@pytest.mark.parametrize("name", COMMANDS)
async def test_keys_that_cannot_be(stage: Stage, name: str) -> None:
    if name == "top_up":
        return  # whose reference is the key here, and has a limit of its own
    refusal = await refused(InvalidInput, COMMANDS[name](stage, 2, "x" * 129))
    assert refusal.path == ["idempotencyKey"]


@pytest.mark.parametrize("name", ON_MEMBERS)
async def test_members_and_programs_that_are_not_there(stage: Stage, name: str) -> None:
    for member, program, path in ((new_id(), stage.program, "memberId"), (stage.member, "nowhere", "program")):
        refusal = await refused(NotFound, ON_MEMBERS[name](member, program, 2, new_key()))
        assert refusal.path == [path]


@pytest.mark.parametrize("name", ["spend", "donate", "hold", "claw", "deduct", "pay", "hold_value"])
async def test_another_program_has_nothing_of_this_one(stage: Stage, name: str) -> None:
    refusal = await refused(InsufficientPoints, ON_MEMBERS[name](stage.member, stage.other, 2, new_key()))
    money = {"money": "EUR"} if name in {"pay", "hold_value"} else {}
    assert refusal.extras == {"available": 0, "required": 2} | money


@pytest.mark.parametrize(
    ("spending", "earning"), [(pay, earn), (spend, top_up)], ids=["value is not points", "points are not value"]
)
async def test_another_currency_has_nothing_of_this_one(
    member: UUID, program: str, spending: Callable[..., Awaitable[Posted]], earning: Callable[..., Awaitable[Posted]]
) -> None:
    await earning(member, program, 10)
    refusal = await refused(InsufficientPoints, spending(member, program, 1))
    assert refusal.extras == {"available": 0, "required": 1} | ({"money": "EUR"} if spending is pay else {})


async def test_parts_take_a_key_for_all_and_for_some(stage: Stage) -> None:
    """All of it, without an amount, is other input than an amount that comes to the same."""
    for command, on in (
        (cancel, stage.pending),
        (capture, stage.held),
        (reverse, stage.spent),
        (restore, stage.deducted),
    ):
        first = await command(on, None, "all")
        with pytest.raises(IdempotencyConflict):
            await command(on, 100, "all")
        assert (await command(on, None, "all")).transfer_id == first.transfer_id
    await refund(stage.topped_up, None, "all")
    with pytest.raises(IdempotencyConflict):
        await refund(stage.topped_up, 1000, "all")


Asked = Callable[[Stage, str], Awaitable[Any]]

OTHER_INPUT: list[tuple[str, Asked, list[Asked]]] = [
    ("spend", lambda s, key: spend(s.member, s.program, 2, key), [
        lambda s, key: spend(s.member, s.other, 2, key),
        lambda s, key: spend(s.member, s.program, 2, key, reason="OTHER"),
    ]),
    ("donate", lambda s, key: donate(s.member, s.program, 2, key), [
        lambda s, key: donate(s.member, s.program, 2, key, good_cause="whales"),
    ]),
    ("hold", lambda s, key: hold(s.member, s.program, 2, key), [
        lambda s, key: hold(s.member, s.program, 2, key, deadline=NOON + DAY),
    ]),
    ("capture", lambda s, key: capture(s.held, 2, key), [
        lambda s, key: capture(s.held, 2, key, keep_rest=True),
    ]),
    ("confirm", lambda s, key: confirm(s.pending, key), [
        lambda s, key: confirm(s.pending, key, expires_at=NOON + DAY),
        lambda s, key: confirm(s.pending, key, reason="OTHER"),
    ]),
    ("deduct", lambda s, key: deduct(s.member, s.program, 2, key), [
        lambda s, key: deduct(s.member, s.program, None, key),
        lambda s, key: deduct(s.member, s.program, 2, key, from_held=True),
        lambda s, key: deduct(s.member, s.program, 2, key, shortfall="DEBT"),
    ]),
    ("claw", lambda s, key: claw(s.member, s.program, 2, key), [
        lambda s, key: claw(s.member, s.program, 2, key, shortfall="FORGO"),
    ]),
    ("gift", lambda s, key: gift(s.member, s.friend, s.program, 2, key), [
        lambda s, key: gift(s.member, new_id(), s.program, 2, key),
        lambda s, key: gift(s.member, s.friend, s.program, 2, key, message="words"),
    ]),
    ("exchange", lambda s, key: exchange(s.member, s.program, s.other, 2, key), [
        lambda s, key: exchange(s.member, s.other, s.program, 2, key),
        lambda s, key: exchange(s.member, s.program, s.other, 2, key, rate_id=new_id()),
    ]),
    ("adjust", lambda s, key: adjust(s.member, s.program, 2, key), [
        lambda s, key: adjust(s.member, s.program, -2, key),
        lambda s, key: adjust(s.member, s.program, 2, key, note="words"),
        lambda s, key: adjust(s.member, s.program, 2, key, expires_at=NOON + DAY),
    ]),
    ("top_up", lambda s, key: top_up(s.member, s.program, 2, key, payment_reference="a", paid_at=NOON), [
        lambda s, key: top_up(s.member, s.program, 2, key, payment_reference="b", paid_at=NOON),
        lambda s, key: top_up(s.member, s.program, 2, key, payment_reference="a", paid_at=NOON - DAY),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "first", "others"), OTHER_INPUT, ids=[case[0] for case in OTHER_INPUT])
async def test_a_key_with_any_other_input_is_a_conflict(
    connected: object,
    name: str,
    first: Asked,
    others: list[Asked],
) -> None:
    assert connected
    with clock.frozen(NOON):
        await open_channel()
        stage = await set_stage()
        await first(stage, name)
        for other in others:
            await refused(IdempotencyConflict, other(stage, name))


async def test_a_key_of_one_decision_is_not_for_another(member: UUID) -> None:
    program, friend = await program_with(rolling("P5Y", gift_accept_within="P3D")), await new_member()
    await earn(member, program, 10)
    for first, others in ((accept, (decline, withdraw)), (withdraw, (accept, decline))):
        offered = await gift(member, friend, program, 2)
        await first(offered.gift_id, "decided")
        for other in others:
            await refused(IdempotencyConflict, other(offered.gift_id, "decided"))


async def test_an_account_holds_no_more_than_json_tells_exactly(member: UUID, program: str) -> None:
    other, friend = await new_program(), await new_member()
    await publish_rate(other, program, 1, 1)
    await earn(member, program, POINTS_MAX)
    spent = await spend(member, program, 10)
    taken = await deduct(member, program, 10)
    await earn(member, program, 20)
    await earn(friend, program, 10)
    await earn(member, other, 10)
    for command in (
        earn(member, program, 1),
        earn(member, program, 1, on_confirmation=True),
        adjust(member, program, 1),
        reverse(spent.transfer_id, 1),
        restore(taken.transfer_id, 1),
        exchange(member, other, program, 1),
    ):
        refusal = await refused(BalanceLimit, command)
        assert refusal.path == ["amount"]
        assert refusal.extras == {"limit": POINTS_MAX, "balance": POINTS_MAX, "required": 1}
    refusal = await refused(BalanceLimit, gift(friend, member, program, 1))
    assert refusal.path == ["recipientId"]  # whose account it is


async def test_pending_and_held_points_count_for_the_limit(member: UUID, program: str) -> None:
    await earn(member, program, POINTS_MAX - 10)
    await hold(member, program, POINTS_MAX - 10)
    await earn(member, program, 10, on_confirmation=True)
    refusal = await refused(BalanceLimit, earn(member, program, 1))
    assert refusal.extras["balance"] == POINTS_MAX
    assert await balance(member, program) == Balance(pending=10, held=POINTS_MAX - 10)


async def test_points_and_value_have_a_limit_each(member: UUID, program: str) -> None:
    await earn(member, program, POINTS_MAX)
    assert (await top_up(member, program, POINTS_MAX)).balance == Balance(available=POINTS_MAX)
    assert await value(member, program) == await balance(member, program)


async def test_members_who_have_too_much_together_are_not_merged(member: UUID, program: str) -> None:
    survivor, owing, owing_too = [await new_member() for _ in range(3)]
    for one in (member, survivor):
        await earn(one, program, POINTS_MAX)
    for one in (owing, owing_too):
        await claw(one, program, POINTS_MAX)
    other = await new_program()
    await earn(member, other, 5)
    for absorbed, into in ((member, survivor), (owing, owing_too)):
        refusal = await refused(BalanceLimit, merge(absorbed, into))
        assert refusal.extras == {"limit": POINTS_MAX, "balance": POINTS_MAX, "required": POINTS_MAX}
    await spend(survivor, program, POINTS_MAX)
    await merge(member, survivor)
    assert await balance(survivor, program) == Balance(available=POINTS_MAX)
