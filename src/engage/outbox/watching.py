"""Watching work, for progress bars: all that is watched in a process is read by one statement a second.

Progress is a state, not an event: no log has it, a newer record replaces an older one, and nothing is resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from engage.base.actor import Actor
from engage.base.errors import NotFound
from engage.outbox import queries
from engage.outbox.types import JobRecord, JobState
from engage.realtime.errors import TooManySubscribers

WATCHERS_MAX = 200
"""So many watch at once in one process: they are few people, and their jobs are read by id in one statement."""

LOOK_EVERY_S = 1.0

FINAL = frozenset({JobState.DONE, JobState.DEAD, JobState.CANCELLED})
"""A dead one changes when somebody retries it; who wants to see that watches anew."""

logger = structlog.get_logger(__name__)


class _Watcher:
    """One who watches a piece of work; `seen` is what was read last, None when it is kept no longer."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        self._seen: JobRecord | None = None
        self._looked = asyncio.Event()

    def tell(self, record: JobRecord | None) -> None:
        """Take what was read, in place of what was not asked for yet."""
        self._seen = record
        self._looked.set()

    async def next(self) -> JobRecord:
        """What is read next, or was since the last time. Raises NotFound."""
        await self._looked.wait()
        self._looked.clear()
        if self._seen is None:
            raise NotFound("This job is kept no longer.", path=["id"])
        return self._seen


class Watchers:
    """Those of one process. Reads while there are any."""

    def __init__(self) -> None:
        self._all: set[_Watcher] = set()
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def watching(self, job_id: UUID) -> Iterator[_Watcher]:
        """A watcher for as long as the block runs. Raises TooManySubscribers."""
        if len(self._all) >= WATCHERS_MAX:
            raise TooManySubscribers("As many watch jobs here as may; try again in a moment.")
        watcher = _Watcher(job_id)
        self._all.add(watcher)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_for_ever(), name="jobs-watching")
        try:
            yield watcher
        finally:
            self._all.discard(watcher)
            if not self._all and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next look may do better
                logger.warning("jobs.look_failed", error=type(error).__name__)

    async def _look(self) -> None:
        watchers = list(self._all)
        found = await queries.find_records({one.job_id for one in watchers})
        for watcher in watchers:
            watcher.tell(found.get(watcher.job_id))


present = Watchers()
"""Those of this process."""


async def watch_job(actor: Actor, job_id: UUID) -> AsyncGenerator[JobRecord, None]:
    """A piece of work as it stands, then whenever a look finds it changed; ends when it is done, dead or cancelled.

    Looks come every LOOK_EVERY_S seconds, and who takes records more slowly gets the newest alone. While the
    database is away nothing comes. Raises Forbidden, NotFound, TooManySubscribers.
    """
    seen = await queries.get_job(actor, job_id)
    with present.watching(job_id) as watcher:  # entered after the first read, so that no look is older than that
        yield seen
        while seen.state not in FINAL:
            newer = await watcher.next()
            if newer != seen:
                seen = newer
                yield seen
