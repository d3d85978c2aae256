"""`engage serve`, `engage schema`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Annotated, Any

import typer
import uvicorn
from starlette.types import ASGIApp

from engage.api.schema import build_schema
from engage.app import create_app
from engage.base.errors import Unavailable
from engage.base.logs import set_up_logs
from engage.base.metrics import served
from engage.base.settings import Settings
from engage.cli.environment import configured, fail
from engage.cli.wire import PatientWebSocket
from engage.migrations import check_reachable

GRACE_S = 10
BACKLOG = 2048


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; ENGAGE_HOST, else 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; ENGAGE_PORT, else 8000.", min=0, max=65535)
    ] = None,
) -> None:
    """Run a gateway: GraphQL over HTTP and websockets at /graphql, health at /healthz and /readyz.

    Run as many as you like behind a load balancer; each is one process. Ctrl-C or SIGTERM lets requests in progress
    end and tells sockets to connect again.
    """
    config = configured()
    set_up_logs(config)
    try:
        application = create_app(config)
        asyncio.run(check_reachable(config.database_url))
    except (ValueError, Unavailable) as error:
        fail(str(error))
    listening = _listening(host or config.host, config.port if port is None else port)
    server = uvicorn.Server(server_of(application, config))
    try:
        with served(config), contextlib.suppress(KeyboardInterrupt):  # uvicorn repeats the Ctrl-C that it has obeyed
            server.run(sockets=[listening])
    except Unavailable as error:
        fail(str(error))
    if not server.started:
        raise typer.Exit(1)


def server_of(application: ASGIApp, config: Settings, **more: Any) -> uvicorn.Config:  # noqa: ANN401 -- uvicorn's own
    """How a gateway is served; `more` is for who gives the address here."""
    return uvicorn.Config(
        application,
        loop="auto",
        http="httptools",
        ws=PatientWebSocket,
        ws_max_size=config.body_size_max,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the application believes those that ENGAGE_TRUSTED_PROXIES names
        **({"timeout_graceful_shutdown": GRACE_S} | more),
    )


def _listening(host: str, port: int) -> socket.socket:
    """A socket at this address; our own, since uvicorn tells of a port in use in its log alone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        fail(f"Port {port} of {host} cannot be used ({error.strerror}): name another with --port or ENGAGE_PORT.")


def schema() -> None:
    """Print the GraphQL schema (SDL) of this version."""
    typer.echo(build_schema().as_str())
