"""The sums of an import so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from engage.base.errors import Refusal
from engage.domains.earning.csvfiles.tally import Tally, told_of
from engage.domains.earning.importing.types import ImportSummary
from engage.domains.earning.types import BatchReport, CheckedOrder
from engage.outbox.here import JobSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersTally(Tally):
    """What has been done of a file of orders."""

    members_new: int = 0
    spend: Decimal = Decimal(0)
    points: int = 0
    expired: int = 0
    currency: str = ""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """As a step left it; empty before the first."""
        return cls(**{**state, "spend": Decimal(state.get("spend", 0))})

    def state(self) -> dict[str, Any]:
        """As a step keeps it."""
        return {**asdict(self), "spend": f"{self.spend:f}"}

    def with_recorded(self, checked: Sequence[CheckedOrder], report: BatchReport) -> Self:
        """The same and the orders of a batch that are on file now."""
        new = known = points = 0
        spend = Decimal(0)
        for row, outcome in zip(checked, report.outcomes, strict=True):
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


def summary_of(seen: JobSeen, rejects_path: Path | None) -> ImportSummary:
    """What is told of an import at its end."""
    tally = OrdersTally.of(seen.kept)
    return ImportSummary(
        **told_of(seen, tally),
        orders_new=tally.new,
        orders_known=tally.known,
        members_new=tally.members_new,
        spend=tally.spend,
        currency=tally.currency,
        points_issued=tally.points,
        points_expired=tally.expired,
        rejects_path=rejects_path,
    )
