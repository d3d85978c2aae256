"""Bulk points as a job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from engage.base.actor import SYSTEM, Actor, Role
from engage.domains.earning.bulk.deciding import check_approved
from engage.domains.earning.bulk.rows import row_reader
from engage.domains.earning.bulk.rules import check_row
from engage.domains.earning.bulk.service import post_rows
from engage.domains.earning.bulk.tally import PointsTally
from engage.domains.earning.bulk.types import LAYOUT, BulkInstructions, CheckedRow
from engage.domains.earning.csvfiles.batches import Check
from engage.domains.earning.csvfiles.columns import Columns
from engage.domains.earning.csvfiles.working import Work, work_off
from engage.domains.ledger.types import Cause
from engage.domains.members import queries as members
from engage.outbox import Run


async def run_bulk(run: Run) -> None:
    """Post the rows of a stored file, a batch a step, in the order of the file.

    A row key counts once in its piece of work. An attempt goes on after the last batch that committed. Raises
    refusals that concern the whole file, and Hopeless for a large correction that nobody has approved.
    """
    await check_approved(run.id)
    args = dict(run.args)
    file_id = UUID(args.pop("file"))
    wanted = BulkInstructions.of(args)
    zone = ZoneInfo((await members.get_program(wanted.program)).time_zone)
    actor, cause = Actor(run.asked_by or SYSTEM.id, Role.SERVICE), Cause("job", str(run.id))

    async def take(tally: PointsTally, rows: Sequence[CheckedRow]) -> tuple[PointsTally, Sequence[object]]:
        outcomes = await post_rows(actor, wanted=wanted, cause=cause, rows=rows)
        return tally.with_posted(outcomes), outcomes

    await work_off(
        run,
        file_id,
        Work(
            layout=LAYOUT,
            mapping=wanted.mapping,
            batch_size=wanted.batch_size,
            first=PointsTally(),
            check=lambda columns: check_of(columns, wanted, zone),
            take=take,
        ),
    )


def check_of(columns: Columns, wanted: BulkInstructions, zone: ZoneInfo) -> Check[CheckedRow]:
    """A function that makes a checked row of the values of one."""
    read = row_reader(columns, wanted, zone)

    def check(values: list[str], now: datetime) -> CheckedRow:
        return check_row(read(values), wanted, now)

    return check
