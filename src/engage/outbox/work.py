"""How a row is carried out: an event in one transaction with its completion, calls and jobs under a lease."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from uuid import UUID

from engage.base import clock, db
from engage.outbox import checkpoints, metrics, rows
from engage.outbox.events import OutboxEvent
from engage.outbox.faults import Hopeless
from engage.outbox.kinds import Handler, Job
from engage.outbox.registry import Registry
from engage.outbox.rows import Row
from engage.outbox.runs import JobCancelled, Run


class OtherRelease(Exception):  # noqa: N818 -- named for the condition
    """A row of another release: left to workers who know its handler or its version."""


class Held:
    """A row that is leased to this process, with its task once it runs."""

    def __init__(self, row_id: UUID, lease: int) -> None:
        self.row_id = row_id
        self.lease = lease
        self.task: asyncio.Task[None] | None = None
        self.lost = False
        self.stoppable = False
        """Whether it can be stopped from outside: it works under a lease, not in a transaction that locks its row."""
        self.frees = False
        """Whether others may wait for its end: rows behind it in their stream, or for room in their lane."""
        self.kind = ""
        """What it is, once its handler has been found."""
        self.began_at = 0.0

    def begins(self, kind: str) -> None:
        """Its handler has been found; once more when its transaction is repeated after a deadlock."""
        if not self.kind:
            self.kind, self.began_at = kind, time.monotonic()
            metrics.began(kind)


class Work:
    """Carries rows out. Each way answers whether the row is done, and raises what its handler raises."""

    def __init__(self, registry: Registry, lease: timedelta) -> None:
        self._registry = registry
        self._lease = lease

    @db.command
    async def event(self, held: Held) -> bool:
        """Effect and completion, both or neither."""
        row = await rows.begin(held.row_id, held.lease, clock.now())
        if row is None:
            return False
        handler = self._handler(row, held)
        async with asyncio.timeout(handler.bounds.timeout_s):
            await handler.call(self._event_of(row, handler))
        return True

    async def call(self, held: Held) -> bool:
        """A call of others: no transaction, no connection, while the heartbeat keeps the lease."""
        row = await self._take_over(held)
        if row is None:
            return False
        handler = self._handler(row, held)
        held.stoppable = True
        async with asyncio.timeout(handler.bounds.timeout_s):
            await handler.call(self._event_of(row, handler))
        held.stoppable = False
        return await rows.finish(held.row_id, held.lease, clock.now())

    async def job(self, held: Held) -> bool:
        """The job's own transactions, while the heartbeat keeps its lease; cancelled when that is lost."""
        row = await self._take_over(held)
        if row is None or await rows.finish_cancelled(held.row_id, held.lease, clock.now()):
            return False
        job = self._registry.find(row.handler)
        if not isinstance(job, Job):
            raise OtherRelease(row.handler)
        held.begins(job.name)
        held.frees = True
        run = await self._run_of(row, job)
        held.stoppable = True
        try:
            async with asyncio.timeout(job.bounds.timeout_s):
                await job.call(run)
        except JobCancelled:
            held.stoppable = False
            return await rows.finish(held.row_id, held.lease, clock.now(), cancelled=True)
        held.stoppable = False
        return await rows.finish(held.row_id, held.lease, clock.now())

    async def _take_over(self, held: Held) -> Row | None:
        now = clock.now()
        row = await rows.take_over(held.row_id, held.lease, now, now + self._lease)
        if row is not None:
            held.lease = row.lease
        return row

    def _handler(self, row: Row, held: Held) -> Handler:
        handler = self._registry.find(row.handler)
        if not isinstance(handler, Handler) or row.event_id is None:
            raise OtherRelease(row.handler)
        held.begins(handler.name)
        held.frees = handler.ordered or handler.bounds.in_flight_max is not None
        return handler

    def _event_of(self, row: Row, handler: Handler) -> OutboxEvent:
        name, data = self._registry.upgraded(row.payload["name"], row.payload["data"])
        if not handler.routed and name not in handler.events:
            taken = ", ".join(handler.events)
            raise Hopeless(f"{handler.name} takes {taken}, not {name}, and there is no upgrade of that.")
        return OutboxEvent(
            id=row.event_id or row.id,
            name=name,
            stream=row.stream,
            position=row.payload["position"],
            data=data,
            recorded_at=datetime.fromisoformat(row.payload.get("at") or row.created_at.isoformat()),
            attempt=row.attempts,
            target=row.target,
            row_id=row.id,
        )

    async def _run_of(self, row: Row, job: Job) -> Run:
        version, args = row.payload.get("version", 1), row.payload["data"]
        if version > job.version:
            raise OtherRelease(row.handler)
        if version < job.version:
            if job.upgrade is None:
                raise Hopeless(f"{job.name} takes arguments of version {job.version}, not {version}.")
            args = job.upgrade(args, version)
        kept = await checkpoints.read(row.id)
        at = row.payload.get("at")
        return Run(
            id=row.id,
            kind=job.name,
            args=args,
            at=datetime.fromisoformat(at) if at else row.created_at,
            attempt=row.attempts,
            lease=row.lease,
            state=kept.state,
            steps=kept.steps,
            asked_by=kept.asked_by,
        )
