"""`engage audit`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from engage.base.actor import SYSTEM, Role
from engage.base.audit_log import AuditFilter, AuditRecord, list_audit
from engage.base.paging import PAGE_SIZE_MAX, Window
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, errors
from engage.cli.ids import typed_id
from engage.cli.job_tables import columns
from engage.cli.printing import print_json, print_lines, table_width

LIST_MAX = 10_000

app = typer.Typer(help="The audit log: who did what to whom, from where, with which result.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """The audit log: who did what to whom, from where, with which result."""


@app.command("list")
def list_(
    actor: Annotated[str | None, typer.Option(help="Only by this caller: a token's subject, or `system`.")] = None,
    role: Annotated[Role | None, typer.Option(help="Only by callers of this role.", case_sensitive=False)] = None,
    command: Annotated[str | None, typer.Option(help="Only this command, such as spend_points.")] = None,
    member: Annotated[str | None, typer.Option(metavar="ID", help="Only about this member.")] = None,
    result: Annotated[str | None, typer.Option(help="Only with this result, such as OK or FORBIDDEN.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", help="Only at this moment (UTC) or later.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Only before this moment (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="So many at most.")] = 50,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON, one object a line.")] = False,
) -> None:
    """List commands, newest first, those that were refused too."""
    wanted = AuditFilter(
        actor, role, command, None if member is None else _member(member), result, _utc(since), _utc(until)
    )
    found, more = with_database(configured(), _list(wanted, limit))
    if as_json:
        print_json(found)
    elif found:
        headers = ["at", "actor", "role", "via", "command", "result", "about"]
        print_lines(*columns(headers, _rows(found), width=table_width()))
    else:
        console.print("There is no such command in the log.")
    if more:
        errors.print(f"There is more: --limit shows up to {LIST_MAX:,}.", highlight=False)


async def _list(wanted: AuditFilter, limit: int) -> tuple[list[AuditRecord], bool]:
    found: list[AuditRecord] = []
    cursor: str | None = None
    while True:
        page = await list_audit(SYSTEM, wanted, Window(min(PAGE_SIZE_MAX, limit - len(found)), cursor=cursor))
        found += page.rows
        if not page.has_next or len(found) == limit:
            return found, page.has_next
        cursor = page.cursor(page.rows[-1])


def _rows(found: list[AuditRecord]) -> list[list[str]]:
    return [
        [f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.role, one.via, one.command, one.result, _about(one)]
        for one in found
    ]


def _about(record: AuditRecord) -> str:
    """The ids and codes that it was given, and the member whom it was about where those do not say it."""
    named = dict(record.subjects)
    if record.member_id is not None:
        named.setdefault("member_id", str(record.member_id))
    parts = {name: ",".join(value) if isinstance(value, list) else value for name, value in named.items()}
    return " ".join(f"{name}={value}" for name, value in parts.items())


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC)


def _member(given: str) -> UUID:
    return typed_id("Member", given, "member's id; take one from the API or from `engage audit list --json`.")
