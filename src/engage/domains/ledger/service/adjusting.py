"""Corrections by hand, up or down: small ones at once, large ones once a second person has agreed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.base.errors import NotFound
from engage.base.idempotency import conflict, is_kept, make_key
from engage.domains.ledger import queries, rules
from engage.domains.ledger.errors import AdjustmentDecided, SecondPersonNeeded
from engage.domains.ledger.events import AdjustmentDecision, AdjustmentRequested
from engage.domains.ledger.models import Adjustment
from engage.domains.ledger.service.calling import NO_OTHERS, call, posted, statement
from engage.domains.ledger.types import AdjustmentRecord, AdjustmentState, Posted
from engage.domains.members.service import lock_members
from engage.outbox import record

ADD = statement("ledger_earn", 9)
TAKE = statement("ledger_spend", 7)
OF_ADJUSTMENT = dict.fromkeys(("amount", "expiresAt", "memberId", "program"), "adjustmentId")
CORRECTABLE = ["ACTIVE", "FROZEN", "SUSPENDED", "CANCELLED"]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """What became of a correction: it was `posted`, or an `adjustment` waits for a second person or was decided."""

    posted: Posted | None
    adjustment: AdjustmentRecord | None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Approved(Adjusted):
    """The same of an `adjustment` that was approved; `posted` as long as the answer is kept."""

    adjustment: AdjustmentRecord


@db.command
async def adjust_points(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int,
    reason: str,
    idempotency_key: str,
    note: str | None = None,
    expires_at: datetime | None = None,
) -> Adjusted:
    """Correct a balance by `amount`, which is below zero to take points away.

    Beyond what the program's policy lets one person do it waits: `approve_adjustment` by another person posts it.
    Repeated, it is what it was, whatever the policy says by now.
    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, BalanceLimit, IdempotencyConflict.
    Says `ledger.points_added.v1` or `ledger.points_removed.v1`, or AdjustmentRequested.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    now = clock.now()
    rules.check_amount(abs(amount))
    rules.check_reason(reason)
    rules.check_window(None, expires_at, now)
    wanted = Adjustment(
        id=make_key(str(member_id), "adjustment", idempotency_key, None).id, member_id=member_id,
        program_code=program, amount=amount, reason=reason, note=rules.check_message(note, path="note"),
        expires_at=expires_at, state=AdjustmentState.WAITING, asked_by=actor.id, asked_at=now,
    )  # fmt: skip
    if not await lock_members([member_id]):
        raise NotFound("There is no such member.", path=["memberId"])
    if (known := await Adjustment.get_or_none(id=wanted.id)) is not None:
        return Adjusted(None, _again(known, wanted), replayed=True)
    alone_max = await queries.adjust_alone_max(program)
    posting = _Posting(member_id, "adjust_points", idempotency_key, NO_OTHERS)
    if alone_max is not None and abs(amount) > alone_max and not await posting.is_done():
        return Adjusted(None, await _ask(wanted))
    answer = await _post(actor, wanted, posting)
    return Adjusted(answer, None, answer.replayed)


def _again(known: Adjustment, wanted: Adjustment) -> AdjustmentRecord:
    """The correction that was asked for under the same key. Raises IdempotencyConflict where it was another."""
    for name in ("program_code", "amount", "reason", "note", "expires_at"):
        if getattr(known, name) != getattr(wanted, name):
            raise conflict()
    return queries.adjustment_record(known)


async def _ask(wanted: Adjustment) -> AdjustmentRecord:
    """Have a correction wait. Its id follows from the key, so that asking again finds it."""
    if wanted.expires_at is not None and wanted.expires_at <= wanted.asked_at:
        raise rules.never_usable()
    await wanted.save(force_create=True)
    await record(AdjustmentRequested(wanted.id, wanted.member_id, wanted.program_code, wanted.amount, wanted.reason))
    return queries.adjustment_record(wanted)


