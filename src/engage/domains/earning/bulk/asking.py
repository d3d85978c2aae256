"""Asking for bulk points: what cannot be is refused here, before anything is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.base.audit import named
from engage.base.errors import InvalidInput
from engage.base.idempotency import IdempotencyKey, find_answer, keep_until, make_key, save_answer
from engage.base.settings import settings
from engage.domains.earning.bulk import rules
from engage.domains.earning.bulk.events import BulkCorrectionRequested
from engage.domains.earning.bulk.models import BulkCorrection
from engage.domains.earning.bulk.queries import find_correction
from engage.domains.earning.bulk.rows import weigh_file, written
from engage.domains.earning.bulk.service import ONE_AT_A_TIME
from engage.domains.earning.bulk.types import (
    BATCH_MAX,
    JOB,
    BulkAsked,
    BulkInstructions,
    BulkOperation,
    CheckedRow,
    PointsRow,
    Weight,
)
from engage.domains.earning.csvfiles.asking import ask_for_file
from engage.domains.ledger import queries as ledger
from engage.domains.ledger import rules as ledger_rules
from engage.domains.ledger.types import AdjustmentState
from engage.domains.members import queries as members
from engage.outbox import files, record
from engage.outbox.files import StoredFile

WAITS_MAX = timedelta(days=30)
"""So long a bulk correction waits for a second person; then its job is due, and given up."""

KEY_MAX = 80


@db.recorded
@named("request_bulk_points")
async def request_file(
    actor: Actor, path: Path, wanted: BulkInstructions, *, hold_s: float | None = None
) -> BulkAsked:
    """Store a CSV file of points and ask for its job; while that is not done, asking for the same answers it.

    A correction of more points than the program's policy lets one person move waits for a second one. `hold_s` is for
    one who runs the job himself. Raises Forbidden, NotFound, InvalidInput, UnknownChannel before anything is stored.
    Says BulkCorrectionRequested where it waits.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    await _check_instructions(wanted)
    weight = await asyncio.to_thread(weigh_file, path, wanted)
    stored = await files.store(path, path.name)
    asked = await _ask(actor, stored, replace(wanted, key=wanted.key or stored.sha256), weight, hold_s=hold_s)
    if not asked.new:
        await files.discard(stored.id)
    return asked


@db.recorded
@named("request_bulk_points")
async def request_rows(
    actor: Actor,
    *,
    program: str,
    operation: BulkOperation,
    rows: Sequence[PointsRow],
    idempotency_key: str,
    reason: str = "CORRECTION",
) -> BulkAsked:
    """Ask for up to 1,000 rows, which name members by id, to be posted by a job.

    A row that can never be is refused here; what only the ledger can tell is a result of the job, row by row.
    Raises Forbidden, InvalidInput, NotFound, IdempotencyConflict. Says BulkCorrectionRequested where it waits.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    if not 1 <= len(rows) <= BATCH_MAX:
        raise InvalidInput(f"A request has 1 to {BATCH_MAX} rows; more of them come as a file.", path=["rows"])
    work = make_key(actor.id, "bulk_points", idempotency_key, None).id
    wanted = BulkInstructions(program=program, operation=operation, key=str(work), reason=reason)
    await _check_instructions(wanted)
    checked = _checked(rows, wanted)
    content = written(checked)
    key = make_key(actor.id, "request_bulk_points", idempotency_key, [wanted.args(), content.decode()])
    if (first := await find_answer(key)) is not None:
        return await _again(UUID(first["job_id"]))
    amounts = [row.amount for row, _ in checked]
    weight = Weight(len(rows), sum(max(one, 0) for one in amounts), -sum(min(one, 0) for one in amounts))
    stored = await files.store(_chunks(content), "rows.csv")
    asked = await _ask(actor, stored, wanted, weight, key=key)
    if not asked.new:
        await files.discard(stored.id)
    return asked


def _checked(rows: Sequence[PointsRow], wanted: BulkInstructions) -> list[CheckedRow]:
    now, checked = clock.now(), []
    for number, row in enumerate(rows):
        try:
            checked.append(rules.check_row(row, wanted, now))
        except InvalidInput as refusal:
            refusal.path = ["rows", str(number), *(refusal.path or [])]
            raise
    return checked


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


@db.command
async def _ask(
    actor: Actor,
    stored: StoredFile,
    wanted: BulkInstructions,
    weight: Weight,
    *,
    key: IdempotencyKey | None = None,
    hold_s: float | None = None,
) -> BulkAsked:
    """Ask for the job of a stored file, which begins at once or waits for a second person."""
    now = clock.now()
    if key is not None:
        await db.execute(ONE_AT_A_TIME, str(key.id))
        if (first := await find_answer(key)) is not None:
            return await _again(UUID(first["job_id"]))
    waits = wanted.operation is BulkOperation.ADJUST and await _is_large(wanted.program, weight)
    asked = await ask_for_file(
        actor, JOB, stored, wanted.args(),
        hold_s=None if waits else hold_s, due_at=now + WAITS_MAX if waits else None,
    )  # fmt: skip
    if key is not None:
        await save_answer(key, {"job_id": str(asked.id)}, keep_until(now, settings().idempotency_keep_days))
    if not asked.new:
        return await _again(asked.id)
    if waits:
        await _have_wait(actor, asked.id, wanted, weight)
    return BulkAsked(asked.id, new=True, waits=waits)


async def _is_large(program: str, weight: Weight) -> bool:
    """Whether one person alone may not move so many points: a row above the limit makes the sum be above it too."""
    alone_max = await ledger.adjust_alone_max(program)
    return alone_max is not None and weight.added + weight.removed > alone_max


async def _have_wait(actor: Actor, job_id: UUID, wanted: BulkInstructions, weight: Weight) -> None:
    row = BulkCorrection(
        id=job_id,
        program_code=wanted.program,
        reason=wanted.reason,
        rows=weight.rows,
        added=weight.added,
        removed=weight.removed,
        state=AdjustmentState.WAITING,
        asked_by=actor.id,
        asked_at=clock.now(),
    )
    await row.save(force_create=True)
    await record(BulkCorrectionRequested(job_id, wanted.program, wanted.reason, *weight))


async def _again(job_id: UUID) -> BulkAsked:
    """The job that was asked for before."""
    found = await find_correction(job_id)
    return BulkAsked(job_id, new=False, waits=found is not None and found.state is AdjustmentState.WAITING)


async def _check_instructions(wanted: BulkInstructions) -> None:
    await members.get_program(wanted.program)
    if wanted.identity_channel is not None:
        await members.check_channels({wanted.identity_channel}, path=["identityChannel"])
    ledger_rules.check_reason(wanted.reason)
    if wanted.key is not None and (not 1 <= len(wanted.key) <= KEY_MAX or not wanted.key.isprintable()):
        raise InvalidInput(f"The key of a piece of work has 1 to {KEY_MAX} printable characters.", path=["key"])
    if not 1 <= wanted.batch_size <= BATCH_MAX:
        raise InvalidInput(f"A batch has 1 to {BATCH_MAX} rows.", path=["batchSize"])
