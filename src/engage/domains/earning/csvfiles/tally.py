"""The sums of a job so far. They are its state: each batch commits them together with its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from engage.outbox.here import JobSeen
from engage.outbox.types import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What has been done of a file. `rows` counts all that were read: an attempt goes on after them."""

    rows: int = 0
    new: int = 0
    known: int = 0
    rejected: int = 0
    broken_off: str | None = None

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """As a step left it; empty before the first."""
        return cls(**state)

    def state(self) -> dict[str, Any]:
        """As a step keeps it."""
        return asdict(self)

    def with_rejected(self, rows: int) -> Self:
        """The same and rows that were refused before the database saw them, or by it."""
        return replace(self, rows=self.rows + rows, rejected=self.rejected + rows)


def told_of(seen: JobSeen, tally: Tally) -> dict[str, Any]:
    """What every summary of a file tells, by the fields of `FileSummary`."""
    return {
        "job_id": seen.id,
        "state": seen.state,
        "rows": tally.rows,
        "rejected": tally.rejected,
        "seconds": seen.progress.worked_ms / 1000,
        "broken_off": tally.broken_off,
        "error": seen.error if seen.state is JobState.DEAD else None,
    }
