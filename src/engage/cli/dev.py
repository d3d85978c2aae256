"""`engage dev`: everything on one machine, started and stopped together."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import orjson
import typer
from pydantic import SecretStr
from rich.markup import escape

from engage.base.settings import Settings
from engage.cli.environment import console, dev_file, fail, from_environment, tell
from engage.embedded import EmbeddedError, running
from engage.embedded.folder import opened
from engage.embedded.postgres import APP_USER
from engage.embedded.process import Child, start, stop

READY_TIMEOUT_S = 60.0
READY_POLL_S = 0.03
WATCH_S = 0.2
RESTART_PAUSE_S = 0.5
ENDS_MAX, ENDS_S = 20, 60.0
"""A program that ends this often within so many seconds does not get better by starting it again."""


def dev(
    port: Annotated[
        int | None, typer.Option(help="Port of the gateway; 0 takes a free one.", min=0, max=65535)
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for the databases and dev.json; .engage if left out.")
    ] = None,
) -> None:
    """Start PostgreSQL, Valkey, gateway and worker with a demo program, and print where they are.

    Scripts find the same in DIR/dev.json: url, ws_url, database_url (the owner's, to look at everything),
    app_database_url (that of gateway and worker), redis_url and tokens by role. With ENGAGE_DATABASE_URL and
    ENGAGE_REDIS_URL set it works on those servers instead of its own. Ctrl-C stops all of it; the data stay in the
    folder.
    """
    began = time.monotonic()
    asked = _asked_to_stop()
    _Dev(_config(port, data_dir), began, asked).run()
    console.print("Stopped.")


def _asked_to_stop() -> threading.Event:
    """Set by Ctrl-C or SIGTERM; children have process groups of their own and are stopped in order."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    return asked


def _config(port: int | None, data_dir: Path | None) -> Settings:
    base = from_environment()
    folder = (data_dir or base.data_dir).absolute()
    if bool(base.database_url) != bool(base.redis_url):
        fail("Set both ENGAGE_DATABASE_URL and ENGAGE_REDIS_URL to use your own servers, or neither.")
    chosen = _usable_port(base.host, base.port if port is None else port)
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


class _Dev:
    """One run: the servers, and gateway and worker, which outlive a crash of a server."""

    def __init__(self, config: Settings, began: float, asked: threading.Event) -> None:
        self._config = config
        self._app_database_url = config.database_url
        self._began = began
        self._asked = asked
        self._own_servers = not config.database_url
        self._children: list[Child] = []
        self._told_scripts = False
        self._ends: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=ENDS_MAX))

    def run(self) -> None:
        """Until asked to stop. Ends the program with a sentence where it cannot go on."""
        try:
            while not self._asked.is_set():
                with self._servers() as ended:
                    if not self._children and not self._asked.is_set():
                        self._begin()
                    self._watch(ended)
                    if self._asked.is_set():  # the servers last, so that what runs can still be written
                        self._stop_children()
        except EmbeddedError as error:
            fail(str(error))
        finally:
            self._stop_children()
            if self._told_scripts:
                dev_file(self._config.data_dir).unlink(missing_ok=True)

    @contextmanager
    def _servers(self) -> Iterator[Callable[[], str | None]]:
        """PostgreSQL and Valkey: those of the environment, else our own, at the ports that they had before.

        Gives what tells of one that has ended by itself.
        """
        if not self._own_servers:
            with opened(self._config.data_dir):
                self._use({})
                yield lambda: None
            return
        postgres_port, redis_port = urlsplit(self._config.database_url).port, urlsplit(self._config.redis_url).port
        with running(self._config.data_dir, postgres_port=postgres_port, redis_port=redis_port) as services:
            self._app_database_url = services.app_database_url
            urls = {"database_url": services.database_url, "redis_url": services.redis_url}
            self._use(urls | {"database_role": APP_USER})
            yield services.ended

    def _use(self, servers: dict[str, str]) -> None:
        """Take these servers, and a secret to sign tokens: the environment's, else one that is kept in the folder."""
        config = self._config.model_copy(update=servers)
        if not config.jwt_secret.get_secret_value():
            file = config.data_dir / "jwt_secret"
            if not file.exists():
                _write_private(file, secrets.token_urlsafe(48).encode())
            config = config.model_copy(update={"jwt_secret": SecretStr(file.read_text().strip())})
        self._config = config

    def _begin(self) -> None:
        """Start the gateway; migrate and seed while it loads; start the worker; say where everything is."""
        dev_file(self._config.data_dir).unlink(missing_ok=True)  # of a run that was killed
        self._children.append(self._start("gateway"))
        from engage.cli.preparing import prepare  # noqa: PLC0415 -- loads the ORM, beside the gateway

        tokens = prepare(self._config)
        self._children.append(self._start("worker"))
        url = f"http://{self._config.host}:{self._config.port}"
        if self._is_ready(url):
            self._told_scripts = True
            _tell_scripts(self._config, self._app_database_url, url, tokens)
            _tell_people(self._config, url, tokens, time.monotonic() - self._began)

    def _start(self, name: str) -> Child:
        config = self._config
        environment = os.environ | {
            "ENGAGE_DATABASE_URL": self._app_database_url,
            "ENGAGE_REDIS_URL": config.redis_url,
            "ENGAGE_JWT_SECRET": config.jwt_secret.get_secret_value(),
            "ENGAGE_HOST": config.host,
            "ENGAGE_PORT": str(config.port),
            "ENGAGE_DEVELOPMENT": "true",
            "ENGAGE_METRICS_PORT": "0",  # two processes on one machine cannot share it
            "PYTHONUNBUFFERED": "1",
        }
        environment.setdefault("ENGAGE_WEBHOOK_PRIVATE_ADDRESSES", "true")  # receivers are tried on this machine
        command = {"gateway": "serve", "worker": "worker"}[name]
        log = config.data_dir / f"{name}.log"
        return start(name, [sys.executable, "-m", "engage.cli", command], env=environment, log=log)

    def _is_ready(self, url: str) -> bool:
        """Wait for the gateway; False when asked to stop meanwhile."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._asked.wait(READY_POLL_S):
            for child in self._children:
                if child.exit_code is not None:
                    fail(f"The {child.name} ended while starting; {self._log_of(child)} says why.")
            try:
                with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310 -- our own address
                    return True
            except (urllib.error.URLError, OSError):
                if time.monotonic() > deadline:
                    log = self._log_of(self._children[0])
                    fail(f"The gateway was not ready within {READY_TIMEOUT_S:.0f} s; {log} says why.")
        return False

    def _watch(self, ended: Callable[[], str | None]) -> None:
        """Keep gateway and worker running until asked to stop, or until a server has ended."""
        while not self._asked.wait(WATCH_S):
            crashed = ended()
            if crashed:
                self._count_end("server", crashed)
                tell(f"{crashed} Starting again.")
                return
            for index, child in enumerate(self._children):
                if child.exit_code is not None:
                    self._count_end(child.name, f"{self._log_of(child)} says why.")
                    tell(f"The {child.name} ended by itself. Starting it again.")
                    self._asked.wait(RESTART_PAUSE_S)
                    self._children[index] = self._start(child.name)

    def _count_end(self, name: str, why: str) -> None:
        """Give up on what keeps ending."""
        ends, now = self._ends[name], time.monotonic()
        ends.append(now)
        if len(ends) == ENDS_MAX and now - ends[0] < ENDS_S:
            fail(f"The {name} ended {ENDS_MAX} times within {ENDS_S:.0f} s. {why}")

    def _stop_children(self) -> None:
        stop(*reversed(self._children))
        self._children.clear()

    def _log_of(self, child: Child) -> Path:
        return self._config.data_dir / f"{child.name}.log"


def _write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner reads; whole or not at all."""
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    draft.replace(file)