@dataclass(frozen=True, slots=True)
class _Posting:
    """Under which key a correction is posted, by hand or by an approval, and what its refusals name."""

    scope: UUID
    operation: str
    key: str
    paths: Mapping[str, str]

    async def is_done(self) -> bool:
        """Whether the answer is still kept."""
        return await is_kept(make_key(str(self.scope), self.operation, self.key, None))


async def _post(actor: Actor, wanted: Adjustment, posting: _Posting) -> Posted:
    up, amount = wanted.amount > 0, abs(wanted.amount)
    more: tuple[object, ...] = ("ADJUST_DOWN", "ADJUSTED", "POINTS", CORRECTABLE)
    if up:
        more = (None, wanted.expires_at, False, "ADJUST_UP", "ADJUSTED", CORRECTABLE)
    value = await call(
        actor, ADD if up else TAKE, wanted.member_id, wanted.program_code, amount, *more,
        scope=posting.scope, operation=posting.operation, idempotency_key=posting.key,
        command_input=[wanted.program_code, wanted.amount, wanted.note, wanted.expires_at], reason=wanted.reason,
        paths=posting.paths,
    )  # fmt: skip
    answer = posted(value, Posted)
    if wanted.note is not None and not answer.replayed:
        await db.execute(
            "INSERT INTO transfer_notes (id, transfer_id, member_id, text) VALUES ($1, $1, $2, $3)",
            answer.transfer_id, answer.member_id, wanted.note,
        )  # fmt: skip
    return answer


@db.command
async def approve_adjustment(actor: Actor, *, adjustment_id: UUID) -> Approved:
    """Post a correction that waits. Not by the person who asked for it.

    Approved already, it answers what was posted, as long as that is kept, and the correction.
    Raises Forbidden, InvalidInput, NotFound, SecondPersonNeeded, AdjustmentDecided, MemberNotActive,
    InsufficientPoints, BalanceLimit.
    Says `ledger.points_added.v1` or `ledger.points_removed.v1`, and AdjustmentDecision.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    row = await _waiting(actor, adjustment_id, AdjustmentState.APPROVED)
    posting = _Posting(row.id, "approve_adjustment", "approved", OF_ADJUSTMENT)
    if row.state is AdjustmentState.APPROVED and not await posting.is_done():
        return Approved(None, queries.adjustment_record(row), replayed=True)
    answer = await _post(actor, row, posting)
    if row.state is AdjustmentState.WAITING:
        row.transfer_id = answer.transfer_id
        await _decide(actor, row, AdjustmentState.APPROVED)
    return Approved(answer, queries.adjustment_record(row), answer.replayed)


@db.command
async def reject_adjustment(actor: Actor, *, adjustment_id: UUID) -> AdjustmentRecord:
    """Turn down a correction that waits. Raises Forbidden, NotFound, AdjustmentDecided. Says AdjustmentDecision."""
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    row = await _waiting(actor, adjustment_id, AdjustmentState.REJECTED)
    if row.state is AdjustmentState.WAITING:
        await _decide(actor, row, AdjustmentState.REJECTED)
    return queries.adjustment_record(row)


async def _waiting(actor: Actor, adjustment_id: UUID, decision: AdjustmentState) -> Adjustment:
    """The adjustment, locked; one that was decided this way already passes, so that a command can be repeated."""
    row = await Adjustment.select_for_update().get_or_none(id=adjustment_id)
    if row is None:
        raise NotFound("There is no such adjustment.", path=["adjustmentId"])
    if row.state not in (AdjustmentState.WAITING, decision):
        raise AdjustmentDecided(f"The correction is {row.state} already.", path=["adjustmentId"], state=row.state)
    if decision is AdjustmentState.APPROVED and row.asked_by == actor.id:
        raise SecondPersonNeeded(
            "Another person than the one who asked approves a correction.", path=["adjustmentId"]
        )
    return row


async def _decide(actor: Actor, row: Adjustment, decision: AdjustmentState) -> None:
    row.state, row.decided_by, row.decided_at = decision, actor.id, clock.now()
    await row.save(update_fields=["state", "decided_by", "decided_at", "transfer_id"])
    await record(AdjustmentDecision(row.id, row.program_code, decision))
