"""`engage token`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from engage.base import crypto
from engage.base.actor import Role, Scope
from engage.cli.environment import configured, fail
from engage.cli.ids import typed_id


def token(
    role: Annotated[Role, typer.Option(help="What the bearer may do.", case_sensitive=False)],
    member: Annotated[str | None, typer.Option(help="Id of the member; for the role MEMBER alone.")] = None,
    subject: Annotated[str | None, typer.Option(help="Who the bearer is, for the records.", max=80)] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="Confine it to this scope; repeat it. All of the role if left out.")
    ] = None,
    hours: Annotated[float, typer.Option(help="How long it holds.", min=0.01, max=24 * 366)] = 24,
) -> None:
    """Print a bearer token for development and scripts, signed with ENGAGE_JWT_SECRET.

    Send it as the header `Authorization: Bearer TOKEN`, on a websocket in connection_init as {"token": "TOKEN"}.
    """
    member_id = None if member is None else _member_id(member)
    try:
        made = crypto.issue_token(
            configured(),
            role,
            subject=subject or (f"member:{member_id}" if member_id else role.lower()),
            member_id=member_id,
            scopes=scope or None,
            valid_for=timedelta(hours=hours),
        )
    except ValueError as error:
        fail(str(error))
    typer.echo(made)


def _member_id(given: str) -> UUID:
    return typed_id("Member", given, "member's id; take the `id` that the API answers, or a UUID.", 1)
