"""`engage import`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engage.base.actor import SYSTEM
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console
from engage.cli.file_jobs import mapping_of, run_shown, tell_asked, tell_end
from engage.domains.earning.bulk import (
    LAYOUT,
    BulkAsked,
    BulkInstructions,
    BulkOperation,
    BulkSummary,
    bulk_here,
    request_file,
)
from engage.domains.earning.bulk.types import BATCH_MAX as BULK_MAX
from engage.domains.earning.importing import FIELDS, Instructions, import_here, request_import
from engage.domains.earning.service import BATCH_MAX

app = typer.Typer(help="Bring what other systems have on file into engage.", no_args_is_help=True)


File = Annotated[Path, typer.Argument(metavar="FILE.csv", help="CSV in UTF-8; FILE.csv.gz is read as it is.")]
Rejects = Annotated[Path | None, typer.Option(help="Where rejected rows go (FILE.rejected.csv beside the file).")]
Background = Annotated[
    bool, typer.Option("--background", help="Only store the file and ask for its job; a worker does it.")
]


class Operation(StrEnum):
    """As it is typed."""

    EARN = "earn"
    ADJUST = "adjust"


@app.command()
def purchases(
    file: File,
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
    rejects: Rejects = None,
    batch_size: Annotated[int, typer.Option(min=1, max=BATCH_MAX, help="Orders per transaction.")] = BATCH_MAX,
    *,
    background: Background = False,
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
        mapping=mapping_of(mapping or [], FIELDS),
        identity_channel=identity_channel,
        channel=channel,
        currency=currency,
        store=store,
        batch_size=batch_size,
    )
    if background:
        asked = with_database(config, request_import(SYSTEM, file, wanted))
        tell_asked(asked.id, new=asked.new)
        return
    summary = run_shown(
        config, lambda told, stop: import_here(SYSTEM, file, wanted, rejects_path=rejects, told=told, stop=stop)
    )
    figures = (
        ("orders new", f"{summary.orders_new:,}"),
        ("orders already there", f"{summary.orders_known:,}"),
        ("rows rejected", f"{summary.rejected:,}"),
        ("members new", f"{summary.members_new:,}"),
        (f"spend, {summary.currency}", f"{summary.spend:,f}"),
        ("points issued", f"{summary.points_issued:,}"),
        ("points expired at once", f"{summary.points_expired:,}"),
    )
    tell_end(summary, f"Import into program {program}", figures)
    if not summary.orders_new:
        console.print("Nothing was new: every order was on file already.")


@app.command()
def points(
    file: File,
    operation: Annotated[
        Operation, typer.Option(help="earn gives points; adjust corrects balances, up or below zero down.")
    ],
    program: Annotated[str, typer.Option(help="Code of the program whose points they are.")] = "default",
    reason: Annotated[str, typer.Option(help="Code that tells why, of rows that name none.")] = "CORRECTION",
    identity_channel: Annotated[
        str | None, typer.Option(help="Channel in which member names a person; left out, it is the member's id.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="A name for this piece of work: row_key counts once in it (each file is one by itself)."),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="A column of another name, such as amount=Points."),
    ] = None,
    rejects: Rejects = None,
    batch_size: Annotated[int, typer.Option(min=1, max=BULK_MAX, help="Rows per transaction.")] = BULK_MAX,
    *,
    background: Background = False,
) -> None:
    """Give points to many members, or correct their balances, from a CSV file.

    The header names the columns: row_key, member, amount and, if there are
    such, reason, cause_type, cause_id, usable_at, expires_at, note; other
    columns are ignored. Where the header has other names, map them: --map
    row_key=No --map amount=Points.

    row_key is the key of a row: the same file again changes nothing. To
    send a file with changed or added rows, give it the --key of the first.
    Rows that cannot be posted go to a file of their own with line and
    reason; correct it and import it.

    Corrections of more points in all than the program's policy lets one
    person move (adjustAloneMax) wait until somebody else has approved them.

    It is a job that runs in this process. If that is killed, a worker goes
    on with it; Ctrl-C ends it after the present batch.

    The exit code is 1 when a file could not be read to its end or the job
    was given up, 2 when rows were rejected, 130 after Ctrl-C.
    """
    config = configured()
    wanted = BulkInstructions(
        program=program,
        operation=BulkOperation(operation.upper()),
        key=key,
        reason=reason,
        identity_channel=identity_channel,
        mapping=mapping_of(mapping or [], LAYOUT.fields),
        batch_size=batch_size,
    )
    done: BulkAsked | BulkSummary
    if background:
        done = with_database(config, request_file(SYSTEM, file, wanted))
    else:
        done = run_shown(
            config, lambda told, stop: bulk_here(SYSTEM, file, wanted, rejects_path=rejects, told=told, stop=stop)
        )
    if isinstance(done, BulkAsked):
        tell_asked(done.job_id, new=done.new)
        if done.waits:
            console.print("It waits until somebody else has approved it: approveBulkPoints in the API.")
        return
    tell_end(done, f"Points into {program}", _figures(done))
    if not done.rows_new:
        console.print("Nothing was new: every row was on file already.")


def _figures(done: BulkSummary) -> list[tuple[str, str]]:
    return [
        ("rows new", f"{done.rows_new:,}"),
        ("rows already there", f"{done.rows_known:,}"),
        ("rows rejected", f"{done.rejected:,}"),
        ("points added", f"{done.added:,}"),
        ("points removed", f"{done.removed:,}"),
    ]
