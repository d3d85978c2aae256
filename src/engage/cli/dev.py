"""`engage dev`: everything on one machine, started and stopped together."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import typer
from pydantic import SecretStr

from engage.base import crypto
from engage.base.actor import Role
from engage.base.errors import Unavailable
from engage.base.settings import Settings, settings
from engage.cli.environment import console, dev_file, errors, fail
from engage.embedded import EmbeddedError, running
from engage.embedded.process import Child, start, stop
from engage.migrations import migrate
from engage.seed import seed_basics, seed_demo
from engage.wiring import connected

TOKENS_HOLD = timedelta(days=7)
READY_TIMEOUT_S = 60.0
WATCH_S = 0.2
RESTART_PAUSE_S = 0.5
CRASHES_MAX = 10
"""A gateway or worker that ends this often does not get better by starting it again."""


def dev(
    port: Annotated[
        int | None, typer.Option(help="Port of the gateway; 0 takes a free one.", min=0, max=65535)
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for the databases and dev.json; .engage if left out.")
    ] = None,
) -> None:
    """Start PostgreSQL, Valkey, gateway and worker with a demo program, and print where they are.

    Scripts find the same in DIR/dev.json: url, ws_url, database_url, redis_url and tokens by role. With
    ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL set it works on those servers instead of its own. Ctrl-C stops all of it;
    the data stay in the folder.
    """
    began = time.monotonic()
    asked = _asked_to_stop()
    config = _config(port, data_dir)
    children: list[Child] = []
    try:
        crashed = ""
        while not asked.is_set():
            if crashed:
                errors.print(f"[bold red]engage:[/] {crashed} Starting again.", highlight=False, soft_wrap=True)
            with _servers(config) as (found, ended):
                config = found
                if not children:
                    children += _begin(config, began)
                crashed = _watch(children, config, asked, ended)
                if not crashed:
                    stop(*reversed(children))
                    children.clear()
    except (EmbeddedError, Unavailable, ValueError) as error:
        fail(str(error))
    finally:
        stop(*reversed(children))
        dev_file(config.data_dir).unlink(missing_ok=True)
    console.print("Stopped.")


def _asked_to_stop() -> threading.Event:
    """Set by Ctrl-C or SIGTERM; children have process groups of their own and are stopped in order."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    return asked


def _config(port: int | None, data_dir: Path | None) -> Settings:
    base = settings()
    folder = (data_dir or base.data_dir).absolute()
    if bool(base.database_url) != bool(base.redis_url):
        fail("Set both ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL to use your own servers, or neither.")
    chosen = _usable_port(base.host, base.port if port is None else port)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        fail(f"The folder {folder} cannot be made ({error.strerror}); name another with --data-dir.")
    return base.model_copy(update={"data_dir": folder, "port": chosen, "development": True})


def _usable_port(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fail(f"Port {port} of {host} cannot be used ({error.strerror}): name another with --port.")
        number: int = probe.getsockname()[1]
        return number


@contextmanager
def _servers(config: Settings) -> Iterator[tuple[Settings, Callable[[], str | None]]]:
    """PostgreSQL and Valkey: those named in the environment, else our own, at the ports that they had before.

    Gives the settings that lead to them, and what tells of one that has ended by itself.
    """
    if settings().database_url:
        yield _with_secret(config), lambda: None
        return
    postgres_port, redis_port = urlsplit(config.database_url).port, urlsplit(config.redis_url).port
    with running(config.data_dir, postgres_port=postgres_port, redis_port=redis_port) as services:
        urls = {"database_url": services.database_url, "redis_url": services.redis_url}
        yield _with_secret(config.model_copy(update=urls)), services.ended


def _with_secret(config: Settings) -> Settings:
    """Settings that can sign tokens: with the environment's secret, else one that is kept in the folder."""
    if config.jwt_secret.get_secret_value():
        return config
    file = config.data_dir / "jwt_secret"
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(48).encode())
    return config.model_copy(update={"jwt_secret": SecretStr(file.read_text().strip())})


