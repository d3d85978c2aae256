"""Stored value: money that was paid in, in minor units of the program's currency, and paid with by and by."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.domains.ledger import queries, rules
from engage.domains.ledger.service.calling import OF_TRANSFER, call, posted, statement
from engage.domains.ledger.service.spending import place_hold
from engage.domains.ledger.types import Cause, HoldPosted, Posted, ValuePosted
from engage.domains.members import queries as members

TOP_UP = statement("ledger_top_up", 7)
REFUND = statement("ledger_refund", 2)
PAY = statement("ledger_spend", 7)


@db.command
async def top_up(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int,
    channel: str,
    payment_reference: str,
    paid_at: datetime,
    idempotency_key: str,
    store: str | None = None,
) -> ValuePosted:
    """Put in `amount` minor units that a member has paid outside, with the bonus of the program's policy.

    A payment reference counts once in a program.
    Raises Forbidden, InvalidInput, NotFound, UnknownChannel, MemberNotActive, BalanceLimit, PaymentUsed,
    IdempotencyConflict. Says `ledger.value_topped_up.v1`, and `ledger.points_earned.v1` of the bonus.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    rules.check_amount(amount)
    rules.check_past(paid_at, clock.now(), path="paidAt")
    reference = rules.check_reference(payment_reference)
    await members.check_channels({channel}, path=["channel"])
    if store is not None:
        await members.check_store(program, store, path=["store"])
    value = await call(
        actor, TOP_UP, member_id, program, amount, channel, store, reference, paid_at,
        scope=member_id, operation="top_up", idempotency_key=idempotency_key,
        command_input=[program, amount, channel, store, reference, paid_at], reason="TOP_UP",
        cause=Cause("payment", reference), money=lambda: _money(program),
    )  # fmt: skip
    return posted(value, ValuePosted, bonus=value["bonus"])


@db.statement_command
async def pay_stored_value(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int,
    idempotency_key: str,
    reason: str = "PAYMENT",
    cause: Cause | None = None,
) -> Posted:
    """Pay `amount` minor units out of stored value; what expires first, such as a bonus, goes first.

    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, IdempotencyConflict.
    Says `ledger.points_spent.v1` with the currency CASH.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=member_id)
    rules.check_amount(amount)
    value = await call(
        actor, PAY, member_id, program, amount, "SPEND", "REDEEMED", "CASH", ["ACTIVE"],
        scope=member_id, operation="pay_stored_value", idempotency_key=idempotency_key,
        command_input=[program, amount], reason=reason, cause=cause, money=lambda: _money(program),
    )  # fmt: skip
    return posted(value, Posted)


@db.statement_command
async def hold_stored_value(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int,
    idempotency_key: str,
    deadline: datetime | None = None,
    reason: str = "ORDER",
    cause: Cause | None = None,
) -> HoldPosted:
    """Set stored value aside until `deadline`; `capture_hold` pays with it, `release_hold` gives it back.

    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, IdempotencyConflict.
    Says `ledger.points_held.v1` with the currency CASH.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=member_id)
    return await place_hold(
        actor, member_id, program, amount, "CASH",
        deadline=deadline, idempotency_key=idempotency_key, reason=reason, cause=cause, money=lambda: _money(program),
    )  # fmt: skip


@db.statement_command
async def refund_top_up(
    actor: Actor, *, transfer_id: UUID, idempotency_key: str, amount: int | None = None, reason: str = "REFUND"
) -> ValuePosted:
    """Pay back what is unspent of a top-up, all of it or `amount`; its bonus in proportion, as far as it is there.

    Raises Forbidden, InvalidInput, NotFound, ExceedsReversible, MemberNotActive, IdempotencyConflict.
    Says `ledger.value_refunded.v1`, and `ledger.points_clawed_back.v1` of the bonus.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    rules.check_part(amount)
    value = await call(
        actor, REFUND, transfer_id, amount,
        scope=transfer_id, operation="refund_top_up", idempotency_key=idempotency_key, command_input=[amount],
        reason=reason, paths=OF_TRANSFER, money=lambda: queries.find_money(transfer_id),
    )  # fmt: skip
    return posted(value, ValuePosted, bonus=value["bonus"], remaining=value["remaining"])


async def _money(program: str) -> str:
    return (await members.get_program(program)).money_currency
