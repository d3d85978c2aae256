"""Batches of a file: read, checked and ready for the database. All of it is work for the processor alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from zoneinfo import ZoneInfo

from engage.base import clock
from engage.base.errors import Refusal
from engage.domains.earning.importing.columns import Columns
from engage.domains.earning.importing.records import Records
from engage.domains.earning.importing.rows import order_reader
from engage.domains.earning.importing.types import BROKEN_ROW, Instructions, Record, Rejected
from engage.domains.earning.rules import check_row
from engage.domains.earning.types import CheckedOrder, Desk


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of the file in order: those that can be orders and those that cannot."""

    records: list[Record]
    checked: list[CheckedOrder]
    rejected: list[Rejected]


class Batches:
    """Makes one batch after another of a file's rows, passing over the first `done` of them."""

    def __init__(self, records: Records, columns: Columns, desk: Desk, wanted: Instructions, done: int) -> None:
        self._records = islice(records, done, None)
        self._columns = columns
        self._desk = desk
        self._size = wanted.batch_size
        self._order = order_reader(columns, wanted, ZoneInfo(desk.program.time_zone))

    def read(self) -> Batch | None:
        """The next batch, or None at the end of the file. Runs in a thread beside the one before."""
        now = clock.now()
        records, checked, rejected = [], [], []
        for record in islice(self._records, self._size):
            if record.fault is not None:
                rejected.append(Rejected(record, record.fault, BROKEN_ROW))
                continue
            try:
                order = check_row(self._order(record.values), self._desk, now)
            except Refusal as refusal:
                rejected.append(self.reject(record, refusal))
            else:
                records.append(record)
                checked.append(order)
        if not records and not rejected:
            return None
        return Batch(records, checked, rejected)

    def reject(self, record: Record, refusal: Refusal) -> Rejected:
        """The rejection of a row, in the file's own words."""
        name = self._columns.name_of(refusal.path)
        reason = refusal.message if name is None else f"{name}: {refusal.message}"
        return Rejected(record, reason, refusal.code)
