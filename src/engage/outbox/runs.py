"""A job's run: its arguments, and steps that commit their effect together with a checkpoint.

A job works in steps. A step is one transaction: its effect, the state to go on from, the rows it has done and what
became of them, all or nothing. After a kill the next attempt begins with the state of the last step that committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from engage.base import clock, db
from engage.outbox import checkpoints
from engage.outbox.checkpoints import Step, Written
from engage.realtime.log import OUTAGES

PATIENCE_S = 60.0  # how long a step waits for a database that is away
PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 5.0  # between two tries

WAITED_FOR = (*OUTAGES, asyncpg.LockNotAvailableError)
"""What a step meets while the database is away or a table is held by others: it can be repeated as it is."""

logger = structlog.get_logger(__name__)


class JobCancelled(Exception):  # noqa: N818 -- named for the condition
    """Somebody has asked to cancel this job. What its steps have committed stays."""


class LeaseLost(Exception):  # noqa: N818 -- named for the condition
    """Another worker has this job by now; nothing of the step was committed."""


class _Repeated(Exception):  # noqa: N818 -- a note to `Run.step`
    """The step had committed before, and the answer to its COMMIT was lost."""


@dataclass(slots=True)
class Run:
    """One job at work in this process, in its present attempt."""

    id: UUID
    kind: str
    args: dict[str, Any]
    at: datetime
    """The moment that it was due, which may lie back when no worker ran."""

    attempt: int
    """1 for the first."""

    lease: int
    state: dict[str, Any] = field(default_factory=dict)
    """Of the last step that committed; empty at the beginning."""

    steps: int = 0
    """How many have committed, in all attempts."""

    asked_by: str | None = None
    """Who asked for it; None for the schedule."""

    _since: float = field(default_factory=time.monotonic)

    async def step(self, work: Callable[[], Awaitable[Step]]) -> None:
        """Do one bounded piece of work and commit it with its checkpoint.

        Repeated whole after a deadlock, and for a minute while the database is away, so `work` must change nothing
        but the database. Raises LeaseLost, with nothing done, when another worker has the job; JobCancelled, with
        the step done, when somebody has asked for that.
        """
        deadline, pause = None, PAUSE_MIN_S
        while True:
            try:
                return await self._once(work)
            except WAITED_FOR as error:
                now = time.monotonic()
                deadline = deadline or now + PATIENCE_S
                if now + pause > deadline:
                    raise
                logger.warning("job.waits_for_database", job=str(self.id), kind=self.kind, error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_MAX_S)

    async def _once(self, work: Callable[[], Awaitable[Step]]) -> None:
        try:
            step, written = await self._commit(work)
        except _Repeated:
            kept = await checkpoints.read(self.id)
            self.steps, self.state = kept.steps, kept.state
            return
        self._since = time.monotonic()
        self.steps += not step.is_empty
        if step.state is not None:
            self.state = step.state
        if written is Written.CANCEL:
            raise JobCancelled(self.kind)

    @db.command
    async def _commit(self, work: Callable[[], Awaitable[Step]]) -> tuple[Step, Written]:
        step = await work()
        spent_ms = round((time.monotonic() - self._since) * 1000)
        written = await checkpoints.write(self.id, self.lease, self.steps, step, clock.now(), spent_ms)
        if written is Written.LOST:
            raise LeaseLost(self.kind)
        if written is Written.REPEATED:
            raise _Repeated
        return step, written
