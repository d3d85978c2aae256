"""Points go back: reversals, clawbacks, penalties and their restoration. All share what is left to reverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from engage.base import db
from engage.base.actor import PENALTY_ROLES, STAFF_ROLES, Actor, Scope, require
from engage.domains.ledger import queries, rules
from engage.domains.ledger.service.calling import OF_TRANSFER, call, posted, statement, taken
from engage.domains.ledger.types import Bucket, Cause, ReturnPosted, Shortfall, TakenPosted

REVERSE = statement("ledger_reverse", 5)
DEDUCT = statement("ledger_deduct", 7)

GIVING = ["EARN", "ADJUST_UP"]
"""What a reversal takes back from the member."""

TAKING = ["SPEND", "CAPTURE", "DONATE", "FEE", "ADJUST_DOWN"]
"""What a reversal gives back to the member."""

PENALTIES = ["DEDUCT", "CLAWBACK"]


@db.statement_command
async def reverse_transfer(
    actor: Actor,
    *,
    transfer_id: UUID,
    idempotency_key: str,
    amount: int | None = None,
    shortfall: Shortfall = Shortfall.DEBT,
    reason: str = "REVERSAL",
    cause: Cause | None = None,
) -> ReturnPosted | TakenPosted:
    """Take a transfer back, wholly or by `amount`: exactly the lots that it moved, in the opposite order.

    What took points gives them back. What gave points takes them back from that lot and whoever holds it by now, then
    from the member's others; `shortfall` says what becomes of the rest.
    Raises Forbidden, InvalidInput, NotFound, NotReversible, ExceedsReversible, InsufficientPoints, BalanceLimit,
    MemberNotActive, IdempotencyConflict. Says `ledger.points_returned.v1` or `ledger.points_clawed_back.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    value = await _reverse(
        actor, transfer_id, amount, "REVERSE", [*GIVING, *TAKING, "DEDUCT"], shortfall,
        operation="reverse_transfer", idempotency_key=idempotency_key, reason=reason, cause=cause,
    )  # fmt: skip
    return taken(value) if "taken" in value else _returned(value)


@db.statement_command
async def clawback_points(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int,
    idempotency_key: str,
    shortfall: Shortfall = Shortfall.DEBT,
    reason: str = "CLAWBACK",
    cause: Cause | None = None,
) -> TakenPosted:
    """Take `amount` points that should never have been given; those that are spent already become debt.

    To take back one earning, use reverse_transfer, which begins with the lot of that earning.
    Raises Forbidden, InvalidInput, NotFound, InsufficientPoints, BalanceLimit, MemberNotActive,
    IdempotencyConflict.
    Says `ledger.points_clawed_back.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    rules.check_amount(amount)
    return await _deduct(
        actor, member_id, program, amount, "CLAWBACK", "ISSUED", [Bucket.AVAILABLE], shortfall,
        idempotency_key=idempotency_key, reason=reason, cause=cause,
    )  # fmt: skip


@db.statement_command
async def deduct_points(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int | None,
    idempotency_key: str,
    from_pending: bool = False,
    from_held: bool = False,
    shortfall: Shortfall = Shortfall.FORGO,
    reason: str = "PENALTY",
    cause: Cause | None = None,
) -> TakenPosted:
    """Take points as a penalty: what is available, then pending and held where asked; None takes all of that.

    What is not there is reported as `shortfall`; it becomes debt only where a published rule says so.
    Raises Forbidden, InvalidInput, NotFound, InsufficientPoints, BalanceLimit, MemberNotActive,
    IdempotencyConflict.
    Says `ledger.points_deducted.v1`.
    """
    require(actor, PENALTY_ROLES, Scope.PENALTIES_WRITE)
    rules.check_part(amount)
    buckets = [Bucket.AVAILABLE, *([Bucket.PENDING] if from_pending else []), *([Bucket.HELD] if from_held else [])]
    return await _deduct(
        actor, member_id, program, amount, "DEDUCT", "FORFEITED", buckets, shortfall,
        idempotency_key=idempotency_key, reason=reason, cause=cause,
    )  # fmt: skip


@db.statement_command
async def restore_points(
    actor: Actor,
    *,
    transfer_id: UUID,
    idempotency_key: str,
    amount: int | None = None,
    reason: str = "OVERTURNED",
    cause: Cause | None = None,
) -> ReturnPosted:
    """Give back what a deduction or a clawback took, wholly or by `amount`: the same lots, and the debt first.

    Raises Forbidden, InvalidInput, NotFound, NotReversible, ExceedsReversible, BalanceLimit, MemberNotActive,
    IdempotencyConflict. Says `ledger.points_restored.v1`.
    """
    require(actor, PENALTY_ROLES, Scope.PENALTIES_WRITE)
    value = await _reverse(
        actor, transfer_id, amount, "RESTORE", PENALTIES, Shortfall.REFUSE,
        operation="restore_points", idempotency_key=idempotency_key, reason=reason, cause=cause,
    )  # fmt: skip
    return _returned(value)


async def _reverse(
    actor: Actor,
    transfer_id: UUID,
    amount: int | None,
    kind: str,
    kinds: list[str],
    shortfall: Shortfall,
    *,
    operation: str,
    idempotency_key: str,
    reason: str,
    cause: Cause | None,
) -> dict[str, Any]:
    rules.check_part(amount)
    return await call(
        actor, REVERSE, transfer_id, amount, kind, kinds, shortfall,
        scope=transfer_id, operation=operation, idempotency_key=idempotency_key,
        command_input=[amount, shortfall], reason=reason, cause=cause, paths=OF_TRANSFER,
        money=lambda: queries.find_money(transfer_id),
    )  # fmt: skip


async def _deduct(
    actor: Actor,
    member_id: UUID,
    program: str,
    amount: int | None,
    kind: str,
    house: str,
    buckets: Sequence[Bucket],
    shortfall: Shortfall,
    *,
    idempotency_key: str,
    reason: str,
    cause: Cause | None,
) -> TakenPosted:
    value = await call(
        actor, DEDUCT, member_id, program, amount, kind, house, list(buckets), shortfall,
        scope=member_id, operation=kind, idempotency_key=idempotency_key,
        command_input=[program, amount, list(buckets), shortfall], reason=reason, cause=cause,
    )  # fmt: skip
    return taken(value)


def _returned(value: dict[str, Any]) -> ReturnPosted:
    return posted(value, ReturnPosted, remaining=value["remaining"])