def _write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner reads; whole or not at all."""
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    draft.replace(file)


def _begin(config: Settings, began: float) -> list[Child]:
    """Migrate, start gateway and worker, seed meanwhile, and say where everything is."""
    asyncio.run(migrate(config.database_url))
    children = [_start("gateway", "serve", config), _start("worker", "worker", config)]
    try:
        tokens = _tokens(config, asyncio.run(_seed(config)))
        url = f"http://{config.host}:{config.port}"
        _wait_until_ready(url, children)
        _tell_scripts(config, url, tokens)
    except BaseException:
        stop(*reversed(children))
        raise
    _tell_people(config, url, tokens, time.monotonic() - began)
    return children


def _start(name: str, command: str, config: Settings) -> Child:
    environment = os.environ | {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_JWT_SECRET": config.jwt_secret.get_secret_value(),
        "ENGAGE_HOST": config.host,
        "ENGAGE_PORT": str(config.port),
        "ENGAGE_DEVELOPMENT": "true",
        "PYTHONUNBUFFERED": "1",
    }
    log = config.data_dir / f"{name}.log"
    return start(name, [sys.executable, "-m", "engage.cli", command], env=environment, log=log)


async def _seed(config: Settings) -> UUID:
    async with connected(config, "engage-dev"):
        await seed_basics()
        return await seed_demo()


def _tokens(config: Settings, demo_member: UUID) -> dict[str, str]:
    made = {
        role.lower(): crypto.issue_token(config, role, subject=f"dev-{role.lower()}", valid_for=TOKENS_HOLD)
        for role in (Role.STAFF, Role.MODERATOR, Role.ADMIN, Role.SERVICE)
    }
    member = crypto.issue_token(
        config, Role.MEMBER, subject=f"member:{demo_member}", member_id=demo_member, valid_for=TOKENS_HOLD
    )
    return {"member": member} | made


def _wait_until_ready(url: str, children: Sequence[Child]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        for child in children:
            if child.exit_code is not None:
                fail(f"The {child.name} ended while starting; {child.name}.log in the data folder says why.")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310 -- our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.03)
    fail(f"The gateway did not become ready within {READY_TIMEOUT_S:.0f} s; gateway.log in the data folder says why.")


def _tell_scripts(config: Settings, url: str, tokens: dict[str, str]) -> None:
    content = {
        "url": f"{url}/graphql",
        "ws_url": f"{url.replace('http', 'ws', 1)}/graphql",
        "database_url": config.database_url,
        "redis_url": config.redis_url,
        "jwt_secret": config.jwt_secret.get_secret_value(),
        "tokens": tokens,
    }
    _write_private(dev_file(config.data_dir), orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _tell_people(config: Settings, url: str, tokens: dict[str, str], seconds: float) -> None:
    console.print(f"[bold green]engage is ready[/] after {seconds:.1f} s.\n", highlight=False)
    console.print(f"  GraphiQL    {url}/graphql", highlight=False)
    console.print(f"  Websocket   {url.replace('http', 'ws', 1)}/graphql  (graphql-transport-ws)", highlight=False)
    console.print(f"  Health      {url}/readyz", highlight=False)
    console.print(f"  For scripts {dev_file(config.data_dir)}", highlight=False, soft_wrap=True)
    console.print(
        f"  Logs        {config.data_dir}{os.sep}gateway.log, worker.log\n", highlight=False, soft_wrap=True
    )
    console.print("  Tokens, for the header Authorization: Bearer TOKEN", highlight=False)
    for role, token in tokens.items():
        console.print(f"\n  [bold]{role}[/]\n{token}", highlight=False, soft_wrap=True)
    console.print("\nCtrl-C stops it all.", highlight=False)


def _watch(children: list[Child], config: Settings, asked: threading.Event, ended: Callable[[], str | None]) -> str:
    """Keep gateway and worker running until asked to stop (answers "") or a server has ended (answers how)."""
    crashes = 0
    while not asked.wait(WATCH_S):
        crashed = ended()
        if crashed:
            return crashed
        for index, child in enumerate(children):
            if child.exit_code is None:
                continue
            crashes += 1
            if crashes > CRASHES_MAX:
                fail(f"The {child.name} ended {crashes} times; {child.name}.log in the data folder says why.")
            errors.print(
                f"[bold red]engage:[/] The {child.name} ended by itself. Starting it again.", highlight=False
            )
            asked.wait(RESTART_PAUSE_S)
            children[index] = _start(child.name, "serve" if child.name == "gateway" else "worker", config)
    return ""
