"""`engage serve`, `engage worker`, `engage schema`."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer
import uvicorn

from engage.api.schema import build_schema
from engage.app import create_app
from engage.base.errors import Unavailable
from engage.base.logs import set_up_logs
from engage.base.settings import Settings
from engage.cli.environment import configured, fail
from engage.worker import has_pulse, run_worker

GRACE_S = 10


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; ENGAGE_HOST, else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; ENGAGE_PORT, else 8000.", max=65535)] = None,
) -> None:
    """Run a gateway: GraphQL over HTTP and websockets at /graphql, health at /healthz and /readyz.

    Run as many as you like behind a load balancer; each is one process.
    """
    config = configured()
    set_up_logs(config)
    try:
        application = create_app(config)
    except ValueError as error:
        fail(str(error))
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            host=host or config.host,
            port=config.port if port is None else port,
            loop="auto",
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=config.body_size_max,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    server.run()
    if not server.started:
        raise typer.Exit(1)


def worker(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the worker of this container is at work (exit code).")
    ] = False,
) -> None:
    """Run a worker: carries out what was promised, expires points, sends reminders.

    Run one or more; they share the work. Ctrl-C or SIGTERM lets what runs end first.
    """
    config = configured()
    if check:
        if not asyncio.run(has_pulse(config)):
            fail("No worker of this machine has taken its round lately, or Redis is away.")
        return
    set_up_logs(config)
    try:
        asyncio.run(_work(config))
    except Unavailable as error:
        fail(str(error))


async def _work(config: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run_worker(config, stop)


def schema() -> None:
    """Print the GraphQL schema (SDL) of this version."""
    typer.echo(build_schema().as_str())
