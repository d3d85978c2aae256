"""What is seen of promised work from outside: one piece of it, the figures of a lane, a schedule, a row's result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class JobState(StrEnum):
    """Where a piece of work stands."""

    WAITING = "WAITING"
    """Due later: asked for so, or tried in vain and to be tried again."""

    READY = "READY"
    """Due; the next worker with room takes it. So is what was at work when its worker was lost."""

    RUNNING = "RUNNING"
    """Leased to a worker."""

    DONE = "DONE"
    DEAD = "DEAD"
    """Given up, and kept with its error until somebody retries or discards it."""

    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, as of its last checkpoint. `rows_done` and `rows_failed` are counted apart.

    `worked_ms` is the time of the steps that committed, in all attempts; `told_at` that of the last one.
    """

    steps: int = 0
    rows_done: int = 0
    rows_failed: int = 0
    rows_total: int | None = None
    worked_ms: int = 0
    began_at: datetime | None = None
    told_at: datetime | None = None

    @property
    def rows_per_s(self) -> float | None:
        """Rows in a second of work; None before the first."""
        rows = self.rows_done + self.rows_failed
        return rows * 1000 / self.worked_ms if rows and self.worked_ms else None

    @property
    def remaining_s(self) -> float | None:
        """Seconds of work that are left at this rate; None while total or rate are unknown."""
        rate = self.rows_per_s
        if self.rows_total is None or rate is None:
            return None
        return max(self.rows_total - self.rows_done - self.rows_failed, 0) / rate

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; None while the total is unknown."""
        if self.rows_total is None:
            return None
        return min((self.rows_done + self.rows_failed) / self.rows_total, 1.0) if self.rows_total else 1.0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One piece of promised work: an event to be carried out, or a job.

    `event` is the wire name and `position` that in its stream, None for jobs; `args`, `asked_by` and `progress` are
    None for events. `known`: this release can carry it out.
    """

    id: UUID
    kind: str
    target: str
    state: JobState
    stream: str | None
    event: str | None
    position: int | None
    key: str | None
    args: dict[str, Any] | None
    attempts: int
    created_at: datetime
    due_at: datetime
    leased_until: datetime | None
    finished_at: datetime | None
    dead_at: datetime | None
    cancel_asked_at: datetime | None
    last_error: str | None
    asked_by: str | None
    progress: Progress | None
    known: bool


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which work is wanted; None is any. A kind without targets has the target ''."""

    state: JobState | None = None
    kind: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """The work of one kind for one target, in figures. `capped`: one of them was not counted to its end.

    `oldest_due_at` is of what is READY; `failures` are those in a row of what the lane calls, and nothing of it is
    taken before `not_before`.
    """

    kind: str
    target: str
    known: bool
    is_job: bool
    waiting: int
    ready: int
    running: int
    dead: int
    capped: bool
    oldest_due_at: datetime | None
    done_per_minute: float
    paused_at: datetime | None
    paused_by: str | None
    failures: int
    failing_since: datetime | None
    not_before: datetime | None


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """When a job is due: `program` is set for one that has a schedule in the zone of each program.

    `last_at` is the latest tick that was made, None before the first. `next_at` is the one to be made next; it lies
    back while no worker makes it, and `late` tells that it has done so for more than two minutes.
    """

    name: str
    program: str | None
    cron: str
    zone: str
    last_at: datetime | None
    next_at: datetime
    late: bool


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """What became of one row of a job's input, which is numbered from 1."""

    row: int
    code: str
    detail: dict[str, Any]
