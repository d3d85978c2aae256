"""Points change hands: gifts between members, exchanges between programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, STAFF_ROLES, Actor, Role, Scope, require
from engage.base.errors import InvalidInput, NotFound
from engage.base.idempotency import find_answer, keep_until, make_key, save_answer
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.domains.ledger import queries, rules
from engage.domains.ledger.errors import BalanceLimit, MemberNotActive
from engage.domains.ledger.events import ExchangeRatePublished
from engage.domains.ledger.models import ExchangeRate
from engage.domains.ledger.queries import balance_of
from engage.domains.ledger.service.calling import call, posted, statement
from engage.domains.ledger.service.refusing import NO_GIFT, NO_RECIPIENT
from engage.domains.ledger.types import ExchangePosted, GiftPosted, GiftState, RatePublished
from engage.domains.members import queries as members
from engage.outbox import record

GIFT = statement("ledger_gift", 5)
DECIDE = statement("ledger_decide_gift", 2)
EXCHANGE = statement("ledger_exchange", 5)


@db.statement_command
async def gift_points(
    actor: Actor,
    *,
    member_id: UUID,
    recipient_id: UUID,
    program: str,
    amount: int,
    idempotency_key: str,
    message: str | None = None,
) -> GiftPosted:
    """Give `amount` points to another member; the program's policy says what it costs and how much a day.

    By the policy it goes at once, or it is offered: the points are held until the recipient accepts it. To a member,
    a recipient who can receive nothing is as one who is not there.
    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, GiftLimit, BalanceLimit,
    IdempotencyConflict. Says `ledger.points_gifted.v1` and `ledger.gift_received.v1`, or `ledger.points_held.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=member_id)
    rules.check_amount(amount)
    text = rules.check_message(message)
    try:
        value = await call(
            actor, GIFT, member_id, recipient_id, program, amount, text,
            scope=member_id, operation="gift_points", idempotency_key=idempotency_key,
            command_input=[recipient_id, program, amount, text], reason="GIFT",
        )  # fmt: skip
    except (MemberNotActive, BalanceLimit) as refusal:
        if isinstance(refusal, BalanceLimit):  # it is the recipient's account that has no room
            refusal.path = ["recipientId"]
        if actor.role is Role.MEMBER and refusal.path == ["recipientId"]:
            raise NotFound(NO_RECIPIENT, path=refusal.path) from refusal
        raise
    return _gift(value)


@db.recorded
async def accept_gift(actor: Actor, *, gift_id: UUID, idempotency_key: str) -> GiftPosted:
    """Take a gift that was offered, before its deadline. By its recipient, whose side it answers.

    To its recipient, a gift of a sender who may not give by now is as one that is not there.
    Raises Forbidden, NotFound, GiftDecided, MemberNotActive, BalanceLimit, IdempotencyConflict.
    Says `ledger.points_gifted.v1` and `ledger.gift_received.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=await queries.find_gift_recipient(gift_id))
    return await _decide(actor, gift_id, GiftState.ACCEPTED, idempotency_key)