def _tell_scripts(config: Settings, app_database_url: str, url: str, tokens: dict[str, str]) -> None:
    content = {
        "url": f"{url}/graphql",
        "ws_url": f"{url.replace('http', 'ws', 1)}/graphql",
        "database_url": config.database_url,
        "database_role": config.database_role,
        "app_database_url": app_database_url,
        "redis_url": config.redis_url,
        "jwt_secret": config.jwt_secret.get_secret_value(),
        "tokens": tokens,
    }
    _write_private(dev_file(config.data_dir), orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _tell_people(config: Settings, url: str, tokens: dict[str, str], seconds: float) -> None:
    folder = escape(str(config.data_dir))
    lines = [
        f"[bold green]engage is ready[/] after {seconds:.1f} s.\n",
        f"  GraphiQL    {url}/graphql",
        f"  Websocket   {url.replace('http', 'ws', 1)}/graphql  (graphql-transport-ws)",
        f"  Health      {url}/readyz",
        f"  For scripts {folder}{os.sep}dev.json",
        f"  Logs        {folder}{os.sep}gateway.log, worker.log\n",
        "  Tokens, for the header Authorization: Bearer TOKEN",
        *(f"\n  [bold]{role}[/]\n{token}" for role, token in tokens.items()),
        "\nCtrl-C stops it all.",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
