"""The file of rejected rows: the original columns, then line and reason. Corrected, it can be imported itself.

A row that could not be taken apart stands whole in the first column.
"""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID

from engage.base.errors import InvalidInput
from engage.domains.earning.csvfiles.columns import LINE_COLUMN, REASON_COLUMN
from engage.domains.earning.csvfiles.lines import Lines
from engage.domains.earning.csvfiles.records import Records
from engage.domains.earning.csvfiles.types import Record
from engage.outbox import checkpoints, files

_ENDS = f"{LINE_COLUMN},{REASON_COLUMN}"
_AT_ONCE = 1000  # results that are read at once


def default_rejects_path(path: Path) -> Path:
    """`orders.rejected.csv` for `orders.csv` and `orders.csv.gz`, beside it."""
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    return path.with_name(f"{name}.rejected.csv")


def check_place(path: Path, source: Path) -> None:
    """Raise InvalidInput if anything but rejected rows of an earlier import lies at `path`, or it cannot be written.

    `source` is the file to be imported, which may itself be one of rejected rows.
    """
    try:
        with path.open(encoding="utf-8", newline="") as former:
            ends = former.readline().rstrip("\r\n").endswith(_ENDS)
        if not ends or path.samefile(source):
            raise InvalidInput(
                f"{path} is there and is no file of rejected rows of this import; move it or name another.",
                path=["rejects"],
            )
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise _unwritable(path, "there is no such folder, or it is not yours to write to") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is there and cannot be replaced.", path=["rejects"]) from error


async def write_rejects(job_id: UUID, path: Path) -> None:
    """Write the rows that an import has rejected so far to `path`, as its own copy of the file has them.

    Raises InvalidInput if that cannot be written.
    """
    [stored] = await files.list_of(job_id)
    async with files.local_copy(stored.id) as copy:
        with Lines(copy) as lines:
            rejects, after = _Rejects(path, Records(lines)), 0
            while found := await checkpoints.read_results(job_id, after, _AT_ONCE):
                after = found[-1].row
                await asyncio.to_thread(rejects.add, {one.row: str(one.detail["reason"]) for one in found})


class _Rejects:
    """Rejected rows on their way from the file to `path`."""

    def __init__(self, path: Path, records: Records) -> None:
        header = records.header
        self._path = path
        self._records = iter(records)
        self._kept = [place for place, name in enumerate(header) if name not in (LINE_COLUMN, REASON_COLUMN)]
        self._write("w", [[*(header[place] for place in self._kept), LINE_COLUMN, REASON_COLUMN]])

    def add(self, reasons: Mapping[int, str]) -> None:
        """Write the rows of these lines, which come after those of the last call."""
        last, rows = max(reasons), []
        for record in self._records:
            if record.line in reasons:
                rows.append(self._row(record, reasons[record.line]))
            if record.line >= last:
                break
        self._write("a", rows)

    def _write(self, mode: str, rows: Iterable[list[str]]) -> None:
        try:
            with self._path.open(mode, encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        except OSError as error:
            raise _unwritable(self._path, str(error.strerror)) from error

    def _row(self, record: Record, reason: str) -> list[str]:
        if record.fault is not None:
            values = [record.values[0], *[""] * (len(self._kept) - 1)]
        else:
            values = [record.values[place] for place in self._kept]
        return [*values, str(record.line), reason]


def _unwritable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"Rejected rows cannot be written to {path} ({why}); name another place.", path=["rejects"])
