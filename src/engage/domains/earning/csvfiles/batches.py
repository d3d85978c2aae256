"""Batches of a file: read, checked and ready for the database. All of it is work for the processor alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Generic, TypeVar

from engage.base import clock
from engage.base.errors import Refusal
from engage.domains.earning.csvfiles.columns import Columns
from engage.domains.earning.csvfiles.records import Records
from engage.domains.earning.csvfiles.types import Record, Rejected

Row = TypeVar("Row")

Check = Callable[[list[str], datetime], Row]
"""Makes a row of its texts, at a moment. Raises refusals that name the field."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[Row]):
    """Some rows of the file in order: those that can be right and those that cannot."""

    records: list[Record]
    checked: list[Row]
    rejected: list[Rejected]


class Batches(Generic[Row]):
    """Makes one batch after another of a file's rows, passing over the first `done` of them."""

    def __init__(self, records: Records, columns: Columns, check: Check[Row], *, size: int, done: int) -> None:
        self._records = islice(records, done, None)
        self._columns = columns
        self._check = check
        self._size = size

    def read(self) -> Batch[Row] | None:
        """The next batch, or None at the end of the file. Runs in a thread beside the one before."""
        now = clock.now()
        records: list[Record] = []
        checked: list[Row] = []
        rejected: list[Rejected] = []
        for record in islice(self._records, self._size):
            if record.fault is not None:
                rejected.append(Rejected(record, record.fault))
                continue
            try:
                row = self._check(record.values, now)
            except Refusal as refusal:
                rejected.append(self.reject(record, refusal))
            else:
                records.append(record)
                checked.append(row)
        if not records and not rejected:
            return None
        return Batch(records, checked, rejected)

    def reject(self, record: Record, refusal: Refusal) -> Rejected:
        """The rejection of a row, in the file's own words, with its key and the figures of the refusal."""
        name = self._columns.name_of(refusal.path)
        reason = refusal.message if name is None else f"{name}: {refusal.message}"
        figures = {name: value for name, value in refusal.extras.items() if isinstance(value, int | str)}
        return Rejected(record, reason, refusal.code, self._columns.key_of(record) | figures)
