"""A started server: is it ready, has it ended, and what were its last words."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engage.embedded import errors, ports
from engage.embedded.folder import Folder
from engage.embedded.process import Child

READY_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.005
_LINES: Final = 10
_TAIL_BYTES: Final = 8192


@dataclass(frozen=True)
class Server:
    """A server that has been started; `log_from` is where in its log this start begins."""

    child: Child
    port: int
    log: Path
    log_from: int
    ready: Callable[[], bool] = field(repr=False)
    advice: str

    def last_words(self) -> str:
        """Return the last lines that this start has written."""
        with self.log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(end - _TAIL_BYTES, self.log_from))
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_LINES:])


def log_end(log: Path) -> int:
    """Return where the next line of a log will be."""
    return log.stat().st_size if log.exists() else 0


def wait_until_ready(folder: Folder, servers: Sequence[Server], timeout_s: float = READY_TIMEOUT_S) -> None:
    """Return once all accept commands.

    Raises ServerFailed, DiskFull, PortUnavailable.
    """
    deadline = time.monotonic() + timeout_s
    waiting = list(servers)
    while waiting:
        for server in waiting:
            if server.child.exit_code is not None:
                raise _why_it_ended(folder, server)
        waiting = [server for server in waiting if not server.ready()]
        if waiting and time.monotonic() > deadline:
            raise errors.ServerFailed(
                f"{waiting[0].child.name} is not ready after {timeout_s:.0f} s. After a crash with much data it may"
                f" need longer: start again, and it goes on.{_said(waiting[0])}"
            )
        time.sleep(_POLL_S if waiting else 0)


def _why_it_ended(folder: Folder, server: Server) -> errors.EmbeddedError:
    words = server.last_words()
    if "Address already in use" in words:
        return ports.unavailable(server.child.name, server.port, "is taken by another program")
    return folder.disk_full(words) or errors.ServerFailed(
        f"{server.child.name} ended while starting (exit code {server.child.exit_code})."
        f" {server.advice}{_said(server)}"
    )


def _said(server: Server) -> str:
    return f" It said, in {server.log}:\n{server.last_words()}"
