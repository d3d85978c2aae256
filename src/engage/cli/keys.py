"""`engage keys`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from engage.base.actor import SCOPES_OF, SYSTEM, Role, Scope
from engage.base.paging import PAGE_SIZE_MAX, Window
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, fail
from engage.cli.job_tables import columns
from engage.cli.printing import print_json, print_lines, table_width
from engage.domains.access import queries, service
from engage.domains.access.types import KeyRecord

app = typer.Typer(help="API keys, and tokens that are no longer accepted.", no_args_is_help=True)

OneRole = Annotated[Role, typer.Option(help="What the bearer is.", case_sensitive=False)]


@app.command("list")
def list_(*, json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False) -> None:
    """List the API keys, newest first."""
    found = with_database(configured(), _all())
    if json:
        print_json([{**_plain(one), "id": str(one.id)} for one in found])
        return
    if not found:
        console.print("There is no API key: `engage keys create` makes one.")
        return
    rows = [
        [
            str(one.id),
            one.state.value,
            one.role.value,
            one.name,
            f"{one.expires_at:%Y-%m-%d}",
            "never" if one.last_used_at is None else f"{one.last_used_at:%Y-%m-%d %H:%M}",
            " ".join(one.scopes),
        ]
        for one in found
    ]
    headers = ["id", "state", "role", "name", "expires", "last used", "scopes"]
    for line in columns(headers, rows, right="", width=table_width()):
        print_lines(line)


async def _all() -> list[KeyRecord]:
    found: list[KeyRecord] = []
    cursor: str | None = None
    while True:
        page = await queries.list_keys(SYSTEM, Window(PAGE_SIZE_MAX, cursor=cursor))
        found += page.rows
        if not page.has_next:
            return found
        cursor = page.cursor(page.rows[-1])


def _plain(key: KeyRecord) -> dict[str, object]:
    return {name: getattr(key, name) for name in KeyRecord.__slots__}


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it, such as 'till 7'.")],
    scope: Annotated[list[Scope], typer.Option(help="What it is confined to; repeat it.")],
    role: OneRole = Role.SERVICE,
    days: Annotated[int, typer.Option(help="It opens nothing after so many days.", min=1, max=366)] = 90,
) -> None:
    """Make an API key. Prints its secret, this one time; it is sent as `Authorization: Bearer SECRET`."""
    work = service.create_key(SYSTEM, name=name, role=role, scopes=scope, valid_days=days)
    made = with_database(configured(), work)
    print_lines(f"id      {made.key.id}\nsecret  {made.secret}")


@app.command()
def scopes(role: OneRole = Role.SERVICE) -> None:
    """List the scopes that a role can have."""
    print_lines(*sorted(SCOPES_OF[role]))


@app.command()
def revoke(key: Annotated[str, typer.Argument(metavar="ID", help="Id, as `engage keys list` shows it.")]) -> None:
    """Let an API key open nothing any more."""
    with_database(configured(), service.revoke_key(SYSTEM, _id(key)))
    console.print("It opens nothing any more: gateways know within two seconds.")


@app.command()
def revoke_tokens(
    token: Annotated[str | None, typer.Option(help="The claim jti of one token.")] = None,
    subject: Annotated[str | None, typer.Option(help="The claim sub of tokens issued by now.")] = None,
    member: Annotated[str | None, typer.Option(help="UUID of the member whose tokens were issued by now.")] = None,
) -> None:
    """Accept tokens no longer: one, or all that a subject or a member was issued by now. Give exactly one."""
    member_id = None if member is None else _id(member)
    work = service.revoke_tokens(SYSTEM, token_id=token, subject=subject, member_id=member_id)
    with_database(configured(), work)
    console.print("They are accepted no longer: gateways know within two seconds.")


def _id(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        fail(f"{given!r} is no UUID; `engage keys list` shows those of API keys.", 2)
