"""The job of a file: batch after batch, each in one transaction with its checkpoint, while the next one is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar
from uuid import UUID

from engage.base.errors import Refusal
from engage.domains.earning.csvfiles.batches import Batch, Batches, Check, Row
from engage.domains.earning.csvfiles.columns import Columns, find_columns
from engage.domains.earning.csvfiles.counting import count_rows
from engage.domains.earning.csvfiles.lines import Lines
from engage.domains.earning.csvfiles.records import Records
from engage.domains.earning.csvfiles.tally import Tally
from engage.domains.earning.csvfiles.types import Layout
from engage.outbox import RowResult, Run, Step, files

T = TypeVar("T", bound=Tally)


@dataclass(frozen=True, slots=True)
class Work(Generic[Row, T]):
    """What is to be done with the rows of one kind of file."""

    layout: Layout
    mapping: Mapping[str, str]
    batch_size: int
    first: T
    """The tally before the first batch."""

    check: Callable[[Columns], Check[Row]]
    take: Callable[[T, Sequence[Row]], Awaitable[tuple[T, Sequence[object]]]]
    """Puts checked rows on file; answers the tally with them, and what became of each: a Refusal or not."""


async def work_off(run: Run, file_id: UUID, work: Work[Row, T]) -> None:
    """Take the rows of a stored file, a batch a step, in the order of the file.

    An attempt goes on after the last batch that committed. Raises refusals that concern the whole file.
    """
    async with files.local_copy(file_id) as path:
        if not run.state:
            await _begin(run, path, work.first)
        with Lines(path) as lines:
            records = Records(lines)
            columns = find_columns(records.header, work.layout, work.mapping)
            done = work.first.of(run.state).rows
            batches = Batches(records, columns, work.check(columns), size=work.batch_size, done=done)
            async with aclosing(_ahead(batches)) as ready:
                async for batch in ready:
                    await run.step(partial(_take, run, work, batches, batch))


async def _begin(run: Run, path: Path, first: Tally) -> None:
    """Have it known how many rows there are."""
    counted = await asyncio.to_thread(count_rows, path)

    async def tell() -> Step:
        return Step(state=replace(first, broken_off=counted.broken_off).state(), total=counted.rows)

    await run.step(tell)


async def _take(run: Run, work: Work[Row, T], batches: Batches[Row], batch: Batch[Row]) -> Step:
    """One batch on file."""
    tally, rejected = work.first.of(run.state), list(batch.rejected)
    if batch.checked:
        tally, outcomes = await work.take(tally, batch.checked)
        for record, outcome in zip(batch.records, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                rejected.append(batches.reject(record, outcome))
    return Step(
        state=tally.with_rejected(len(rejected)).state(),
        done=len(batch.records) + len(batch.rejected) - len(rejected),
        failed=len(rejected),
        results=[RowResult(one.record.line, one.code, {"reason": one.reason, **one.more}) for one in rejected],
    )


async def _ahead(batches: Batches[Row]) -> AsyncGenerator[Batch[Row]]:
    """The batches, each read in a thread while the one before is being worked on."""
    coming = asyncio.ensure_future(asyncio.to_thread(batches.read))
    try:
        while (batch := await asyncio.shield(coming)) is not None:
            coming = asyncio.ensure_future(asyncio.to_thread(batches.read))
            yield batch
    finally:
        # The thread has to be done with the file before that is closed.
        await asyncio.gather(coming, return_exceptions=True)
