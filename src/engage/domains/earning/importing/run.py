"""The import itself, as a job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from engage.base.actor import SYSTEM, Actor, Role
from engage.domains.earning import queries, service
from engage.domains.earning.csvfiles.batches import Check
from engage.domains.earning.csvfiles.columns import Columns
from engage.domains.earning.csvfiles.working import Work, work_off
from engage.domains.earning.importing.rows import order_reader
from engage.domains.earning.importing.tally import OrdersTally
from engage.domains.earning.importing.types import LAYOUT, Instructions
from engage.domains.earning.rules import check_row
from engage.domains.earning.types import CheckedOrder, Desk
from engage.outbox import Run


async def run_import(run: Run) -> None:
    """Put the orders of a stored file on file and give their points, a batch a step, in the order of the file.

    The order number is the key: what is on file is left as it is. An attempt goes on after the last batch that
    committed. Stores, channels and the zone are those at its start. Raises refusals that concern the whole file.
    """
    args = dict(run.args)
    file_id = UUID(args.pop("file"))
    wanted = Instructions(**args)
    desk = await queries.load_desk(wanted.program)
    actor = Actor(run.asked_by or SYSTEM.id, Role.SERVICE)

    async def take(tally: OrdersTally, checked: Sequence[CheckedOrder]) -> tuple[OrdersTally, Sequence[object]]:
        report = await service.record_checked(actor, program=desk.program.code, checked=checked)
        return tally.with_recorded(checked, report), report.outcomes

    await work_off(
        run,
        file_id,
        Work(
            layout=LAYOUT,
            mapping=wanted.mapping,
            batch_size=wanted.batch_size,
            first=OrdersTally(currency=desk.program.money_currency),
            check=lambda columns: _check(columns, wanted, desk),
            take=take,
        ),
    )


def _check(columns: Columns, wanted: Instructions, desk: Desk) -> Check[CheckedOrder]:
    order = order_reader(columns, wanted, ZoneInfo(desk.program.time_zone))

    def check(values: list[str], now: datetime) -> CheckedOrder:
        return check_row(order(values), desk, now)

    return check
