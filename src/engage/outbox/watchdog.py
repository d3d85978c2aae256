"""The watchdog: ends a worker whose loop has stood still too long, and names what holds it up.

A handler that never yields (an endless loop, a blocking call, a pattern that never ends) holds up all that its worker
runs, and nothing within the loop can stop it. So a thread watches the loop's turns. When they stay away it writes the
failure on the row that is at work, gives back all others and ends the process, to be started anew by its supervisor.

Code that keeps the interpreter to itself gives the thread no turn either. An alarm signal makes room for it in what
obeys signals (`re`, long integers); for the rest a timer in C prints where it was and ends the process, whose rows
are due again when their leases have ended.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from types import FrameType
from typing import Final

import asyncpg
import structlog

from engage.base import clock, db
from engage.base.settings import Settings
from engage.outbox import lanes, metrics, rows
from engage.outbox.execute import Executor
from engage.outbox.failing import write_failure
from engage.outbox.registry import Registry
from engage.outbox.work import Held

EXIT_CODE: Final = 70
"""Of a process that the watchdog has ended: EX_SOFTWARE of sysexits."""

REST_TIMES = 5
"""The rest of its lane waits for so many times the limit, so that one that always blocks leaves time to others."""

TURNS_PER_LIMIT, TURN_MAX_S = 5, 1.0
"""How often the loop takes a turn for the watchdog."""

LAST_RESORT_TIMES = 2
"""The timer in C ends the process after so many times the limit."""

ALARM_EVERY_S, ROOM_S = 0.5, 0.25
"""Once the limit has passed, how often the alarm makes room for the watchdog's thread, and for how long."""

CONNECT_S, STATEMENT_S, WRITE_S = 4.0, 4.0, 10.0
"""The process ends after this, whether or not the database has taken what is to be written."""

_END_SESSIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE application_name = $1 AND datname = current_database()
"""

logger = structlog.get_logger(__name__)


class Blocked(Exception):  # noqa: N818 -- named for the condition
    """What is written on a row that has held up its worker."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the watchdog has found: where the loop stands, the rows that may be why, and those that are not."""

    place: str
    blamed: Sequence[Held]
    others: Sequence[Held]

    def words(self, seconds: float) -> str:
        """For the row."""
        among = f" (one of {len(self.blamed)} that ran)" if len(self.blamed) > 1 else ""
        return f"never yielded for {seconds:g} s at {self.place}{among}"


class Watchdog:
    """Watches the loop of a worker. `application` names the database sessions of this process and no other."""

    def __init__(
        self, config: Settings, registry: Registry, executor: Executor, *, application: str, blocked_s: float
    ) -> None:
        self._config = config
        self._registry = registry
        self._executor = executor
        self._application = application
        self._blocked_s = blocked_s
        self._turn_s = min(blocked_s / TURNS_PER_LIMIT, TURN_MAX_S)
        self._turned_at = time.monotonic()
        self._stopped = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop, which is that of the main thread, inside."""
        self._loop, self._thread_id = asyncio.get_running_loop(), threading.get_ident()
        before = signal.signal(signal.SIGALRM, lambda *_: time.sleep(ROOM_S))
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._turned_at = time.monotonic()
        self._turn()
        thread.start()
        try:
            yield
        finally:
            self._next.cancel()
            self._stopped.set()
            thread.join()
            faulthandler.cancel_dump_traceback_later()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _turn(self) -> None:
        """The loop turns: all is well for a while."""
        now = time.monotonic()
        metrics.LOOP_LAG.observe(max(now - self._turned_at - self._turn_s, 0))
        self._turned_at = now
        signal.setitimer(signal.ITIMER_REAL, self._blocked_s, ALARM_EVERY_S)
        faulthandler.dump_traceback_later(self._blocked_s * LAST_RESORT_TIMES, exit=True)
        self._next = self._loop.call_later(self._turn_s, self._turn)

    def _watch(self) -> None:
        while not self._stopped.wait(self._turn_s):
            # Twice: a process that was paused as a whole takes its turn before the second look.
            if self._stands() and not self._stopped.wait(self._turn_s) and self._stands():
                self._end()

    def _stands(self) -> bool:
        return time.monotonic() - self._turned_at > self._blocked_s

    def _end(self) -> None:
        """Name what blocks, write it down, and end the process."""
        try:
            found = self._find()
            words = found.words(self._blocked_s)
            blamed = [{"row": str(held.row_id), "handler": held.kind} for held in found.blamed]
            logger.critical("worker.blocked", error=words, blamed=blamed, given_back=len(found.others))
            asyncio.run(asyncio.wait_for(self._write(found, words), WRITE_S))
        except Exception:
            logger.exception("worker.blocked_not_written")  # leases end by themselves
        finally:
            logging.shutdown()
            os._exit(EXIT_CODE)

    def _find(self) -> Found:
        held = self._executor.holding()
        task = asyncio.current_task(self._loop)
        running = [one for one in held if one.task is not None]
        blamed = [one for one in running if one.task is task] or running  # a task that a handler has started
        place = place_of(sys._current_frames()[self._thread_id], self._packages(blamed))  # noqa: SLF001 -- documented
        return Found(place, blamed, [one for one in held if one not in blamed])

    def _packages(self, blamed: Sequence[Held]) -> set[str]:
        """Top-level names of the modules that handlers are in."""
        kinds = [self._registry.find(held.kind) for held in blamed]
        modules = {kind.call.__module__ for kind in kinds if kind is not None}
        return {module.partition(".")[0] for module in modules | {"engage"}}

    async def _write(self, found: Found, words: str) -> None:
        """Undo what this process has begun, write the failure, and give back the rest."""
        connection = await asyncpg.connect(
            self._config.database_url,
            timeout=CONNECT_S,
            command_timeout=STATEMENT_S,
            server_settings={"application_name": "engage-watchdog", "search_path": db.SEARCH_PATH, "timezone": "UTC"},
        )
        await connection.execute(_END_SESSIONS, self._application)
        # The pool belongs to the loop that stands; statements of this task go to a connection of this one.
        db._current.set(db.Transaction(connection))  # noqa: SLF001 -- nobody else brings a connection of his own
        for held in found.blamed:
            row = await rows.find_undone(held.row_id, held.lease)
            if row is not None and len(found.blamed) == 1:
                until = clock.now() + timedelta(seconds=self._blocked_s * REST_TIMES)
                await lanes.rest(row.handler, row.target, until)
            await write_failure(self._registry, held.row_id, held.lease, Blocked(words))
        await rows.release([(held.row_id, held.lease) for held in found.others])


def place_of(frame: FrameType, packages: set[str]) -> str:
    """File and line of the innermost frame in these packages, such as `notifications/handlers.py:31`."""
    stack = []
    at: FrameType | None = frame
    while at is not None and _module(at) != "asyncio.base_events":  # what has started the loop lies below
        if _module(at) != __name__:
            stack.append(at)
        at = at.f_back
    within = [one for one in stack if _module(one).partition(".")[0] in packages]
    found = (within or stack or [frame])[0]
    return f"{'/'.join(PurePath(found.f_code.co_filename).parts[-2:])}:{found.f_lineno}"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
