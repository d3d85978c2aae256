"""`engage ledger`."""

from __future__ import annotations

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, errors
from engage.domains.ledger.verify import VerifyReport, verify_ledger

app = typer.Typer(help="The ledger: prove that its figures are right.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """Keep `verify` a command of its own, however few there are."""


@app.command()
def verify() -> None:
    """Recompute balances, lots, allocations and zero sums from the entries, beside live load.

    Names the first wrong row and ends with exit code 1 when there is one.
    """
    report = with_database(configured(), _verify())
    table = Table("checked", "rows", box=None)
    for name, rows in report.rows.items():
        table.add_row(name, f"{rows:,}")
    console.print(table)
    if report.first_wrong is not None:
        errors.print(f"[bold red]Wrong:[/] {report.first_wrong}", highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    console.print("[bold green]The ledger is right.[/]")


async def _verify() -> VerifyReport:
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("verify", total=None)
        return await verify_ledger(lambda done, total: progress.update(task, completed=done, total=total))
