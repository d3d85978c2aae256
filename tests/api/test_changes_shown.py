"""`pointsChanged` shows what each command of the ledger did to points, each change once, and stored value never."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from engage.base import clock
from engage.base.actor import SYSTEM
from engage.domains.ledger import service as ledger
from engage.domains.ledger.types import HoldPosted
from tests.api.clients import Json
from tests.api.conftest import People, Person, give, new_key
from tests.api.gateway import Gateway
from tests.api.ledger_inputs import OFFERS, gift_of, gift_to, offers, rate, top_up
from tests.api.watching import watching

PROGRAM = "default"


@pytest.fixture
async def member(people: People) -> Person:
    return await people.new(100)


async def shown(
    gateway: Gateway, member: Person, acting: Callable[[], Awaitable[object]], program: str = PROGRAM
) -> list[tuple[str, int, int, int, int]]:
    """Kind, amount, available, held and debt of each frame that an action brings about, one for each change."""
    async with watching(gateway, member, program=program) as seen:
        position = (await seen.frame())["position"]
        await acting()
        last = await give(member.id, 1, program)
        frames = await seen.until(last.position)
    positions = [frame["position"] for frame in frames]
    assert positions == sorted(set(positions))
    assert positions[0] > position
    assert [frame["fromPosition"] for frame in frames] == positions
    return [told(frame) for frame in frames[:-1]]


def told(frame: Json) -> tuple[str, int, int, int, int]:
    transfer, balance = frame["transfer"], frame["balance"]
    return transfer["kind"], transfer["amount"], balance["available"], balance["held"], balance["debt"]


async def hold(member: Person, amount: int = 10) -> HoldPosted:
    return await ledger.hold_points(
        SYSTEM, member_id=member.id, program=PROGRAM, amount=amount, idempotency_key=new_key()
    )


async def test_a_hold_its_capture_and_its_release(gateway: Gateway, member: Person) -> None:
    async def act() -> None:
        one = await hold(member)
        await ledger.capture_hold(SYSTEM, hold_id=one.hold_id, amount=3, keep_rest=True, idempotency_key=new_key())
        await ledger.capture_hold(SYSTEM, hold_id=one.hold_id, amount=2, idempotency_key=new_key())
        other = await hold(member, 4)
        await ledger.release_hold(SYSTEM, hold_id=other.hold_id, idempotency_key=new_key())

    assert await shown(gateway, member, act) == [
        ("HOLD", -10, 90, 10, 0),
        ("CAPTURE", -3, 90, 7, 0),
        ("CAPTURE", -2, 90, 5, 0),
        ("RELEASE", 5, 95, 0, 0),
        ("HOLD", -4, 91, 4, 0),
        ("RELEASE", 4, 95, 0, 0),
    ]


async def test_a_hold_past_its_deadline(gateway: Gateway, member: Person) -> None:
    async def act() -> None:
        await hold(member)
        with clock.frozen(clock.now() + timedelta(days=2)):
            await ledger.sweep_due(100)

    assert await shown(gateway, member, act) == [("HOLD", -10, 90, 10, 0), ("RELEASE", 10, 100, 0, 0)]


async def test_both_sides_of_a_gift(gateway: Gateway, people: People, member: Person) -> None:
    other = await people.new()

    async def act() -> None:
        await ledger.gift_points(
            SYSTEM, member_id=member.id, recipient_id=other.id, program=PROGRAM, amount=7, idempotency_key=new_key()
        )

    async with watching(gateway, other) as seen:
        position = (await seen.frame())["position"]
        assert await shown(gateway, member, act) == [("GIFT", -7, 93, 0, 0)]
        frame = await seen.frame()
    assert frame["position"] == position + 1
    assert told(frame) == ("RECEIVE", 7, 7, 0, 0)


async def test_an_offer_that_is_accepted_and_one_that_is_not(gateway: Gateway, people: People) -> None:
    sender, recipient = await people.new(), await people.new()

    async def accept() -> None:
        await ledger.accept_gift(SYSTEM, gift_id=await gift_to(recipient), idempotency_key=new_key())
        await ledger.decline_gift(SYSTEM, gift_id=await gift_to(recipient), idempotency_key=new_key())

    async def offer() -> None:
        await ledger.accept_gift(SYSTEM, gift_id=await gift_of(sender), idempotency_key=new_key())
        await ledger.withdraw_gift(SYSTEM, gift_id=await gift_of(sender), idempotency_key=new_key())

    await offers()
    assert await shown(gateway, recipient, accept, OFFERS) == [("RECEIVE", 5, 5, 0, 0)]
    assert await shown(gateway, sender, offer, OFFERS) == [
        ("EARN", 20, 20, 0, 0),
        ("HOLD", -6, 14, 6, 0),
        ("GIFT", -5, 14, 1, 0),
        ("FEE", -1, 14, 0, 0),
        ("EARN", 20, 34, 0, 0),
        ("HOLD", -6, 28, 6, 0),
        ("RELEASE", 6, 34, 0, 0),
    ]


async def test_a_reversal_and_debt_that_is_paid(gateway: Gateway, member: Person) -> None:
    async def act() -> None:
        spent = await ledger.spend_points(
            SYSTEM, member_id=member.id, program=PROGRAM, amount=90, idempotency_key=new_key()
        )
        await ledger.reverse_transfer(SYSTEM, transfer_id=spent.transfer_id, amount=40, idempotency_key=new_key())
        await ledger.clawback_points(
            SYSTEM, member_id=member.id, program=PROGRAM, amount=60, idempotency_key=new_key()
        )
        await give(member.id, 30)

    assert await shown(gateway, member, act) == [
        ("SPEND", -90, 10, 0, 0),
        ("REVERSE", 40, 50, 0, 0),
        ("CLAWBACK", -60, 0, 0, 10),
        ("EARN", 30, 30, 0, 10),
        ("DEBT_PAID", -10, 20, 0, 0),
    ]


async def test_a_penalty_and_a_correction(gateway: Gateway, member: Person) -> None:
    async def act() -> None:
        taken = await ledger.deduct_points(
            SYSTEM, member_id=member.id, program=PROGRAM, amount=20, idempotency_key=new_key()
        )
        await ledger.restore_points(SYSTEM, transfer_id=taken.transfer_id, idempotency_key=new_key())
        for amount in (5, -3):
            await ledger.adjust_points(
                SYSTEM, member_id=member.id, program=PROGRAM, amount=amount, reason="CORRECTION",
                idempotency_key=new_key(),
            )  # fmt: skip
        await ledger.donate_points(
            SYSTEM, member_id=member.id, program=PROGRAM, amount=2, good_cause="trees", idempotency_key=new_key()
        )

    assert await shown(gateway, member, act) == [
        ("DEDUCT", -20, 80, 0, 0),
        ("RESTORE", 20, 100, 0, 0),
        ("ADJUST_UP", 5, 105, 0, 0),
        ("ADJUST_DOWN", -3, 102, 0, 0),
        ("DONATE", -2, 100, 0, 0),
    ]


async def test_pending_points_and_their_confirmation(gateway: Gateway, member: Person) -> None:
    async def act() -> None:
        for _ in range(2):
            pending = await ledger.earn_points(
                SYSTEM, member_id=member.id, program=PROGRAM, amount=8, idempotency_key=new_key(),
                on_confirmation=True,
            )  # fmt: skip
        await ledger.confirm_pending(SYSTEM, transfer_id=pending.transfer_id, idempotency_key=new_key())

    assert await shown(gateway, member, act) == [
        ("EARN", 8, 100, 0, 0),
        ("EARN", 8, 100, 0, 0),
        ("CONFIRM", 8, 108, 0, 0),
    ]


async def test_an_exchange_in_each_program(gateway: Gateway, member: Person) -> None:
    await rate()

    async def act() -> None:
        await ledger.exchange_points(
            SYSTEM, member_id=member.id, from_program=PROGRAM, to_program=OFFERS, amount=4, idempotency_key=new_key()
        )

    async with watching(gateway, member, program=OFFERS) as seen:
        await seen.frame()
        assert await shown(gateway, member, act) == [("EXCHANGE_OUT", -4, 96, 0, 0)]
        assert told(await seen.frame()) == ("EXCHANGE_IN", 6, 6, 0, 0)


async def test_stored_value_is_not_shown(gateway: Gateway, member: Person) -> None:
    async def act() -> None:
        paid_in = await top_up(member)
        await ledger.pay_stored_value(
            SYSTEM, member_id=member.id, program=PROGRAM, amount=100, idempotency_key=new_key()
        )
        one = await ledger.hold_stored_value(
            SYSTEM, member_id=member.id, program=PROGRAM, amount=100, idempotency_key=new_key()
        )
        await ledger.capture_hold(SYSTEM, hold_id=one.hold_id, amount=40, idempotency_key=new_key())
        await ledger.refund_top_up(SYSTEM, transfer_id=paid_in, idempotency_key=new_key())

    assert await shown(gateway, member, act) == []


async def test_a_repetition_is_not_shown_again(gateway: Gateway, member: Person) -> None:
    key = new_key()

    async def act() -> None:
        for _ in range(3):
            await ledger.hold_points(SYSTEM, member_id=member.id, program=PROGRAM, amount=1, idempotency_key=key)

    assert await shown(gateway, member, act) == [("HOLD", -1, 99, 1, 0)]
