"""The parts one by one, where the whole cannot be brought into the state in question."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from engage.embedded import (
    FolderInUse,
    PortUnavailable,
    ServerFailed,
    identity,
    ports,
    postgres,
    process,
    running,
    valkey,
    wheels,
)
from engage.embedded.folder import Folder, opened
from engage.embedded.server import Server, wait_until_ready

from .clients import sql
from .conftest import FAST, until


@dataclass
class Parts:
    folder: Folder
    binaries: wheels.Binaries
    run_as: process.RunAs

    def postgres(self, port: int) -> Server:
        return postgres.start_server(self.folder, self.binaries, self.run_as, port, FAST)

    def valkey(self, port: int) -> Server:
        password = self.folder.password()
        valkey.configure(self.folder, port, password)
        return valkey.start_server(self.folder, self.binaries, self.run_as, port, password)


@contextlib.contextmanager
def parts_of(data_dir: Path) -> Iterator[Parts]:
    binaries = wheels.installed()
    with opened(data_dir) as folder:
        run_as, _ = identity.choose(folder, binaries)
        yield Parts(folder, binaries, run_as)


async def test_a_server_left_over_is_stopped_before_the_next_starts(made_dir: Path) -> None:
    """As on macOS, where no kernel ends the servers of a killed parent."""
    with parts_of(made_dir) as parts:
        left = [
            parts.postgres(ports.choose(parts.folder, postgres.NAME, None)),
            parts.valkey(ports.choose(parts.folder, valkey.NAME, None)),
        ]
        wait_until_ready(parts.folder, left)
    with running(made_dir, settings=FAST) as services:
        assert [server.child.exit_code for server in left] == [0, 0]
        assert await sql(services.database_url, "SELECT 1") == 1


def test_a_server_started_by_hand_is_left_alone(made_dir: Path) -> None:
    with parts_of(made_dir) as parts:
        port = ports.choose(parts.folder, postgres.NAME, None)
        command: list[str | Path] = [parts.binaries.postgres, "-D", parts.folder.postgres, "-p", str(port), "-k", ""]
        log = parts.folder.postgres_log
        by_hand = process.start("by hand", command, log=log, run_as=parts.run_as, cwd=made_dir)
    try:
        pid_file = made_dir / "postgres" / "postmaster.pid"
        until(lambda: pid_file.exists() and "ready" in pid_file.read_text(), "the server is ready")
        with (
            pytest.raises(FolderInUse, match=rf"engage did not start, process {by_hand.pid}, works on"),
            running(made_dir),
        ):
            pass
        assert by_hand.exit_code is None
    finally:
        process.stop(by_hand)


@pytest.mark.parametrize("name", [postgres.NAME, valkey.NAME])
def test_a_port_taken_in_the_last_moment_is_told_as_such(made_dir: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, parts_of(made_dir) as parts:
        port = taken.getsockname()[1]
        server = parts.postgres(port) if name == postgres.NAME else parts.valkey(port)
        with pytest.raises(PortUnavailable, match=rf"Port {port} on 127\.0\.0\.1, wanted for {name}, is taken"):
            wait_until_ready(parts.folder, [server])
        ports.remember(parts.folder, {name: port})
        assert ports.choose(parts.folder, name, None) != port


def test_a_server_that_takes_too_long_is_told_as_such(made_dir: Path) -> None:
    with parts_of(made_dir) as parts:
        server = parts.postgres(ports.choose(parts.folder, postgres.NAME, None))
        with pytest.raises(ServerFailed, match=r"PostgreSQL is not ready after 0 s\..*start again"):
            wait_until_ready(parts.folder, [server], timeout_s=0)
        process.stop(server.child)
        assert not psutil.pid_exists(server.child.pid)
