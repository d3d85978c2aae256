"""A second person decides about a bulk correction that waits."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, SYSTEM, Actor, Scope, require
from engage.base.errors import NotFound
from engage.domains.earning.bulk.events import BulkCorrectionDecision
from engage.domains.earning.bulk.models import BulkCorrection
from engage.domains.earning.bulk.queries import record_of
from engage.domains.earning.bulk.types import BulkRecord
from engage.domains.ledger.errors import AdjustmentDecided, SecondPersonNeeded
from engage.domains.ledger.types import AdjustmentState
from engage.outbox import Hopeless, record
from engage.outbox.errors import JobNotCancellable, JobNotRetryable
from engage.outbox.service import cancel_job, retry_jobs


@db.command
async def approve_bulk_points(actor: Actor, *, job_id: UUID) -> BulkRecord:
    """Let the job of a bulk correction begin. Not by the person who asked for it; again by another is fine.

    Raises Forbidden, NotFound, SecondPersonNeeded, AdjustmentDecided. Says BulkCorrectionDecision.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    row = await _locked(job_id, AdjustmentState.APPROVED)
    if row.asked_by == actor.id:
        raise SecondPersonNeeded("Another person than the one who asked approves a correction.", path=["id"])
    if row.state is AdjustmentState.WAITING:
        try:
            async with db.savepoint():
                await retry_jobs(SYSTEM, [job_id])
        except (JobNotRetryable, NotFound) as ended:
            raise _decided(AdjustmentState.REJECTED) from ended
        await _decide(actor, row, AdjustmentState.APPROVED)
    return record_of(row)


@db.command
async def reject_bulk_points(actor: Actor, *, job_id: UUID) -> BulkRecord:
    """Turn down a bulk correction that waits; its job is cancelled. By the person who asked for it too.

    Raises Forbidden, NotFound, AdjustmentDecided. Says BulkCorrectionDecision.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    row = await _locked(job_id, AdjustmentState.REJECTED)
    if row.state is AdjustmentState.WAITING:
        with suppress(JobNotCancellable, NotFound):  # it has been cancelled already
            async with db.savepoint():
                await cancel_job(SYSTEM, job_id)
        await _decide(actor, row, AdjustmentState.REJECTED)
    return record_of(row)


async def check_approved(job_id: UUID) -> None:
    """Raise Hopeless for the job of a bulk correction that nobody has approved; from then on it is rejected."""
    if await _state_when_due(job_id) is AdjustmentState.REJECTED:
        raise Hopeless("Nobody has approved this correction in its time; it has to be asked for again.")


@db.command
async def _state_when_due(job_id: UUID) -> AdjustmentState | None:
    row = await BulkCorrection.select_for_update().get_or_none(id=job_id)
    if row is not None and row.state is AdjustmentState.WAITING:
        await _decide(SYSTEM, row, AdjustmentState.REJECTED)
    return None if row is None else row.state


async def _locked(job_id: UUID, decision: AdjustmentState) -> BulkCorrection:
    """The correction; one that was decided this way already passes, so that a command can be repeated."""
    row = await BulkCorrection.select_for_update().get_or_none(id=job_id)
    if row is None:
        raise NotFound("There is no such bulk correction.", path=["id"])
    if row.state not in (AdjustmentState.WAITING, decision):
        raise _decided(row.state)
    return row


def _decided(state: AdjustmentState) -> AdjustmentDecided:
    return AdjustmentDecided(f"The correction is {state} already.", path=["id"], state=state)


async def _decide(actor: Actor, row: BulkCorrection, decision: AdjustmentState) -> None:
    row.state, row.decided_by, row.decided_at = decision, actor.id, clock.now()
    await row.save(update_fields=["state", "decided_by", "decided_at"])
    await record(BulkCorrectionDecision(row.id, row.program_code, decision))
