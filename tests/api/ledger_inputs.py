"""What the ledger's mutations need to be there, and a valid input for each, with every field filled in.

A hold is of points or of stored value, so `value` is left out where `amount` is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from engage.api.relay import global_id
from engage.base import clock
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.ids import new_id
from engage.domains.ledger import service as ledger
from engage.domains.ledger.policy.service import publish_points_policy
from engage.domains.ledger.policy.types import BonusStep, ExpiryKind, PolicyTerms
from engage.domains.ledger.types import RatePublished
from engage.domains.members import service as members
from engage.domains.members.errors import AlreadyExists
from engage.domains.members.types import IdentityRef
from tests.api.clients import Json
from tests.api.conftest import Person, give, new_key

OFFERS = "offers"
"""A program whose gifts wait to be accepted, and whose large corrections wait for a second person."""

ASKED_BY = Actor("somebody-else", Role.STAFF)

_made: dict[tuple[UUID, str], str] = {}


def made(member: Person, what: str) -> str:
    """The global id of what was made for a member; one that nothing has where nothing was made."""
    return _made.get((member.id, what)) or global_id(what.rsplit(" ", 1)[-1], new_id())


async def offers() -> None:
    """Have the program there."""
    with suppress(AlreadyExists):
        await members.create_program(SYSTEM, code=OFFERS, name="Offers", time_zone="UTC", money_currency="USD")
    await publish(
        OFFERS,
        gift_accept_within="P3D",
        gift_fee_fixed=1,
        adjust_alone_max=10,
        top_up_bonus=(BonusStep(Decimal(10), 100),),
    )


async def publish(program: str, **rules: object) -> None:
    """Publish a program's policy, once."""
    await publish_points_policy(
        SYSTEM,
        program=program,
        policy=PolicyTerms(ExpiryKind.NEVER, **rules),  # type: ignore[arg-type]
        idempotency_key=f"tests-{program}",
    )


async def rate() -> RatePublished:
    """Three points of the program `offers` for two of `default`, published once."""
    await offers()
    return await ledger.publish_exchange_rate(
        SYSTEM, from_program="default", to_program=OFFERS, numerator=3, denominator=2, idempotency_key="tests"
    )


async def top_up(member: Person, reference: str | None = None) -> UUID:
    """50.00 paid in."""
    done = await ledger.top_up(
        SYSTEM, member_id=member.id, program="default", amount=5000, channel="pos",
        payment_reference=reference or new_key(), paid_at=clock.now(), idempotency_key=new_key(),
    )  # fmt: skip
    return done.transfer_id


async def gift_to(member: Person) -> UUID:
    """A gift that is offered to a member."""
    await offers()
    return await _offer(await somebody(member), member.id)


async def gift_of(member: Person) -> UUID:
    """A gift that a member offers."""
    await offers()
    return await _offer(member.id, await somebody(member))


async def _offer(sender: UUID, recipient: UUID) -> UUID:
    await give(sender, 20, OFFERS)
    done = await ledger.gift_points(
        SYSTEM, member_id=sender, recipient_id=recipient, program=OFFERS, amount=5, idempotency_key=new_key()
    )
    return done.gift_id


async def somebody(_: Person) -> UUID:
    return (await members.register_member(SYSTEM, identities=[IdentityRef("phone", new_key())])).id


async def earning(member: Person) -> UUID:
    done = await ledger.earn_points(
        SYSTEM, member_id=member.id, program="default", amount=10, idempotency_key=new_key(), on_confirmation=True
    )
    return done.transfer_id


async def spending(member: Person) -> UUID:
    await give(member.id, 10)
    done = await ledger.spend_points(
        SYSTEM, member_id=member.id, program="default", amount=10, idempotency_key=new_key()
    )
    return done.transfer_id


async def hold(member: Person) -> UUID:
    await give(member.id, 10)
    done = await ledger.hold_points(
        SYSTEM, member_id=member.id, program="default", amount=10, idempotency_key=new_key()
    )
    return done.hold_id


async def deduction(member: Person) -> UUID:
    await give(member.id, 10)
    done = await ledger.deduct_points(
        SYSTEM, member_id=member.id, program="default", amount=10, idempotency_key=new_key()
    )
    return done.transfer_id


async def adjustment(member: Person, actor: Actor = ASKED_BY, amount: int = 11) -> UUID:
    await offers()
    done = await ledger.adjust_points(
        actor, member_id=member.id, program=OFFERS, amount=amount, reason="CORRECTION", idempotency_key=new_key()
    )
    assert done.adjustment is not None
    return done.adjustment.id


async def rate_id(_: Person) -> UUID:
    return (await rate()).id


NEEDS: dict[str, tuple[str, Callable[[Person], Awaitable[UUID]]]] = {
    "confirmPending": ("pending Transfer", earning),
    "cancelPending": ("pending Transfer", earning),
    "captureHold": ("Hold", hold),
    "releaseHold": ("Hold", hold),
    "reverseTransfer": ("spent Transfer", spending),
    "restorePoints": ("deducted Transfer", deduction),
    "giftPoints": ("recipient Member", somebody),
    "acceptGift": ("received Gift", gift_to),
    "declineGift": ("received Gift", gift_to),
    "withdrawGift": ("given Gift", gift_of),
    "exchangePoints": ("ExchangeRate", rate_id),
    "publishExchangeRate": ("ExchangeRate", rate_id),
    "approveAdjustment": ("Adjustment", adjustment),
    "rejectAdjustment": ("Adjustment", adjustment),
    "payStoredValue": ("paid Transfer", top_up),
    "holdStoredValue": ("paid Transfer", top_up),
    "refundTopUp": ("paid Transfer", top_up),
}
"""What a mutation's valid input names, or has to be there for it, and how that is made."""


