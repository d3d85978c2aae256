"""The door: both servers, from the folder's lock to their end."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engage.embedded import errors, identity, ports, postgres, process, valkey, wheels
from engage.embedded.folder import Folder, opened, telling_sentences
from engage.embedded.process import RunAs
from engage.embedded.server import Server, wait_until_ready
from engage.embedded.wheels import Binaries

PORT_TRIES: Final = 5


@dataclass(frozen=True)
class Services:
    """Two running servers. The URLs hold passwords: hand them on by environment or file, never by argument.

    `database_url` is for the owner of the database, `app_database_url` for a role that owns nothing.
    """

    database_url: str = field(repr=False)
    app_database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    postgres_pid: int
    valkey_pid: int
    servers: tuple[Server, Server] = field(repr=False)

    def ended(self) -> str | None:
        """Return a sentence about a server that has ended by itself, or None while both run."""
        for server in self.servers:
            if server.child.exit_code is not None:
                return (
                    f"{server.child.name} ended by itself (exit code {server.child.exit_code})."
                    f" It said, in {server.log}:\n{server.last_words()}"
                )
        return None


@contextlib.contextmanager
def running(
    data_dir: Path,
    *,
    postgres_port: int | None = None,
    redis_port: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Services]:
    """Run PostgreSQL and Valkey on `data_dir` for as long as the block lasts. Blocks until both accept commands.

    The folder is made if need be. Ports: those given, else the last ones, else free ones. `settings` are
    PostgreSQL's, by name, over engage's own. Servers do not get the terminal's Ctrl-C: they end with the block,
    after up to 15 s with SIGKILL, or, whatever becomes of this process, with it.

    Raises EmbeddedError, one subclass for each thing that can be in the way (see `errors`).
    """
    binaries = wheels.installed()
    with opened(data_dir) as folder, contextlib.ExitStack() as stack:
        run_as, major = identity.choose(folder, binaries)
        postgres.check_version(folder, major)
        for attempt in range(1, PORT_TRIES + 1):
            pg_port = ports.choose(folder, postgres.NAME, postgres_port, anew=attempt > 1)
            vk_port = ports.choose(folder, valkey.NAME, redis_port, anew=attempt > 1)
            try:
                servers = stack.enter_context(_started(folder, binaries, run_as, pg_port, vk_port, settings or {}))
                break
            except errors.PortUnavailable:  # somebody was quicker
                if attempt == PORT_TRIES:
                    raise
        with telling_sentences(folder.path):
            ports.remember(folder, {postgres.NAME: pg_port, valkey.NAME: vk_port})
        password = folder.password()
        yield Services(
            database_url=postgres.url(pg_port, password),
            app_database_url=postgres.url(pg_port, folder.app_password(), postgres.APP_USER),
            redis_url=valkey.url(vk_port, password),
            postgres_pid=servers[0].child.pid,
            valkey_pid=servers[1].child.pid,
            servers=servers,
        )


@contextlib.contextmanager
def _started(
    folder: Folder, binaries: Binaries, run_as: RunAs, pg_port: int, vk_port: int, settings: Mapping[str, str]
) -> Iterator[tuple[Server, Server]]:
    """Start both at once, wait for both, and stop both at the end."""
    with telling_sentences(folder.path):
        password = folder.password()
        valkey.configure(folder, vk_port, password)
        identity.give_folder(folder, run_as)
    servers: list[Server] = []
    try:
        servers.append(valkey.start_server(folder, binaries, run_as, vk_port, password))
        postgres.make_data(folder, binaries, run_as)  # meanwhile Valkey reads its data
        servers.append(postgres.start_server(folder, binaries, run_as, pg_port, settings))
        wait_until_ready(folder, servers)
        yield servers[1], servers[0]
    finally:
        process.stop(*(server.child for server in servers))
