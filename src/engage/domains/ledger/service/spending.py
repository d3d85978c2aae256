"""Points go: spent, donated, held for what is in progress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base import db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.domains.ledger import queries, rules
from engage.domains.ledger.service.calling import call, posted, statement
from engage.domains.ledger.types import Cause, HoldPosted, Posted

SPEND = statement("ledger_spend", 3)
TAKE = statement("ledger_spend", 7)
HOLD = statement("ledger_hold", 5)
CAPTURE = statement("ledger_capture", 3)
RELEASE = statement("ledger_release", 2)

OF_HOLD = {"memberId": "holdId"}


@db.statement_command
async def spend_points(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int,
    idempotency_key: str,
    reason: str = "REDEMPTION",
    cause: Cause | None = None,
) -> Posted:
    """Take `amount` points from the lots that expire first.

    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, IdempotencyConflict.
    Says `ledger.points_spent.v1`, after what was due meanwhile.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=member_id)
    rules.check_amount(amount)
    value = await call(
        actor, SPEND, member_id, program, amount,
        scope=member_id, operation="spend_points", idempotency_key=idempotency_key,
        command_input=[program, amount], reason=reason, cause=cause,
    )  # fmt: skip
    return posted(value, Posted)


@db.statement_command
async def donate_points(
    actor: Actor, *, member_id: UUID, program: str, amount: int, good_cause: str, idempotency_key: str
) -> Posted:
    """Give `amount` points to a good cause, named by its code; they come from the lots that expire first.

    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, IdempotencyConflict.
    Says `ledger.points_donated.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=member_id)
    rules.check_amount(amount)
    value = await call(
        actor, TAKE, member_id, program, amount, "DONATE", "DONATED", "POINTS", ["ACTIVE"],
        scope=member_id, operation="donate_points", idempotency_key=idempotency_key,
        command_input=[program, amount], reason="DONATION",
        cause=Cause("good_cause", rules.check_good_cause(good_cause)),
    )  # fmt: skip
    return posted(value, Posted)


@db.statement_command
async def hold_points(
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
    """Set `amount` points aside until `deadline`, by default for a day; then they are given back by themselves.

    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, IdempotencyConflict.
    Says `ledger.points_held.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE, own=member_id)
    return await place_hold(
        actor, member_id, program, amount, "POINTS",
        deadline=deadline, idempotency_key=idempotency_key, reason=reason, cause=cause,
    )  # fmt: skip


async def place_hold(
    actor: Actor,
    member_id: UUID,
    program: str,
    amount: int,
    currency: str,
    *,
    deadline: datetime | None,
    idempotency_key: str,
    reason: str,
    cause: Cause | None,
    money: Callable[[], Awaitable[str | None]] | None = None,
) -> HoldPosted:
    """Hold points or stored value, for commands that have made sure of the caller."""
    rules.check_amount(amount)
    rules.check_deadline(deadline)
    value = await call(
        actor, HOLD, member_id, program, amount, deadline, currency,
        scope=member_id, operation=f"hold_{currency}", idempotency_key=idempotency_key,
        command_input=[program, amount, deadline], reason=reason, cause=cause, money=money,
    )  # fmt: skip
    return _held(value, amount)


@db.statement_command
async def capture_hold(
    actor: Actor,
    *,
    hold_id: UUID,
    idempotency_key: str,
    amount: int | None = None,
    keep_rest: bool = False,
    reason: str = "REDEMPTION",
    cause: Cause | None = None,
) -> HoldPosted:
    """Spend what is held, all of it or `amount`; the rest is given back, or held on with `keep_rest`.

    Raises Forbidden, InvalidInput, NotFound, HoldNotOpen, ExceedsHold, MemberNotActive, IdempotencyConflict.
    Says `ledger.hold_captured.v1`, and `ledger.hold_released.v1` for the rest.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    rules.check_part(amount)
    value = await call(
        actor, CAPTURE, hold_id, amount, keep_rest,
        scope=hold_id, operation="capture_hold", idempotency_key=idempotency_key,
        command_input=[amount, keep_rest], reason=reason, cause=cause,
        paths=OF_HOLD, money=lambda: queries.find_money(hold_id),
    )  # fmt: skip
    return _held(value, value["remaining"])


@db.statement_command
async def release_hold(
    actor: Actor,
    *,
    hold_id: UUID,
    idempotency_key: str,
    amount: int | None = None,
    reason: str = "RELEASED",
    cause: Cause | None = None,
) -> HoldPosted:
    """Give back what is held, all of it or `amount`, to the lots that it came from.

    Raises Forbidden, InvalidInput, NotFound, HoldNotOpen, ExceedsHold, MemberNotActive, IdempotencyConflict.
    Says `ledger.hold_released.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    rules.check_part(amount)
    value = await call(
        actor, RELEASE, hold_id, amount,
        scope=hold_id, operation="release_hold", idempotency_key=idempotency_key,
        command_input=[amount], reason=reason, cause=cause,
        paths=OF_HOLD, money=lambda: queries.find_money(hold_id),
    )  # fmt: skip
    return _held(value, value["remaining"])


def _held(value: dict[str, Any], remaining: int) -> HoldPosted:
    return posted(
        value,
        HoldPosted,
        hold_id=UUID(value["hold_id"]),
        deadline=datetime.fromisoformat(value["deadline"]),
        remaining=remaining,
    )
