"""`engage jobs watch`: a live table on a terminal, a snapshot elsewhere."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from rich.live import Live
from rich.text import Text

from engage.base import clock
from engage.base.actor import SYSTEM
from engage.cli.environment import console
from engage.cli.job_sheet import sheet_of
from engage.cli.job_tables import notes_of_lanes, table_of_lanes, table_of_progress
from engage.cli.printing import print_lines, table_width
from engage.outbox import queries
from engage.outbox.types import JobRecord, JobState, LaneFigures
from engage.realtime.log import OUTAGES

LANES_MIN = 5
"""Lines that kinds have at least, however many jobs are at work."""

NOTES_MAX = 5

FRAME = 6
"""Lines of heads and gaps, and one that says that the database is away."""

IDLE = "No job is at work or waits."

ENDED = frozenset({JobState.DONE, JobState.DEAD, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was at a moment."""

    at: datetime
    lanes: list[LaneFigures]
    jobs: list[JobRecord]


async def watch_all(every_s: float) -> None:
    """Show kinds and the jobs at work, until Ctrl-C; once where the output is no terminal."""
    if not console.is_terminal:
        print_lines(*_screen(await _look(), None))
        return

    async def look() -> list[Text]:
        return _screen(await _look(), console.height)

    with Live(console=console, screen=True, auto_refresh=False) as live:
        await _until_interrupted(_follow(live, look, lambda: False, every_s))


async def watch_one(job_id: UUID, every_s: float) -> JobState:
    """Show one job until it has ended or Ctrl-C; once where the output is no terminal. Raises NotFound."""
    record = await queries.get_job(SYSTEM, job_id)
    if not console.is_terminal:
        print_lines(*sheet_of(record, clock.now()))
        return record.state

    async def look() -> list[Text]:
        nonlocal record
        record = await queries.get_job(SYSTEM, job_id)
        return [*sheet_of(record, clock.now()), *table_of_progress([record], clock.now(), table_width())[2:]]

    with Live(console=console, auto_refresh=False) as live:
        await _until_interrupted(_follow(live, look, lambda: record.state in ENDED, every_s))
    return record.state


async def _follow(
    live: Live, look: Callable[[], Awaitable[list[Text]]], has_ended: Callable[[], bool], every_s: float
) -> None:
    """Look and show until it has ended; while the database is away, say so over what was seen last."""
    seen: list[Text] = []
    while True:
        try:
            seen = await look()
            shown = seen
        except OUTAGES as error:
            shown = [Text(f"PostgreSQL does not answer ({type(error).__name__}); waiting for it.", "bold red"), *seen]
        live.update(_below(*shown), refresh=True)
        if has_ended():
            return
        await asyncio.sleep(every_s)


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _look() -> Seen:
    return Seen(clock.now(), await queries.list_lanes(SYSTEM), await queries.list_running(SYSTEM))


def _screen(seen: Seen, height: int | None) -> list[Text]:
    """Kinds above, what holds them up, jobs below: as much of each as there is room for."""
    lanes, notes = seen.lanes, notes_of_lanes(seen.lanes, seen.at)
    jobs = table_of_progress(seen.jobs, seen.at, table_width()) if seen.jobs else [Text(IDLE, "dim")]
    if height is not None:
        notes = _cut(notes, NOTES_MAX, "kinds are held up, see: engage jobs kinds")
        jobs = _cut(jobs, max(height - FRAME - len(notes) - LANES_MIN, 2), "lines of jobs, see: engage jobs list")
        lanes = _most_wanted(lanes, height - FRAME - len(notes) - len(jobs))
    hidden = len(seen.lanes) - len(lanes)
    return [
        Text(f"{seen.at:%Y-%m-%d %H:%M:%S} UTC", "dim"),
        *table_of_lanes(lanes, seen.at),
        *([Text(f"and {hidden} more, see: engage jobs kinds", "dim")] if hidden else []),
        *([Text(""), *notes] if notes else []),
        Text(""),
        *jobs,
    ]


def _cut(lines: list[Text], limit: int, rest: str) -> list[Text]:
    if len(lines) <= limit:
        return lines
    return [*lines[: limit - 1], Text(f"and {len(lines) - limit + 1} more {rest}", "dim")]


def _below(*parts: Text) -> Text:
    """One below the other; what a narrow terminal has no room for is cut off."""
    return Text("\n", no_wrap=True, overflow="crop").join(parts)


def _most_wanted(lanes: list[LaneFigures], limit: int) -> list[LaneFigures]:
    """Those that want a look first, if there is no room for all; in the order that they had."""
    if len(lanes) <= limit:
        return lanes

    def quietness(lane: LaneFigures) -> tuple[bool, ...]:
        held = lane.paused_at is not None or lane.failures > 0
        return (not (lane.dead or held), not lane.running, not lane.ready, not lane.done_per_minute, not lane.waiting)

    chosen = sorted(lanes, key=quietness)[: max(limit, 0)]
    return [lane for lane in lanes if lane in chosen]
