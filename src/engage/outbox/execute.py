"""Carrying out rows: an event's handler in one transaction with its completion, a job in transactions of its own.

Nothing that a handler raises gets out of here: it is written on its row, which is due again later or dead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from engage.base import clock, db
from engage.outbox import rows
from engage.outbox.events import OutboxEvent, Tick
from engage.outbox.faults import backoff, describe
from engage.outbox.limits import ATTEMPTS_MAX, Limits
from engage.outbox.loop import Loop
from engage.outbox.registry import Handler, Job, Registry
from engage.realtime.log import OUTAGES

HEARTBEATS_PER_LEASE = 3

logger = structlog.get_logger(__name__)


class _UnknownHandler(Exception):  # noqa: N818 -- named for the condition
    """A row of another release: left to workers who know its handler."""


class _Held:
    """A row that is leased to this process, with its task once it runs."""

    def __init__(self, row_id: UUID, lease: int) -> None:
        self.row_id = row_id
        self.lease = lease
        self.task: asyncio.Task[None] | None = None
        self.lost = False
        self.stoppable = False


Work = Callable[[_Held], Awaitable[bool]]


class Executor:
    """Runs rows, bounded in number and time. `on_order` is called when a row that others wait for has ended."""

    def __init__(self, registry: Registry, limits: Limits, on_order: Callable[[], None]) -> None:
        self.done = 0
        self.failed = 0
        self._registry = registry
        self._lease = timedelta(seconds=limits.lease_s)
        self._on_order = on_order
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._held: set[_Held] = set()
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

    async def take_events(self, leased: Sequence[tuple[UUID, int]]) -> None:
        """Run rows of events, each as soon as there is a free place; returns when the last one has started.

        What is not ours any more by then is passed over. Cancelled meanwhile, it gives back what has not started.
        """
        await self._take(leased, self._event)

    async def take_jobs(self, leased: Sequence[tuple[UUID, int]]) -> None:
        """The same with rows of ticks."""
        await self._take(leased, self._job)

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

    async def _take(self, leased: Sequence[tuple[UUID, int]], work: Work) -> None:
        waiting = deque(_Held(row_id, lease) for row_id, lease in leased)
        if waiting:
            self._held.update(waiting)
            self._idle.clear()
        try:
            while waiting:
                await self._slots.acquire()
                held = waiting.popleft()
                held.task = asyncio.create_task(self._run(held, work))
                held.task.add_done_callback(partial(self._ended, held))
        except asyncio.CancelledError:
            await self._give_back(waiting)
            self._forget(waiting)
            raise

    def _ended(self, held: _Held, _task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._forget([held])

    def _forget(self, gone: Iterable[_Held]) -> None:
        self._held.difference_update(gone)
        if not self._held:
            self._idle.set()

    async def _run(self, held: _Held, work: Work) -> None:
        try:
            if not held.lost and await work(held):
                self.done += 1
        except _UnknownHandler:
            await self._give_back([held])
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- written on the row
            # Cancelled by us, the task ends here and quietly; else the handler has cancelled itself, and failed.
            if isinstance(error, asyncio.CancelledError) and (self._cancelled or held.lost):
                await self._give_back([held])
            else:
                await self._failed(held, error)

    @db.command
    async def _event(self, held: _Held) -> bool:
        """Effect and completion, both or neither."""
        row = await rows.begin(held.row_id, held.lease, clock.now())
        if row is None:
            return False
        handler = self._registry.find(row.handler)
        if not isinstance(handler, Handler) or row.event_id is None:
            raise _UnknownHandler(row.handler)
        event = OutboxEvent(
            id=row.event_id,
            name=row.payload["name"],
            stream=row.stream,
            position=row.payload["position"],
            data=row.payload["data"],
            recorded_at=row.created_at,
            attempt=row.attempts,
        )
        async with asyncio.timeout(handler.timeout_s):
            await handler.call(event)
        if handler.ordered:
            db.after_commit(self._on_order)
        return True

    async def _job(self, held: _Held) -> bool:
        """The job's own transactions, while the heartbeat keeps its lease; cancelled when that is lost."""
        now = clock.now()
        row = await rows.take_over(held.row_id, held.lease, now, now + self._lease)
        if row is None:
            return False
        held.lease = row.lease
        job = self._registry.find(row.handler)
        if not isinstance(job, Job):
            raise _UnknownHandler(row.handler)
        tick = Tick(job.name, datetime.fromisoformat(row.payload["data"]["at"]), row.attempts)
        held.stoppable = True
        async with asyncio.timeout(job.timeout_s):
            await job.call(tick)
        held.stoppable = False
        finished = await rows.finish(held.row_id, held.lease, clock.now())
        self._on_order()
        return finished

    async def _beat(self) -> float:
        """Keep the leases of all that waits or runs here. An event at work has locked its row and needs none."""
        held = {(one.row_id, one.lease): one for one in self._held}
        if held:
            for leased in await rows.extend(list(held), clock.now() + self._lease):
                if held[leased].lease == leased[1]:  # else it was taken over meanwhile
                    self._lose(held[leased])
        return self._lease.total_seconds() / HEARTBEATS_PER_LEASE

    def _lose(self, held: _Held) -> None:
        """Another worker may have the row by now, or it has just been finished here."""
        held.lost = True
        if held.task is not None and held.stoppable:
            logger.warning("outbox.lease_lost", row=str(held.row_id))
            held.task.cancel()

    async def _give_back(self, given: Iterable[_Held]) -> None:
        with suppress(*OUTAGES):  # then the leases end by themselves
            await rows.release([(held.row_id, held.lease) for held in given])

    async def _failed(self, held: _Held, error: BaseException) -> None:
        """Write a failure on the row, if it is still ours: due again after a pause, or dead."""
        self.failed += 1
        words = describe(error)
        try:
            row = await rows.find_undone(held.row_id, held.lease)
            if row is None:
                return
            one = self._registry.find(row.handler)
            about = {"row": str(row.id), "handler": row.handler, "attempts": row.attempts, "error": words}
            if row.attempts >= (ATTEMPTS_MAX if one is None else one.attempts_max):
                await rows.bury(row.id, row.lease, words, clock.now())
                logger.error("outbox.dead", **about)
                self._on_order()
            else:
                await rows.fail(row.id, row.lease, words, clock.now() + backoff(row.attempts))
                logger.warning("outbox.failed", **about)
        except OUTAGES as outage:
            logger.warning("outbox.failure_not_written", row=str(held.row_id), error=type(outage).__name__)
