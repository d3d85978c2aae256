"""`engage import`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from engage.base.actor import SYSTEM
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, errors, fail
from engage.domains.earning.importing import (
    FIELDS,
    ImportSummary,
    Report,
    default_rejects_path,
    import_purchases,
)

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
    batch_size: Annotated[int, typer.Option(min=1, max=1000, help="Orders per transaction.")] = 1000,
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

    The exit code is 1 when a file could not be read to its end, 2 when rows
    were rejected.
    """
    config = configured()
    chosen = _mapping(mapping or [])
    with _shown() as progress:
        summary = with_database(
            config,
            import_purchases(
                SYSTEM,
                file,
                program=program,
                mapping=chosen,
                identity_channel=identity_channel,
                default_channel=channel,
                default_currency=currency,
                default_store=store,
                batch_size=batch_size,
                rejects_path=rejects or default_rejects_path(file),
                progress=progress,
            ),
        )
    _tell(summary, program)


@contextmanager
def _shown() -> Iterator[Report]:
    """A progress bar on a terminal; nothing in a log file."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("reading", total=None, rows=0, rate=0.0)
        yield lambda at: bar.update(
            task,
            description="waiting for the database" if at.waiting else "importing",
            completed=at.bytes_read,
            total=at.bytes_total,
            rows=at.rows,
            rate=at.rows_per_s,
        )


def _mapping(pairs: list[str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals or field in chosen:
            fail(f"--map takes FIELD=COLUMN, once per field, with a field of {', '.join(FIELDS)}; not {pair!r}.", 2)
        chosen[field] = column
    return chosen


def _tell(summary: ImportSummary, program: str) -> None:
    """The closing summary, and the exit code."""
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
    console.print(table)
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
