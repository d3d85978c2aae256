"""`engage ledger`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from engage.base.errors import InvalidInput
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, errors, fail
from engage.cli.printing import print_lines
from engage.domains.ledger import seal as sealing
from engage.domains.ledger.findings import Finding
from engage.domains.ledger.rebuild import RebuildReport, check_figures, rebuild_figures
from engage.domains.ledger.seal import Head, Sealed
from engage.domains.ledger.verify import VerifyReport, verify_ledger

app = typer.Typer(
    help="The ledger: prove that its figures are right, repair them, and seal its history.", no_args_is_help=True
)


@app.command()
def verify(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DAY|BLOCK", help="Only what was posted since a day (2026-11-01, UTC), or from a block on."
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(metavar="HEIGHT:DIGEST", help="A head that `engage ledger seal` printed and you have kept."),
    ] = None,
) -> None:
    """Recompute balances, lots, allocations and zero sums from the entries, and compare history with its seal.

    Works beside live load. Names the first wrong row and ends with exit code 1 when there is one. With --since also
    the lots and accounts that were touched since then are recomputed, and the links of all blocks; with --head it is
    found out when the whole chain was made anew.
    """
    report = with_database(configured(), _verify(since, head))
    table = Table("checked", "rows", box=None)
    for name, rows in report.rows.items():
        table.add_row(name, f"{rows:,}")
    console.print(table)
    console.print(_told(report.sealed), highlight=False, soft_wrap=True)
    if not report.ok:
        for finding in report.findings:
            errors.print(f"[bold red]Wrong:[/] {finding}", highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    console.print("[bold green]The ledger is right.[/]")


def _told(sealed: Sealed) -> str:
    height = 0 if sealed.head is None else sealed.head.height
    at = "never" if sealed.sealed_at is None else f"{sealed.sealed_at:%Y-%m-%dT%H:%MZ}"
    return f"Sealed up to block {height} ({at}), {sealed.unsealed:,} transfers not yet."


async def _verify(since: str | None, head: str | None) -> VerifyReport:
    begin = None if since is None else _since(since)
    kept = None if head is None else Head.read(head)
    with _progress("verifying") as progress:
        return await verify_ledger(progress, since=begin, head=kept)


@contextmanager
def _progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, moved by what is called with the rows done and their total."""
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _since(text: str) -> int | datetime:
    """A height, or a moment; of a day its beginning. Raises InvalidInput for what is neither."""
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text} is neither a day such as 2026-11-01 nor the height of a block.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@app.command()
def rebuild(
    *, check: Annotated[bool, typer.Option("--check", help="Only tell what differs; change nothing.")] = False
) -> None:
    """Derive all figures of accounts, lots, holds and debts from the entries and allocations, and repair them.

    Works beside live load, a few rows at once; history is not touched, and has to be right. With --check nothing is
    changed, each figure that differs is printed, and the exit code is 1 when there is one.
    """
    report = with_database(configured(), _rebuild(check=check))
    if report.wrong_history is not None:
        fail(f"History itself is wrong, so nothing was repaired. {report.wrong_history}")
    table = Table("compared", "rows", box=None)
    for name, rows in report.rows.items():
        table.add_row(name, f"{rows:,}")
    console.print(table)
    for one in report.differences:
        print_lines(str(one) if check else _repaired(one))
    if report.count > len(report.differences):
        print_lines(f"… and {report.count - len(report.differences):,} more.")
    if report.left:
        fail(
            f"{report.left:,} rows could not be repaired: `engage ledger verify` tells what else is wrong with them."
        )
    if check and report.count:
        fail(f"{report.count:,} figures are wrong. `engage ledger rebuild` repairs them.")
    console.print("[bold green]All figures are right.[/]" if check else f"[bold green]Repaired: {report.count:,}.[/]")


def _repaired(one: Finding) -> str:
    return f"{one.table} {one.id}: {one.rule} was {one.stored or 'nothing'}, is {one.expected or 'nothing'} now."


async def _rebuild(*, check: bool) -> RebuildReport:
    with _progress("comparing") as progress:
        return await (check_figures if check else rebuild_figures)(progress)


@app.command()
def seal() -> None:
    """Seal what has been posted since the last block, and print the head of the chain.

    A worker seals every five minutes. Keep the line that this prints outside of the database: whoever has it finds
    out with `engage ledger verify --head` when history up to there was made anew.
    """
    sealed = with_database(configured(), _seal())
    if sealed.head is None:
        fail("Nothing has been posted yet, so there is nothing to seal.")
    print_lines(str(sealed.head))


async def _seal() -> Sealed:
    while await sealing.seal_next():
        pass
    return await sealing.find_sealed()
