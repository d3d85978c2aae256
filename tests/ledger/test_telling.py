"""What commands tell whom: fields of their own input, money as money, and nothing of another member."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import InvalidInput, NotFound, Refusal
from engage.base.ids import new_id
from engage.domains.ledger import rules, service
from engage.domains.ledger.errors import (
    BalanceLimit,
    ExceedsHold,
    ExceedsReversible,
    InsufficientPoints,
    MemberNotActive,
)
from engage.domains.ledger.types import POINTS_MAX, CurrencyKind, GiftPosted, Shortfall, TransferKind
from engage.domains.members.service import create_channel
from tests.ledger.books import STAFF, balance, earn, events, everything, new_key, new_member
from tests.ledger.publishing import program_with, rolling

ADMIN = Actor("desk-1", Role.ADMIN)


def as_member(member: UUID) -> Actor:
    return Actor(str(member), Role.MEMBER, member)


async def set_state(member: UUID, state: str) -> None:
    frozen_at = clock.now() if state == "FROZEN" else None
    await db.execute("UPDATE members SET state = $2, frozen_at = $3 WHERE id = $1", member, state, frozen_at)


async def fill(member: UUID, room: int) -> None:
    """Leave room for so many points more."""
    await db.execute(
        "UPDATE accounts SET available = $2 - pending - held WHERE member_id = $1", member, POINTS_MAX - room
    )


async def refused(kind: type[Refusal], command: Awaitable[object]) -> Refusal:
    before = await everything()
    with pytest.raises(kind) as caught:
        await command
    assert await everything() == before
    return caught.value


async def gift(actor: Actor, sender: UUID, recipient: UUID, program: str, amount: int = 5) -> GiftPosted:
    return await service.gift_points(
        actor, member_id=sender, recipient_id=recipient, program=program, amount=amount, idempotency_key=new_key()
    )


async def offered(sender: UUID, recipient: UUID) -> tuple[str, UUID]:
    """A program whose gifts wait to be accepted, and one that does."""
    program = await program_with(rolling(gift_accept_within="P3D", gift_fee_fixed=1))
    await earn(sender, program, 10)
    return program, (await gift(as_member(sender), sender, recipient, program)).gift_id


async def test_who_accepts_a_gift_is_told_their_own_side(member: UUID) -> None:
    recipient = await new_member()
    program, gift_id = await offered(member, recipient)
    key = new_key()
    done = await service.accept_gift(as_member(recipient), gift_id=gift_id, idempotency_key=key)
    assert (done.member_id, done.recipient_id, done.kind, done.amount) == (
        recipient, recipient, TransferKind.RECEIVE, 5,
    )  # fmt: skip
    assert done.balance == await balance(recipient, program)
    [(position, name, data)] = await events(recipient)
    assert (position, name) == (done.position, "ledger.gift_received.v1")
    assert data["transfer_id"] == str(done.transfer_id)
    again = await service.accept_gift(as_member(recipient), gift_id=gift_id, idempotency_key=key)
    assert (again.transfer_id, again.balance, again.replayed) == (done.transfer_id, done.balance, True)
    assert (await balance(member, program)).available == 4


async def test_a_gift_is_not_accepted_beyond_what_an_account_can_hold(member: UUID) -> None:
    recipient = await new_member()
    program, gift_id = await offered(member, recipient)
    await earn(recipient, program, 1)
    await fill(recipient, 4)
    accept = service.accept_gift(as_member(recipient), gift_id=gift_id, idempotency_key=new_key())
    refusal = await refused(BalanceLimit, accept)
    assert (refusal.path, refusal.extras["required"]) == (["giftId"], 5)
    await fill(recipient, 5)
    await service.accept_gift(as_member(recipient), gift_id=gift_id, idempotency_key=new_key())


@pytest.mark.parametrize("state", ["FROZEN", "SUSPENDED", "CANCELLED", "ERASED"])
async def test_a_member_learns_nothing_of_the_state_of_another(member: UUID, state: str) -> None:
    recipient = await new_member()
    program, gift_id = await offered(member, recipient)
    await set_state(recipient, state)
    told = await refused(NotFound, gift(as_member(member), member, recipient, program))
    of_nobody = await refused(NotFound, gift(as_member(member), member, new_id(), program))
    assert (told.message, told.path) == (of_nobody.message, of_nobody.path)
    assert told.path == ["recipientId"]
    told = await refused(MemberNotActive, gift(STAFF, member, recipient, program))
    assert (told.path, told.extras) == (["recipientId"], {"state": state})

    await set_state(recipient, "ACTIVE")
    await set_state(member, state)

    def accept(actor: Actor) -> Awaitable[object]:
        return service.accept_gift(actor, gift_id=gift_id, idempotency_key=new_key())

    told = await refused(NotFound, accept(as_member(recipient)))
    assert told.path == ["giftId"]
    told = await refused(MemberNotActive, accept(STAFF))
    assert (told.path, told.extras) == (["giftId"], {"state": state})


async def test_a_member_learns_nothing_of_the_balance_of_another(member: UUID) -> None:
    program, recipient = await program_with(rolling()), await new_member()
    await earn(member, program, 10)
    await earn(recipient, program, 1)
    await fill(recipient, 2)
    assert (await refused(NotFound, gift(as_member(member), member, recipient, program))).path == ["recipientId"]
    assert (await refused(BalanceLimit, gift(STAFF, member, recipient, program))).path == ["recipientId"]


async def test_who_may_do_nothing_is_named_by_a_field_of_the_input(member: UUID, program: str) -> None:
    earned = await earn(member, program, 10)
    pending = await earn(member, program, 10, on_confirmation=True)
    hold = await service.hold_points(STAFF, member_id=member, program=program, amount=2, idempotency_key=new_key())
    taken = await service.deduct_points(ADMIN, member_id=member, program=program, amount=1, idempotency_key=new_key())
    await set_state(member, "ERASED")
    commands: list[tuple[str, Awaitable[object]]] = [
        ("transferId", service.confirm_pending(STAFF, transfer_id=pending.transfer_id, idempotency_key=new_key())),
        ("transferId", service.cancel_pending(STAFF, transfer_id=pending.transfer_id, idempotency_key=new_key())),
        ("holdId", service.capture_hold(STAFF, hold_id=hold.hold_id, idempotency_key=new_key())),
        ("holdId", service.release_hold(STAFF, hold_id=hold.hold_id, idempotency_key=new_key())),
        ("transferId", service.reverse_transfer(STAFF, transfer_id=earned.transfer_id, idempotency_key=new_key())),
        ("transferId", service.restore_points(ADMIN, transfer_id=taken.transfer_id, idempotency_key=new_key())),
    ]
    for field, command in commands:
        refusal = await refused(MemberNotActive, command)
        assert (refusal.path, refusal.extras) == ([field], {"state": "ERASED"})


async def test_an_unknown_program_of_an_exchange_is_named_by_its_field(member: UUID, program: str) -> None:
    for here, there, field in (("nowhere", program, "fromProgram"), (program, "nowhere", "toProgram")):
        exchange = service.exchange_points(
            STAFF, member_id=member, from_program=here, to_program=there, amount=1, idempotency_key=new_key()
        )
        assert (await refused(NotFound, exchange)).path == [field]


async def test_an_approval_is_refused_by_its_own_field(member: UUID) -> None:
    program = await program_with(rolling(adjust_alone_max=1))
    other = Actor("desk-2", Role.STAFF)

    async def waiting(amount: int, **more: object) -> UUID:
        asked = await service.adjust_points(
            STAFF, member_id=member, program=program, amount=amount, reason="CORRECTION", idempotency_key=new_key(),
            **more,  # type: ignore[arg-type]
        )  # fmt: skip
        assert asked.adjustment is not None
        return asked.adjustment.id

    down, up = await waiting(-5), await waiting(5, expires_at=clock.now() + rules.CLOCK_SKEW)
    for adjustment_id, kind in ((down, InsufficientPoints), (new_id(), NotFound)):
        refusal = await refused(kind, service.approve_adjustment(other, adjustment_id=adjustment_id))
        assert refusal.path == ["adjustmentId"]
    with clock.frozen(clock.now() + 2 * rules.CLOCK_SKEW):
        refusal = await refused(InvalidInput, service.approve_adjustment(other, adjustment_id=up))
    assert refusal.path == ["adjustmentId"]
    await earn(member, program, 1)
    await fill(member, 4)
    up = await waiting(5)
    refusal = await refused(BalanceLimit, service.approve_adjustment(other, adjustment_id=up))
    assert refusal.path == ["adjustmentId"]
    await set_state(member, "ERASED")
    refusal = await refused(MemberNotActive, service.approve_adjustment(other, adjustment_id=up))
    assert refusal.path == ["adjustmentId"]


async def top_up(member: UUID, program: str, amount: int) -> UUID:
    done = await service.top_up(
        STAFF, member_id=member, program=program, amount=amount, channel="till", payment_reference=new_key(),
        paid_at=clock.now(), idempotency_key=new_key(),
    )  # fmt: skip
    return done.transfer_id


async def test_figures_of_stored_value_are_told_as_money(member: UUID, program: str) -> None:
    await create_channel(ADMIN, code="till", name="Till")
    paid_in = await top_up(member, program, 1000)
    paid = await service.pay_stored_value(
        STAFF, member_id=member, program=program, amount=400, idempotency_key=new_key()
    )
    hold = await service.hold_stored_value(
        STAFF, member_id=member, program=program, amount=100, idempotency_key=new_key()
    )
    assert hold.currency is CurrencyKind.CASH
    commands: list[tuple[type[Refusal], str, Awaitable[object]]] = [
        (InsufficientPoints, "5.01 EUR are needed and 5.00 EUR are available.", service.pay_stored_value(
            STAFF, member_id=member, program=program, amount=501, idempotency_key=new_key())),
        (InsufficientPoints, "5.01 EUR are needed and 5.00 EUR are available.", service.hold_stored_value(
            STAFF, member_id=member, program=program, amount=501, idempotency_key=new_key())),
        (ExceedsHold, "1.01 EUR are asked for and 1.00 EUR are held.", service.capture_hold(
            STAFF, hold_id=hold.hold_id, amount=101, idempotency_key=new_key())),
        (ExceedsHold, "1.01 EUR are asked for and 1.00 EUR are held.", service.release_hold(
            STAFF, hold_id=hold.hold_id, amount=101, idempotency_key=new_key())),
        (ExceedsReversible, "4.01 EUR are to be taken back and 4.00 EUR of this transfer are left.",
            service.reverse_transfer(STAFF, transfer_id=paid.transfer_id, amount=401, idempotency_key=new_key())),
        (ExceedsReversible, "5.01 EUR are to be taken back and 5.00 EUR of this transfer are left.",
            service.refund_top_up(STAFF, transfer_id=paid_in, amount=501, idempotency_key=new_key())),
    ]  # fmt: skip
    for kind, message, command in commands:
        refusal = await refused(kind, command)
        assert (refusal.message, refusal.extras["money"]) == (message, "EUR")
    await fill(member, 9)
    refusal = await refused(BalanceLimit, top_up(member, program, 10))
    assert refusal.extras["money"] == "EUR"
    assert refusal.message.startswith("An account holds at most 90071992547409.91 EUR; this one has ")


async def test_points_are_told_without_money(member: UUID, program: str) -> None:
    await earn(member, program, 3)
    hold = await service.hold_points(STAFF, member_id=member, program=program, amount=2, idempotency_key=new_key())
    refusal = await refused(
        ExceedsHold, service.capture_hold(STAFF, hold_id=hold.hold_id, amount=3, idempotency_key=new_key())
    )
    assert refusal.extras == {"remaining": 2, "required": 3}
    assert refusal.message == "3 points are asked for and 2 are held."


@pytest.mark.parametrize(
    ("amount", "money", "minor"),
    [("12.5", "EUR", 1250), ("12", "JPY", 12), ("0.001", "BHD", 1), ("1E+2", "EUR", 10000)],
)
def test_money_in_minor_units(amount: str, money: str, minor: int) -> None:
    assert rules.minor_units(Decimal(amount), money, path=["amount"]) == minor
    assert rules.money_of(minor, money) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "money"),
    [
        ("12.505", "EUR"),
        ("0.5", "JPY"),
        ("0", "EUR"),
        ("-1", "EUR"),
        ("NaN", "EUR"),
        ("Infinity", "EUR"),
        ("1E+20", "EUR"),
    ],
)
def test_money_that_cannot_be(amount: str, money: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rules.minor_units(Decimal(amount), money, path=["amount"])
    assert caught.value.path == ["amount"]


async def test_taking_all_of_nothing_says_that_something_is_needed(member: UUID, program: str) -> None:
    nothing = service.deduct_points(
        ADMIN, member_id=member, program=program, amount=None, idempotency_key=new_key(), shortfall=Shortfall.FORGO
    )
    assert (await refused(InsufficientPoints, nothing)).extras == {"available": 0, "required": 1}


async def test_a_reversal_tells_what_is_left_of_what_was_given_too(member: UUID, program: str) -> None:
    earned = await earn(member, program, 10)
    for amount, left in ((4, 6), (None, 0)):
        done = await service.reverse_transfer(
            STAFF, transfer_id=earned.transfer_id, amount=amount, idempotency_key=new_key()
        )
        assert done.remaining == left


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_moment_that_no_clock_shows_in_utc_is_refused(member: UUID, program: str, at: str) -> None:
    adjust = service.adjust_points(
        STAFF, member_id=member, program=program, amount=1, reason="CORRECTION", idempotency_key=new_key(),
        expires_at=datetime.fromisoformat(at),
    )  # fmt: skip
    assert (await refused(InvalidInput, adjust)).path == ["expiresAt"]
