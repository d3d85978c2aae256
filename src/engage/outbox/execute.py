"""The executor: runs rows that are leased to this process, bounded in number and time, and keeps their leases.

Nothing that a handler raises gets out of here: it is written on its row, which is due again later or dead.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from engage.base import clock
from engage.base.origin import Origin, Via, coming
from engage.outbox import metrics, rows
from engage.outbox.failing import write_failure
from engage.outbox.kinds import Job, Kind
from engage.outbox.limits import Limits
from engage.outbox.loop import Loop
from engage.outbox.registry import Registry
from engage.outbox.runs import LeaseLost
from engage.outbox.work import Held, OtherRelease, Work
from engage.realtime.log import OUTAGES

HEARTBEATS_PER_LEASE = 3

FULL_AGAIN = timedelta(seconds=1)
"""When a row is due again that found all places taken."""

OTHER_RELEASE_AGAIN = timedelta(seconds=30)
"""When a row is due again that another release has to carry out."""

logger = structlog.get_logger(__name__)

Leased = Sequence[tuple[UUID, int]]
Carry = Callable[[Held], Awaitable[bool]]


class Executor:
    """Runs rows. `on_freed` is called when a row has ended that others may wait for."""

    def __init__(self, registry: Registry, limits: Limits, on_freed: Callable[[], None]) -> None:
        self.done = 0
        self.failed = 0
        self._registry = registry
        self._lease = timedelta(seconds=limits.lease_s)
        self._work = Work(registry, self._lease)
        self._on_freed = on_freed
        self._places = asyncio.Semaphore(limits.concurrency)
        self._call_places = asyncio.Semaphore(limits.calls)
        self._job_places = asyncio.Semaphore(limits.jobs)
        self._held: set[Held] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._cancelled = False
        self._loop = Loop("heartbeat", self._beat)
        self.keep_leases = self._loop.run
        self.stop_keeping = self._loop.stop

    @property
    def held(self) -> int:
        """Rows that run here or wait for a free place."""
        return len(self._held)

    def holding(self) -> list[Held]:
        """All that runs here or waits for a free place."""
        return list(self._held)

    def has_room(self, kind: Kind) -> bool:
        """Whether a row of this kind would find a free place here; events wait for theirs."""
        if isinstance(kind, Job):
            return not self._job_places.locked()
        return not (kind.outside and self._call_places.locked())

    async def take_events(self, leased: Leased) -> None:
        """Run rows of events, each as soon as there is a free place; returns when the last one has started.

        What is not ours any more by then is passed over. Cancelled meanwhile, it gives back what has not started.
        """
        waiting = deque(self._hold(leased))
        try:
            while waiting:
                await self._places.acquire()
                self._start(waiting.popleft(), self._work.event, self._places)
        except asyncio.CancelledError:
            await self._give_back(waiting)
            self._forget(waiting)
            raise

    async def take_calls(self, leased: Leased) -> None:
        """Run rows that call others. They may be slow, so what finds no free place at once is given back."""
        await self._take_now(leased, self._work.call, self._call_places)

    async def take_jobs(self, leased: Leased) -> None:
        """The same with jobs."""
        await self._take_now(leased, self._work.job, self._job_places)

    async def drain(self, seconds: float) -> None:
        """Wait at most so long until nothing is held; what runs then is undone and given back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        self._cancelled = True
        tasks = [held.task for held in self._held if held.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._lease.total_seconds())

    async def _take_now(self, leased: Leased, carry: Carry, places: asyncio.Semaphore) -> None:
        refused = []
        for held in self._hold(leased):
            if places.locked():
                refused.append(held)
            else:
                await places.acquire()
                self._start(held, carry, places)
        if refused:
            await self._give_back(refused, clock.now() + FULL_AGAIN)
            self._forget(refused)

    def _hold(self, leased: Leased) -> list[Held]:
        taken = [Held(row_id, lease) for row_id, lease in leased]
        if taken:
            self._held.update(taken)
            self._idle.clear()
        return taken

    def _start(self, held: Held, carry: Carry, places: asyncio.Semaphore) -> None:
        held.task = asyncio.create_task(self._run(held, carry), name=f"row {held.row_id}")
        held.task.add_done_callback(partial(self._ended, held, places))

    def _ended(self, held: Held, places: asyncio.Semaphore, _task: asyncio.Task[None]) -> None:
        places.release()
        self._forget([held])
        if held.kind:
            metrics.ended(held.kind, time.monotonic() - held.began_at)
        if held.frees:
            self._on_freed()

    def _forget(self, gone: Iterable[Held]) -> None:
        self._held.difference_update(gone)
        if not self._held:
            self._idle.set()

    async def _run(self, held: Held, carry: Carry) -> None:
        try:
            with coming(Origin(Via.JOB, str(held.row_id))):
                done = not held.lost and await carry(held)
            if done:
                self.done += 1
                metrics.DONE.labels(held.kind).inc()
        except OtherRelease:
            await self._give_back([held], clock.now() + OTHER_RELEASE_AGAIN)
        except LeaseLost:
            logger.warning("outbox.lease_lost", row=str(held.row_id))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- written on the row
            # Cancelled by us, the task ends here and quietly; else the handler has cancelled itself, and failed.
            if isinstance(error, asyncio.CancelledError) and (self._cancelled or held.lost):
                await self._stopped(held)
            else:
                self.failed += 1
                metrics.FAILED.labels(held.kind or metrics.UNKNOWN).inc()
                await write_failure(self._registry, held.row_id, held.lease, error)

    async def _stopped(self, held: Held) -> None:
        """A row that we have stopped is cancelled if somebody has asked for that, else due again at once."""
        with suppress(*OUTAGES):
            if await rows.finish_cancelled(held.row_id, held.lease, clock.now()):
                return
        await self._give_back([held])

    async def _beat(self) -> float:
        """Keep the leases of all that waits or runs here. An event at work has locked its row and needs none."""
        held = {(one.row_id, one.lease): one for one in self._held}
        if held:
            for leased in await rows.extend(list(held), clock.now() + self._lease):
                if held[leased].lease == leased[1]:  # else it was taken over meanwhile
                    self._lose(held[leased])
        return self._lease.total_seconds() / HEARTBEATS_PER_LEASE

    def _lose(self, held: Held) -> None:
        """Another worker may have the row by now, somebody has cancelled it, or it has just been finished here."""
        held.lost = True
        if held.task is not None and held.stoppable:
            logger.warning("outbox.stopped", row=str(held.row_id))
            held.task.cancel()

    async def _give_back(self, given: Iterable[Held], due_at: datetime | None = None) -> None:
        with suppress(*OUTAGES):  # then the leases end by themselves
            await rows.release([(held.row_id, held.lease) for held in given], due_at)
