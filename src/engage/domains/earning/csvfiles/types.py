"""Plain values of files and their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from engage.outbox.types import JobState

BROKEN_ROW = "BROKEN_ROW"
"""Code of a rejected row that could not be taken apart; others have the code of what refused them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What is read of one kind of file."""

    fields: tuple[str, ...]
    """The names that its columns have unless a mapping says otherwise."""

    optional: frozenset[str]
    """Columns that a file need not have."""

    omissible: frozenset[str]
    """Columns that a mapping may declare missing."""

    of_refusals: Mapping[str, str]
    """Which field is meant where a refusal's path begins so."""

    key: str | None = None
    """A field that the result of a rejected row tells, to find the row by."""


class Record(NamedTuple):
    """One row as the file has it: the number of its first line, and its values or why it has none."""

    line: int
    values: list[str]
    fault: str | None = None


class Rejected(NamedTuple):
    """A row that was not taken, and why, with what else its result tells."""

    record: Record
    reason: str
    code: str = BROKEN_ROW
    more: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSummary:
    """What the job of a file has done, over all of its attempts."""

    job_id: UUID
    state: JobState
    """How it ended: DONE, CANCELLED, or DEAD because of `error`."""

    rows: int
    rejected: int
    seconds: float
    broken_off: str | None
    """Why the file could not be read to its end; what came before was taken."""

    error: str | None = None
    rejects_path: Path | None = None

    @property
    def rows_per_s(self) -> float:
        """The rate over all."""
        return self.rows / self.seconds if self.seconds else 0.0
