"""Plain values of an import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

FIELDS = ("order_no", "customer_id", "date", "quantity", "amount", "channel", "currency", "store")
"""What an import reads of a file, and the names that its columns have unless a mapping says otherwise."""

OPTIONAL = frozenset({"channel", "currency", "store"})
"""Columns that a file need not have; for each there is a default."""

OMISSIBLE = OPTIONAL | {"quantity"}
"""Columns that a mapping may declare missing."""


class Record(NamedTuple):
    """One row as the file has it: the number of its first line, and its values or why it has none."""

    line: int
    values: list[str]
    fault: str | None = None


class Rejected(NamedTuple):
    """A row that was not imported, and why."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is. Bytes are those of the file as it lies on disk, compressed or not."""

    bytes_read: int
    bytes_total: int
    rows: int
    seconds: float
    waiting: bool = False
    """The database does not answer and the present batch is tried again."""

    @property
    def rows_per_s(self) -> float:
        """The rate since the start."""
        return self.rows / self.seconds if self.seconds else 0.0


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import has done. `spend` and `points_issued` are those of the new orders.

    An order whose batch was repeated after a lost connection may count as known, though this import brought it.
    """

    rows: int
    orders_new: int
    orders_known: int
    rejected: int
    members_new: int
    spend: Decimal
    currency: str
    points_issued: int
    points_expired: int
    seconds: float
    rejects_path: Path | None
    broken_off: str | None
    """Why the file could not be read to its end; what came before is imported."""

    @property
    def rows_per_s(self) -> float:
        """The rate over all."""
        return self.rows / self.seconds if self.seconds else 0.0
