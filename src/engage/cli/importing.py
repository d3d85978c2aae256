"""`engage import`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from engage.base.actor import SYSTEM
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, errors, fail
from engage.domains.earning.importing import FIELDS, ImportSummary, Instructions, import_here, request_import
from engage.domains.earning.service import BATCH_MAX
from engage.outbox import Asked
from engage.outbox.here import JobSeen, Told
from engage.outbox.types import JobState, Progress

app = typer.Typer(help="Bring what other systems have on file into engage.", no_args_is_help=True)


@app.callback()
def importing() -> None:
    """Keep `purchases` a command of its own, however few there are."""


@app.command()
def purchases(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="CSV in UTF-8; FILE.csv.gz is read as it is.")],
    program: Annotated[str, typer.Option(help="Code of the program whose points the orders earn.")] = "default",
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="A column of another name, such as order_no=OrderID."),
    ] = None,
    identity_channel: Annotated[
        str, typer.Option(help="Channel in which customer_id names a person; people unknown there become members.")
    ] = "card",
    channel: Annotated[str, typer.Option(help="Channel of orders that name none.")] = "web",
    currency: Annotated[str | None, typer.Option(help="Currency of orders that name none (the program's).")] = None,
    store: Annotated[str | None, typer.Option(help="Store of orders that name none.")] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected rows go (FILE.rejected.csv beside the file).")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=BATCH_MAX, help="Orders per transaction.")] = BATCH_MAX,
    *,
    background: Annotated[
        bool, typer.Option("--background", help="Only store the file and ask for the import; a worker does it.")
    ] = False,
) -> None:
    """Import orders from a CSV file: members, purchases and points.

    The header names the columns: order_no, customer_id, date, quantity,
    amount and, if there are such, channel, currency, store; other columns
    are ignored. Where the header has other names, map them: --map
    order_no=OrderID --map amount=Total. Without quantities: --map quantity=

    Dates are 2024-12-31, 20241231 or 2024-12-31T18:30, in the program's
    time zone unless they carry an offset; amounts are like 1234.50.

    The order number is the key: an order that is on file is left as it is.
    So an import that was interrupted is simply started again, and a second
    import changes nothing. Rows that cannot be imported go to a file of
    their own with line and reason; correct it and import it.

    The import is a job that runs in this process. If that is killed, a
    worker goes on with it; Ctrl-C ends it after the present batch.

    The exit code is 1 when a file could not be read to its end or the
    import was given up, 2 when rows were rejected, 130 after Ctrl-C.
    """
    config = configured()
    wanted = Instructions(
        program=program,
        mapping=_mapping(mapping or []),
        identity_channel=identity_channel,
        channel=channel,
        currency=currency,
        store=store,
        batch_size=batch_size,
    )
    if background:
        _tell_asked(with_database(config, request_import(SYSTEM, file, wanted)))
        return
    with _shown() as told:
        summary = with_database(config, _import(file, wanted, rejects, told))
    _tell(summary, program)


async def _import(file: Path, wanted: Instructions, rejects: Path | None, told: Told) -> ImportSummary:
    """Import here; the first Ctrl-C ends it after the present batch, the second one at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def pressed() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, pressed)
    return await import_here(SYSTEM, file, wanted, rejects_path=rejects, told=told, stop=stop)


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


def _mapping(pairs: list[str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals or field in chosen:
            fail(f"--map takes FIELD=COLUMN, once per field, with a field of {', '.join(FIELDS)}; not {pair!r}.", 2)
        chosen[field] = column
    return chosen


def _tell_asked(asked: Asked) -> None:
    console.print(f"Job {asked.id}" if asked.new else f"The same import is not done yet: job {asked.id}")
    console.print(f"engage jobs watch {asked.id} shows how far it is, engage jobs show {asked.id} what became of it.")


def _tell(summary: ImportSummary, program: str) -> None:
    """The closing summary, and the exit code."""
    console.print(_table(summary, program))
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
    if not summary.orders_new:
        console.print("Nothing was new: every order was on file already.")


def _table(summary: ImportSummary, program: str) -> Table:
    table = Table(box=None, show_header=False, title=f"Import into program {program}", title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for name, figure in (
        ("orders new", f"{summary.orders_new:,}"),
        ("orders already there", f"{summary.orders_known:,}"),
        ("rows rejected", f"{summary.rejected:,}"),
        ("members new", f"{summary.members_new:,}"),
        (f"spend, {summary.currency}", f"{summary.spend:,f}"),
        ("points issued", f"{summary.points_issued:,}"),
        ("points expired at once", f"{summary.points_expired:,}"),
        ("seconds", f"{summary.seconds:,.1f}"),
        ("rows per second", f"{summary.rows_per_s:,.0f}"),
    ):
        table.add_row(name, figure)
    return table
