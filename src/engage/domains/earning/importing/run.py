"""The import itself: batch after batch, each in one transaction with its checkpoint, while the next one is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from uuid import UUID

from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Refusal
from engage.domains.earning import queries, service
from engage.domains.earning.importing.batches import Batch, Batches
from engage.domains.earning.importing.columns import find_columns
from engage.domains.earning.importing.counting import count_rows
from engage.domains.earning.importing.lines import Lines
from engage.domains.earning.importing.records import Records
from engage.domains.earning.importing.tally import Tally
from engage.domains.earning.importing.types import Instructions
from engage.outbox import RowResult, Run, Step, files


async def run_import(run: Run) -> None:
    """Put the orders of a stored file on file and give their points, a batch a step, in the order of the file.

    The order number is the key: what is on file is left as it is. An attempt goes on after the last batch that
    committed. Stores, channels and the zone are those at its start. Raises refusals that concern the whole file.
    """
    args = dict(run.args)
    file_id = UUID(args.pop("file"))
    wanted = Instructions(**args)
    desk = await queries.load_desk(wanted.program)
    async with files.local_copy(file_id) as path:
        if not run.state:
            await _begin(run, path, desk.program.money_currency)
        with Lines(path) as lines:
            records = Records(lines)
            columns = find_columns(records.header, wanted.mapping)
            batches = Batches(records, columns, desk, wanted, Tally.of(run.state).rows)
            async with aclosing(_ahead(batches)) as ready:
                async for batch in ready:
                    await run.step(partial(_take, run, desk.program.code, batches, batch))


async def _begin(run: Run, path: Path, currency: str) -> None:
    """Have it known how many rows there are."""
    counted = await asyncio.to_thread(count_rows, path)

    async def tell() -> Step:
        return Step(state=Tally(currency=currency, broken_off=counted.broken_off).state(), total=counted.rows)

    await run.step(tell)


async def _take(run: Run, program: str, batches: Batches, batch: Batch) -> Step:
    """One batch on file."""
    tally, rejected = Tally.of(run.state), list(batch.rejected)
    if batch.checked:
        actor = Actor(run.asked_by or SYSTEM.id, Role.SERVICE)
        report = await service.record_checked(actor, program=program, checked=batch.checked)
        tally = tally.with_recorded(batch, report)
        for record, outcome in zip(batch.records, report.outcomes, strict=True):
            if isinstance(outcome, Refusal):
                rejected.append(batches.reject(record, outcome))
    return Step(
        state=tally.with_rejected(len(rejected)).state(),
        done=len(batch.records) + len(batch.rejected) - len(rejected),
        failed=len(rejected),
        results=[RowResult(one.record.line, one.code, {"reason": one.reason}) for one in rejected],
    )


async def _ahead(batches: Batches) -> AsyncGenerator[Batch]:
    """The batches, each read in a thread while the one before is being worked on."""
    coming = asyncio.ensure_future(asyncio.to_thread(batches.read))
    try:
        while (batch := await asyncio.shield(coming)) is not None:
            coming = asyncio.ensure_future(asyncio.to_thread(batches.read))
            yield batch
    finally:
        # The thread has to be done with the file before that is closed.
        await asyncio.gather(coming, return_exceptions=True)
