"""What commands that have a job work off a file show: how far it is, and what came of it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from engage.base.settings import Settings
from engage.cli.connecting import with_database
from engage.cli.environment import console, errors, fail
from engage.domains.earning.csvfiles.types import FileSummary
from engage.outbox.here import JobSeen, Told
from engage.outbox.types import JobState, Progress

R = TypeVar("R")


def run_shown(config: Settings, work: Callable[[Told, asyncio.Event], Awaitable[R]]) -> R:
    """Do the work with a progress bar; the first Ctrl-C ends it after the present batch, the second one at once."""
    with _shown() as told:
        return with_database(config, _stoppable(work, told))


async def _stoppable(work: Callable[[Told, asyncio.Event], Awaitable[R]], told: Told) -> R:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def pressed() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, pressed)
    return await work(told, stop)


@contextmanager
def _shown() -> Iterator[Told]:
    """A progress bar on a terminal; nothing in a log file."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}")
    with Bar(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("reading", total=None, pace="")
        yield lambda seen: bar.update(
            task,
            description=_doing(seen),
            completed=seen.progress.rows_done + seen.progress.rows_failed,
            total=seen.progress.rows_total,
            pace=_pace(seen.progress),
        )


def _doing(seen: JobSeen) -> str:
    if seen.away:
        return "waiting for the database"
    if seen.state is JobState.WAITING:
        return "trying again soon"
    if seen.state is JobState.RUNNING and not seen.here:
        return "another process has it"
    return "reading" if seen.progress.rows_total is None else "importing"


def _pace(progress: Progress) -> str:
    """Such as `33,000 of 69,659 rows, 3,930/s, 0:00:09 left`."""
    if progress.rows_total is None:
        return ""
    rows = f"{progress.rows_done + progress.rows_failed:,} of {progress.rows_total:,} rows"
    if progress.rows_per_s is None or progress.remaining_s is None:
        return rows
    return f"{rows}, {progress.rows_per_s:,.0f}/s, {timedelta(seconds=round(progress.remaining_s))} left"


def mapping_of(pairs: list[str], fields: Iterable[str]) -> dict[str, str]:
    """What `--map FIELD=COLUMN` says. Ends the program with a sentence when that cannot be."""
    chosen: dict[str, str] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals or field in chosen:
            fail(f"--map takes FIELD=COLUMN, once per field, with a field of {', '.join(fields)}; not {pair!r}.", 2)
        chosen[field] = column
    return chosen


def tell_asked(job_id: UUID, *, new: bool) -> None:
    """A worker is to do it."""
    console.print(f"Job {job_id}" if new else f"The same import is not done yet: job {job_id}")
    console.print(f"engage jobs watch {job_id} shows how far it is, engage jobs show {job_id} what became of it.")


def tell_end(summary: FileSummary, title: str, figures: Iterable[tuple[str, str]]) -> None:
    """The closing summary; ends the program unless all of the file is on file."""
    console.print(_table(summary, title, figures))
    if summary.state is JobState.CANCELLED:
        fail(
            f"Ended after {summary.rows:,} rows: what was done stays, and the same command goes on with the rest.",
            130,
        )
    if summary.state is JobState.DEAD:
        fail(f"The import was given up: {summary.error} What it has done stays; it is job {summary.job_id}.")
    if summary.broken_off is not None:
        fail(
            f"The file could not be read to its end: {summary.broken_off}. What came before is imported; "
            "get the whole file and import it again."
        )
    if summary.rejects_path is not None:
        fail(
            f"Rejected rows: {summary.rejected:,}; {summary.rejects_path} has them with line and reason. "
            "Correct that file and import it.",
            2,
        )


def _table(summary: FileSummary, title: str, figures: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, title=title, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for name, figure in (
        *figures,
        ("seconds", f"{summary.seconds:,.1f}"),
        ("rows per second", f"{summary.rows_per_s:,.0f}"),
    ):
        table.add_row(name, figure)
    return table