@db.recorded
async def decline_gift(actor: Actor, *, gift_id: UUID, idempotency_key: str) -> GiftPosted:
    """Refuse a gift that was offered: the sender's points come back. By its recipient.

    It answers the sender's side.
    Raises Forbidden, NotFound, GiftDecided, MemberNotActive, IdempotencyConflict. Says `ledger.hold_released.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=await queries.find_gift_recipient(gift_id))
    return await _decide(actor, gift_id, GiftState.DECLINED, idempotency_key)


@db.recorded
async def withdraw_gift(actor: Actor, *, gift_id: UUID, idempotency_key: str) -> GiftPosted:
    """Take back a gift that was not accepted yet. By its sender.

    Raises Forbidden, NotFound, GiftDecided, MemberNotActive, IdempotencyConflict. Says `ledger.hold_released.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=await queries.find_gift_sender(gift_id))
    return await _decide(actor, gift_id, GiftState.WITHDRAWN, idempotency_key)


@db.statement_command
async def _decide(actor: Actor, gift_id: UUID, decision: GiftState, idempotency_key: str) -> GiftPosted:
    try:
        value = await call(
            actor, DECIDE, gift_id, decision,
            scope=gift_id, operation="decide_gift", idempotency_key=idempotency_key, command_input=[decision],
            reason="GIFT",
        )  # fmt: skip
    except (MemberNotActive, BalanceLimit) as refusal:
        of_sender, refusal.path = refusal.path == ["memberId"], ["giftId"]
        if of_sender and actor.role is Role.MEMBER and decision is not GiftState.WITHDRAWN:
            raise NotFound(NO_GIFT, path=refusal.path) from refusal
        raise
    return _gift(value)


def _gift(value: dict[str, Any]) -> GiftPosted:
    deadline = value["deadline"]
    return posted(
        value,
        GiftPosted,
        gift_id=UUID(value["gift_id"]),
        recipient_id=UUID(value["recipient_id"]),
        fee=value["fee"],
        deadline=None if deadline is None else datetime.fromisoformat(deadline),
    )


@db.command
async def publish_exchange_rate(
    actor: Actor,
    *,
    from_program: str,
    to_program: str,
    numerator: int,
    denominator: int,
    effective_at: datetime | None = None,
    ends_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> RatePublished:
    """Say what points of one program are worth in another: `numerator` there for `denominator` here.

    The newest version whose time has come is in force until its end. Rates are never changed.
    Raises Forbidden, InvalidInput, NotFound, IdempotencyConflict. Says ExchangeRatePublished.
    """
    require(actor, ADMIN_ROLES, Scope.PROGRAMS_WRITE)
    rules.check_rate_figures(numerator, denominator)
    for code, path in ((from_program, "fromProgram"), (to_program, "toProgram")):
        await members.check_program(code, path=path)
    if from_program == to_program:
        raise InvalidInput("An exchange is between two programs.", path=["toProgram"])
    given = [from_program, to_program, numerator, denominator, effective_at, ends_at]
    key = None if idempotency_key is None else make_key(actor.id, "publish_exchange_rate", idempotency_key, given)
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('exchange_rates:' || $1 || ':' || $2, 0))"
    await db.execute(lock, from_program, to_program)
    if key is not None and (first := await find_answer(key)) is not None:
        rate = await ExchangeRate.get(id=UUID(first["rate_id"]))
        return RatePublished(**asdict(queries.rate_record(rate)), position=first["position"], replayed=True)
    rate = await _next_rate(actor, from_program, to_program, numerator, denominator, effective_at, ends_at)
    said = ExchangeRatePublished(rate.id, from_program, to_program, rate.version, rate.effective_at)
    [position] = await record(said)
    if key is not None:
        until = keep_until(rate.published_at, settings().idempotency_keep_days)
        await save_answer(key, {"rate_id": rate.id, "position": position}, until)
    return RatePublished(**asdict(queries.rate_record(rate)), position=position, replayed=False)


async def _next_rate(
    actor: Actor,
    from_program: str,
    to_program: str,
    numerator: int,
    denominator: int,
    effective_at: datetime | None,
    ends_at: datetime | None,
) -> ExchangeRate:
    """Write the next version, under the lock of its pair of programs."""
    now = clock.now()
    effective_at = rules.check_period(effective_at, ends_at, now)
    versions = "SELECT coalesce(max(version), 0) FROM exchange_rates WHERE from_program = $1 AND to_program = $2"
    rate = ExchangeRate(
        id=new_id(),
        from_program=from_program,
        to_program=to_program,
        version=await db.fetch_value(versions, from_program, to_program) + 1,
        numerator=numerator,
        denominator=denominator,
        effective_at=effective_at,
        ends_at=ends_at,
        published_at=now,
        published_by=actor.id,
    )
    await rate.save(force_create=True)
    return rate


@db.statement_command
async def exchange_points(
    actor: Actor,
    *,
    member_id: UUID,
    from_program: str,
    to_program: str,
    amount: int,
    idempotency_key: str,
    rate_id: UUID | None = None,
) -> ExchangePosted:
    """Turn `amount` points of one program into points of another by the rate in force, rounded down.

    With `rate_id`, the rate that the member was shown, another rate is refused.
    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, RateNotInForce, BalanceLimit,
    IdempotencyConflict. Says `ledger.points_exchanged.v1` and `ledger.exchange_received.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=member_id)
    rules.check_amount(amount)
    value = await call(
        actor, EXCHANGE, member_id, from_program, to_program, amount, rate_id,
        scope=member_id, operation="exchange_points", idempotency_key=idempotency_key,
        command_input=[from_program, to_program, amount, rate_id], reason="EXCHANGE",
        paths={"program": "fromProgram"},
    )  # fmt: skip
    return posted(
        value,
        ExchangePosted,
        rate_id=UUID(value["rate_id"]),
        received=value["received"],
        received_transfer_id=UUID(value["received_transfer_id"]),
        received_balance=balance_of(value["received_balance"]),
    )
