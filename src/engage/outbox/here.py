"""Running one job in this process, without Redis and without a worker; a command line waits for it and shows it.

The row is the job here too: this process has its lease from the start and carries it out as a worker would. When it
is killed, a worker takes over once the lease has ended; when a worker has the job, this process only watches.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from engage.base import clock
from engage.base.actor import SYSTEM
from engage.base.errors import Unavailable
from engage.outbox import checkpoints, rows
from engage.outbox.asking import Asked
from engage.outbox.errors import JobNotCancellable
from engage.outbox.execute import Executor
from engage.outbox.limits import Limits
from engage.outbox.queries import get_job
from engage.outbox.registry import present
from engage.outbox.runs import WAITED_FOR
from engage.outbox.service import cancel_job
from engage.outbox.types import JobState, Progress

HOLD_S = 15.0
"""The lease of a job that is run here: `ask(…, hold_s=HOLD_S)`. Short, since a person may wait for it to end."""

PATIENCE_S = 60.0
"""How long a database that is away, or a job that fails again and again without getting on, is waited for."""

LOOK_EVERY_S = 0.25
FIRST_LEASE = 1  # of a row that was asked for with `hold_s`

ENDED = frozenset({JobState.DONE, JobState.CANCELLED, JobState.DEAD})

_GOES_ON = "a worker goes on with the job, and so does the same command."


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A job as it stood when it was last looked at. `kept` is the state of its last step."""

    id: UUID
    state: JobState
    progress: Progress
    kept: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    """Of the last attempt that failed."""

    here: bool = False
    """It is at work in this process."""

    away: bool = False
    """The database does not answer at present."""


Told = Callable[[JobSeen], None]


async def run_here(
    asked: Asked, told: Told | None = None, *, stop: asyncio.Event | None = None, hold_s: float = HOLD_S
) -> JobSeen:
    """Carry out a job that was asked for with `hold_s` in this process, or watch it where others do; answers its end.

    `told` hears a few times a second how far it is. Once `stop` is set, the job is cancelled: at its next step, and
    its end is answered as ever. When this task itself is cancelled, the job is given back to be done by a worker.
    Raises NotFound for a job that is not there; Unavailable when the database is away, or the job has failed and not
    got on, for a minute.
    """
    wake = asyncio.Event()
    executor = Executor(present(), Limits(jobs=1, lease_s=hold_s), wake.set)
    beating = asyncio.create_task(executor.keep_leases())
    here = _Here(asked.id, executor, wake, stop or asyncio.Event(), timedelta(seconds=hold_s))
    try:
        if asked.new:
            await executor.take_jobs([(asked.id, FIRST_LEASE)])
        return await here.to_its_end(told or (lambda _seen: None))
    finally:
        await executor.drain(0)
        executor.stop_keeping()
        await beating


class _Here:
    """The job, as this process runs or watches it."""

    def __init__(
        self, job_id: UUID, executor: Executor, wake: asyncio.Event, stop: asyncio.Event, lease: timedelta
    ) -> None:
        self._id = job_id
        self._executor = executor
        self._wake = wake
        self._stop = stop
        self._lease = lease
        self._seen = JobSeen(job_id, JobState.READY, Progress())
        self._answered = self._moved = time.monotonic()

    async def to_its_end(self, told: Told) -> JobSeen:
        """Look again and again until it has ended; run it when nobody does."""
        while True:
            self._wake.clear()
            try:
                looked = seen = await self._look()
                stuck = self._is_stuck(looked)
                await self._further(looked, may_run=not stuck)
            except WAITED_FOR as error:
                seen = self._away(error)
            else:
                if stuck:
                    raise Unavailable(
                        f"The job has not got on for {PATIENCE_S:.0f} seconds; it failed with {looked.error}. "
                        f"Nothing is lost or done twice: {_GOES_ON}"
                    )
            told(seen)
            if seen.state in ENDED:
                return seen
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()

    async def _look(self) -> JobSeen:
        job, kept = await get_job(SYSTEM, self._id), await checkpoints.read(self._id)
        progress = job.progress or Progress()
        seen = JobSeen(self._id, job.state, progress, kept.state, job.last_error, self._executor.held > 0)
        self._answered = time.monotonic()
        if self._seen.progress.steps != seen.progress.steps:
            self._moved = self._answered
        self._seen = seen
        return seen

    async def _further(self, seen: JobSeen, *, may_run: bool) -> None:
        """Have it cancelled if that is wanted, or run if nobody runs it."""
        if seen.state in ENDED:
            return
        now = clock.now()
        if self._stop.is_set():
            with suppress(JobNotCancellable):  # it has just ended
                await cancel_job(SYSTEM, self._id)
        elif may_run and seen.state is JobState.READY and not self._executor.held:
            claim = await rows.claim_one(self._id, now=now, until=now + self._lease)
            if claim is not None:
                await self._executor.take_jobs([(claim.id, claim.lease)])

    def _is_stuck(self, seen: JobSeen) -> bool:
        """Whether attempts have failed, and nothing else, for too long."""
        resting = seen.state in (JobState.WAITING, JobState.READY) and seen.error is not None
        return resting and time.monotonic() - self._moved > PATIENCE_S

    def _away(self, error: BaseException) -> JobSeen:
        """The job as it was last seen, while the database is away. Raises Unavailable when that is too long ago."""
        if time.monotonic() - self._answered > PATIENCE_S:
            raise Unavailable(
                f"PostgreSQL has not answered for {PATIENCE_S:.0f} seconds ({type(error).__name__}). "
                f"When it is well again, nothing is lost or done twice: {_GOES_ON}"
            ) from error
        return replace(self._seen, away=True)
