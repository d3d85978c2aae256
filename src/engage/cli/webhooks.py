"""`engage webhooks`."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from engage.base.actor import SYSTEM
from engage.base.paging import PAGE_SIZE_MAX, Window
from engage.base.sealing import CannotUnseal
from engage.base.settings import settings
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, fail
from engage.cli.ids import typed_id
from engage.cli.job_tables import columns
from engage.cli.printing import print_lines, table_width
from engage.domains.webhooks import queries, service
from engage.domains.webhooks.types import WebhookRecord
from engage.outbox.targets import COUNT_MAX, TargetFigures

T = TypeVar("T")

app = typer.Typer(help="Webhooks: addresses of others that are told what happens.", no_args_is_help=True)

OneId = Annotated[str, typer.Argument(metavar="ID", help="Id, as `engage webhooks list` or the API shows it.")]


@app.command("list")
def list_() -> None:
    """List the endpoints, newest first, and how they do."""
    found = _connected(_list())
    if not found:
        console.print("There is no webhook endpoint: `engage webhooks add` makes one.")
        return
    rows = [
        [
            str(record.id),
            record.state.value + (f" ({record.disabled_reason})" if record.disabled_reason else ""),
            str(figures.failures),
            _count(figures.waiting),
            _count(figures.dead),
            record.url,
            ", ".join(record.events),
        ]
        for record, figures in found
    ]
    headers = ["id", "state", "failures", "waiting", "dead", "url", "events"]
    for line in columns(headers, rows, right="failures waiting dead", width=table_width()):
        print_lines(line)


async def _list() -> list[tuple[WebhookRecord, TargetFigures]]:
    page = await queries.list_endpoints(SYSTEM, Window(PAGE_SIZE_MAX))
    figures = await queries.load_endpoint_figures(SYSTEM, [one.id for one in page.rows])
    return [(one, figures[one.id]) for one in page.rows]


def _count(number: int) -> str:
    return f"{number:,}" + ("+" if number == COUNT_MAX else "")


@app.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to post, such as https://hooks.example.com/.")],
    events: Annotated[list[str], typer.Argument(metavar="EVENT…", help="Wire names of events, or '*' for all.")],
    description: Annotated[str, typer.Option(help="What people call it.")] = "",
) -> None:
    """Have an address told what happens from now on. Prints the secret that signs, this one time."""
    made = _connected(service.create_endpoint(SYSTEM, url=url, events=events, description=description))
    print_lines(f"id      {made.endpoint.id}\nsecret  {made.secret}")


@app.command()
def pause(endpoint: OneId) -> None:
    """Have what happens wait, in order."""
    _connected(service.pause_endpoint(SYSTEM, _id(endpoint)))
    console.print("It is paused; `engage webhooks resume` tells what waits.")


@app.command()
def resume(endpoint: OneId) -> None:
    """Tell what waits, at once: for an endpoint that was paused or disabled, or that fails."""
    _connected(service.resume_endpoint(SYSTEM, _id(endpoint)))
    console.print("It is told again what happens.")


@app.command()
def replay(
    endpoint: OneId,
    since: Annotated[
        str | None, typer.Option(help="All that was recorded since this moment, such as 2026-06-01T12:00:00Z.")
    ] = None,
    stream: Annotated[str | None, typer.Option(help="The events of one stream, such as member:<id>.")] = None,
    after: Annotated[int | None, typer.Option(help="Those of the stream after this position.")] = None,
) -> None:
    """Tell events of the log again: all since a moment, or those of one stream."""
    work = service.replay(SYSTEM, _id(endpoint), since=_moment(since), stream=stream, after_position=after)
    asked = _connected(work)
    begun = "Asked for" if asked.new else "There is one under way already:"
    print_lines(f"{begun} job {asked.id}; `engage jobs show {asked.id}` tells how far it is.")


@app.command()
def test(endpoint: OneId) -> None:
    """Send `webhooks.ping.v1` to one endpoint."""
    message_id = _connected(service.send_test(SYSTEM, _id(endpoint)))
    print_lines(f"On its way, with webhook-id {message_id}.")


@app.command()
def remove(endpoint: OneId) -> None:
    """Forget an endpoint, with what waits for it."""
    _connected(service.delete_endpoint(SYSTEM, _id(endpoint)))
    console.print("It is gone.")


def _connected(work: Coroutine[Any, Any, T]) -> T:
    try:
        config = configured()
        if not settings().database_url:  # an `engage dev`, whose worker may post to this machine
            config = config.model_copy(update={"webhook_private_addresses": True})
        return with_database(config, work)
    except CannotUnseal as error:
        fail(str(error))
    finally:
        work.close()


def _moment(given: str | None) -> datetime | None:
    try:
        return None if given is None else datetime.fromisoformat(given)
    except ValueError:
        fail(f"{given!r} is no moment; write 2026-06-01T12:00:00Z.", 2)


def _id(given: str) -> UUID:
    return typed_id("WebhookEndpoint", given, "endpoint's id; take one from `engage webhooks list`.")
