"""All reads of bulk points."""

from __future__ import annotations

from uuid import UUID

from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.base.listings import Listing
from engage.base.paging import OLDEST_FIRST, Page, Window
from engage.domains.earning.bulk.models import BulkCorrection
from engage.domains.earning.bulk.types import BulkRecord
from engage.domains.ledger.types import AdjustmentState
from engage.domains.members import queries as members


def record_of(row: BulkCorrection) -> BulkRecord:
    """A bulk correction as staff see it."""
    return BulkRecord(
        job_id=row.id,
        program=row.program_code,
        reason=row.reason,
        rows=row.rows,
        added=row.added,
        removed=row.removed,
        state=AdjustmentState(row.state),
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )


_WAITING = Listing(
    OLDEST_FIRST,
    """
    SELECT * FROM bulk_corrections WHERE program_code = $3 AND state = 'WAITING' AND id {past} $2
     ORDER BY id {sort} LIMIT $1
    """,
    row=lambda row: record_of(BulkCorrection(**row)),
    key=lambda record: (record.job_id,),
)


async def find_correction(job_id: UUID) -> BulkRecord | None:
    """The bulk correction of a job, for commands; None for a job that needed no second person."""
    row = await BulkCorrection.get_or_none(id=job_id)
    return None if row is None else record_of(row)


async def list_waiting(actor: Actor, program: str, window: Window) -> Page[BulkRecord]:
    """Bulk corrections of a program that wait for a second person, the oldest first.

    Raises Forbidden, InvalidInput, NotFound.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_READ)
    await members.check_program(program)
    return await _WAITING.page(window, program)
