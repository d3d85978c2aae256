"""What bulk points say by themselves; each row's change is an event of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from engage.domains.ledger.types import AdjustmentState
from engage.outbox import Event


@dataclass(frozen=True, slots=True)
class BulkCorrectionRequested(Event):
    """A bulk correction waits for a second person. Audience: staff."""

    NAME: ClassVar[str] = "earning.bulk_correction_requested.v1"

    job_id: UUID
    program: str
    reason: str
    rows: int
    added: int
    removed: int

    @property
    def stream(self) -> str:
        """That of the program."""
        return f"program:{self.program}"


@dataclass(frozen=True, slots=True)
class BulkCorrectionDecision(Event):
    """A bulk correction was approved or rejected. Audience: staff."""

    NAME: ClassVar[str] = "earning.bulk_correction_decided.v1"

    job_id: UUID
    program: str
    state: AdjustmentState

    @property
    def stream(self) -> str:
        """That of the program."""
        return f"program:{self.program}"
