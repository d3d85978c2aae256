"""What became of the rows of a job's input, printed page by page, however many they are."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from engage.base.actor import SYSTEM
from engage.base.paging import Window
from engage.outbox import queries
from engage.outbox.types import ResultRecord

CODE_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Results:
    """Those of one job, all or with one code."""

    job_id: UUID
    code: str | None

    async def pages(self) -> AsyncIterator[Sequence[ResultRecord]]:
        """One after another. Raises NotFound."""
        window = Window(queries.RESULTS_MAX)
        while True:
            page = await queries.list_results(SYSTEM, self.job_id, window, self.code)
            if page.rows:
                yield page.rows
                window = Window(queries.RESULTS_MAX, cursor=page.cursor(page.rows[-1]))
            if not page.has_next:
                return


async def print_results(results: Results, *, as_csv: bool) -> bool:
    """Print them as lines or as CSV; answers whether there were any. Ends when nobody reads on. Raises NotFound."""
    writer, any_there = csv.writer(sys.stdout, lineterminator="\n"), False
    async for rows in results.pages():
        try:
            if as_csv and not any_there:
                writer.writerow(("row", "code", "detail"))
            for row in rows:
                detail = orjson.dumps(row.detail).decode()
                if as_csv:
                    writer.writerow((row.row, row.code, detail))
                else:
                    sys.stdout.write(f"{row.row:>9}  {row.code:<{CODE_LENGTH}}  {detail}\n")
            sys.stdout.flush()
        except BrokenPipeError:  # as of `| head`; else it would be taken for the database's
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return True
        any_there = True
    return any_there
