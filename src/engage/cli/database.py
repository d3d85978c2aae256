"""`engage db`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from engage.base import db
from engage.base.errors import Unavailable
from engage.cli.connecting import with_database
from engage.cli.environment import configured, console, fail
from engage.migrations import migrate as run_migrations
from engage.seed import seed_basics

app = typer.Typer(help="The database: migrate it, and what to do after a restore.", no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Bring the database to this version, and seed channels and the program `default` if they are not there.

    Safe while older gateways run, and from several machines at once. Run it before starting a new version, as the
    owner of the tables; what the role in ENGAGE_DATABASE_ROLE may do is granted to it each time.
    """
    config = configured()
    try:
        done = asyncio.run(run_migrations(config.database_url, config.database_role))
    except Unavailable as error:
        fail(str(error))
    with_database(config, seed_basics())
    console.print(f"Done: {', '.join(done)}." if done else "Nothing to do: the database is at this version.")
    if config.database_role:
        console.print(f"{config.database_role} may do what gateways and workers need, and cannot change history.")


@app.command()
def epoch(
    new: Annotated[bool, typer.Option("--new", help="Begin a new epoch.")] = False,  # noqa: FBT002 -- a flag
) -> None:
    """Show the epoch of stream positions; with --new begin another one.

    Begin a new one after restoring the database from a dump: positions are then used again, and clients that
    resume must not mistake them. Failover and point-in-time recovery are noticed without it.
    """
    console.print(with_database(configured(), _epoch(new=new)))


async def _epoch(*, new: bool) -> str:
    if new:
        await db.execute("UPDATE stream_epoch SET token = gen_random_uuid()::text")
    return str(await db.fetch_value("SELECT engage.epoch()"))