async def make_ready(name: str, member: Person) -> None:
    """Make anew what a mutation needs."""
    if name in NEEDS:
        what, make = NEEDS[name]
        _made[member.id, what] = global_id(what.rsplit(" ", 1)[-1], await make(member))


def _points(member: Person) -> Json:
    return {
        "memberId": member.gid,
        "amount": 1,
        "idempotencyKey": new_key(),
        "program": "default",
        "reason": "CORRECTION",
        "cause": {"type": "order", "id": "7"},
    }


def _back(member: Person, what: str) -> Json:
    return {
        "transferId": made(member, what),
        "idempotencyKey": new_key(),
        "amount": 1,
        "reason": "CORRECTION",
        "cause": {"type": "case", "id": "7"},
    }


def _held(member: Person) -> Json:
    given = _back(member, "Hold")
    return {"holdId": given.pop("transferId"), **given}


def _gift(member: Person, what: str) -> Json:
    return {"giftId": made(member, what), "idempotencyKey": new_key()}


def tomorrow() -> str:
    """A deadline that no program's policy refuses."""
    return datetime.fromtimestamp(clock.now().timestamp() + 86_000, UTC).isoformat()


LEDGER: dict[str, Callable[[Person], Json]] = {
    "earnPoints": lambda member: {
        **_points(member),
        "usableAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2099-01-01T00:00:00Z",
        "onConfirmation": False,
    },
    "confirmPending": lambda member: {
        "transferId": made(member, "pending Transfer"),
        "idempotencyKey": new_key(),
        "expiresAt": "2099-01-01T00:00:00Z",
        "reason": "CONFIRMED",
    },
    "cancelPending": lambda member: _back(member, "pending Transfer"),
    "spendPoints": _points,
    "donatePoints": lambda member: {
        "memberId": member.gid,
        "amount": 1,
        "goodCause": "reforestation",
        "idempotencyKey": new_key(),
        "program": "default",
    },
    "holdPoints": lambda member: {**_points(member), "deadline": tomorrow()},
    "captureHold": lambda member: {**_held(member), "keepRest": True},
    "releaseHold": _held,
    "reverseTransfer": lambda member: {**_back(member, "spent Transfer"), "shortfall": "DEBT"},
    "clawbackPoints": lambda member: {**_points(member), "shortfall": "DEBT"},
    "deductPoints": lambda member: {
        **_points(member),
        "fromPending": True,
        "fromHeld": True,
        "shortfall": "FORGO",
    },
    "restorePoints": lambda member: _back(member, "deducted Transfer"),
    "giftPoints": lambda member: {
        "memberId": member.gid,
        "recipientId": made(member, "recipient Member"),
        "amount": 1,
        "idempotencyKey": new_key(),
        "program": "default",
        "message": "Enjoy!",
    },
    "acceptGift": lambda member: _gift(member, "received Gift"),
    "declineGift": lambda member: _gift(member, "received Gift"),
    "withdrawGift": lambda member: _gift(member, "given Gift"),
    "exchangePoints": lambda member: {
        "memberId": member.gid,
        "fromProgram": "default",
        "toProgram": OFFERS,
        "amount": 1,
        "idempotencyKey": new_key(),
        "rateId": made(member, "ExchangeRate"),
    },
    "publishExchangeRate": lambda _: {
        "fromProgram": OFFERS,
        "toProgram": "default",
        "numerator": 2,
        "denominator": 3,
        "idempotencyKey": new_key(),
        "effectiveAt": "2098-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
    },
    "adjustPoints": lambda member: {
        "memberId": member.gid,
        "amount": 1,
        "reason": "CORRECTION",
        "idempotencyKey": new_key(),
        "program": "default",
        "note": "Counted twice.",
        "expiresAt": "2099-01-01T00:00:00Z",
    },
    "approveAdjustment": lambda member: {"adjustmentId": made(member, "Adjustment")},
    "rejectAdjustment": lambda member: {"adjustmentId": made(member, "Adjustment")},
    "topUp": lambda member: {
        "memberId": member.gid,
        "amount": "12.50",
        "channel": "pos",
        "paymentReference": new_key(),
        "paidAt": "2026-01-05T10:00:00+08:00",
        "idempotencyKey": new_key(),
        "program": "default",
        "store": "corner",
    },
    "payStoredValue": lambda member: {**_points(member), "amount": "0.01"},
    "holdStoredValue": lambda member: {**_points(member), "amount": "0.01", "deadline": tomorrow()},
    "refundTopUp": lambda member: {
        "transferId": made(member, "paid Transfer"),
        "idempotencyKey": new_key(),
        "amount": "0.01",
        "reason": "REFUND",
    },
}
"""A valid input for each mutation of the ledger, with every field filled in."""

OF_MEMBERS = {
    "spendPoints", "donatePoints", "holdPoints", "giftPoints", "acceptGift", "declineGift", "withdrawGift",
    "exchangePoints", "payStoredValue", "holdStoredValue",
}  # fmt: skip
"""What members may do with their own."""

PENALTIES = {"deductPoints", "restorePoints"}
