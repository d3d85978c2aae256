"""The sums of an import so far. They are its state: each batch commits them together with its orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from engage.base.errors import Refusal
from engage.domains.earning.importing.batches import Batch
from engage.domains.earning.importing.types import ImportSummary
from engage.domains.earning.types import BatchReport
from engage.outbox.here import JobSeen
from engage.outbox.types import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What has been done of a file. `rows` counts all that were read: an attempt goes on after them."""

    rows: int = 0
    new: int = 0
    known: int = 0
    rejected: int = 0
    members_new: int = 0
    spend: Decimal = Decimal(0)
    points: int = 0
    expired: int = 0
    currency: str = ""
    broken_off: str | None = None

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Tally:
        """As a step left it; empty before the first."""
        return cls(**{**state, "spend": Decimal(state.get("spend", 0))})

    def state(self) -> dict[str, Any]:
        """As a step keeps it."""
        return {**asdict(self), "spend": f"{self.spend:f}"}

    def with_rejected(self, rows: int) -> Tally:
        """The same and rows that were refused before the database saw them, or by it."""
        return replace(self, rows=self.rows + rows, rejected=self.rejected + rows)

    def with_recorded(self, batch: Batch, report: BatchReport) -> Tally:
        """The same and the orders of a batch that are on file now."""
        new = known = points = 0
        spend = Decimal(0)
        for row, outcome in zip(batch.checked, report.outcomes, strict=True):
            if isinstance(outcome, Refusal):
                continue
            if outcome.replayed:
                known += 1
            else:
                new += 1
                points += outcome.points
                spend += row.order.amount
        return replace(
            self,
            rows=self.rows + new + known,
            new=self.new + new,
            known=self.known + known,
            members_new=self.members_new + report.members_new,
            spend=self.spend + spend,
            points=self.points + points,
            expired=self.expired + report.points_expired,
        )


def summary_of(seen: JobSeen) -> ImportSummary:
    """What is told of an import at its end."""
    tally = Tally.of(seen.kept)
    return ImportSummary(
        job_id=seen.id,
        state=seen.state,
        rows=tally.rows,
        orders_new=tally.new,
        orders_known=tally.known,
        rejected=tally.rejected,
        members_new=tally.members_new,
        spend=tally.spend,
        currency=tally.currency,
        points_issued=tally.points,
        points_expired=tally.expired,
        seconds=seen.progress.worked_ms / 1000,
        broken_off=tally.broken_off,
        error=seen.error if seen.state is JobState.DEAD else None,
    )
