"""What policies say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from engage.outbox import Event


def program_stream(program: str) -> str:
    """The stream of what happens to a program."""
    return f"program:{program}"


@dataclass(frozen=True, slots=True)
class PolicyPublished(Event):
    """A program has a new version of its points policy, from `effective_at` on. Audience: everyone."""

    NAME: ClassVar[str] = "ledger.policy_published.v1"

    program: str
    version: int
    effective_at: datetime

    @property
    def stream(self) -> str:
        """The program's own."""
        return program_stream(self.program)
