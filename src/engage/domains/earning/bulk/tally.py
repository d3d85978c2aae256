"""The sums of a bulk job so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from engage.domains.earning.bulk.types import BulkSummary, Outcome, RowPosted
from engage.domains.earning.csvfiles.tally import Tally, told_of
from engage.outbox.here import JobSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsTally(Tally):
    """What has been done of a file of points."""

    added: int = 0
    removed: int = 0

    def with_posted(self, outcomes: Sequence[Outcome]) -> Self:
        """The same and the rows of a batch that are on file now."""
        posted = [one for one in outcomes if isinstance(one, RowPosted)]
        new = [one.amount for one in posted if not one.replayed]
        return replace(
            self,
            rows=self.rows + len(posted),
            new=self.new + len(new),
            known=self.known + len(posted) - len(new),
            added=self.added + sum(amount for amount in new if amount > 0),
            removed=self.removed - sum(amount for amount in new if amount < 0),
        )


def summary_of(seen: JobSeen, rejects_path: Path | None = None) -> BulkSummary:
    """What is told of a bulk job at its end."""
    tally = PointsTally.of(seen.kept)
    return BulkSummary(
        **told_of(seen, tally),
        rows_new=tally.new,
        rows_known=tally.known,
        added=tally.added,
        removed=tally.removed,
        rejects_path=rejects_path,
    )
