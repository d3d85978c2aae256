"""Ports on 127.0.0.1: the one asked for, else the last one, else any that is free."""

import errno
import json
import socket
from typing import Final

from engage.embedded import errors
from engage.embedded.folder import Folder, write

HOST: Final = "127.0.0.1"
_HIGHEST: Final = 65_535


def choose(folder: Folder, server: str, wanted: int | None, *, anew: bool = False) -> int:
    """Return a port that is free now for `server`; `anew` forgets the last one.

    Raises PortUnavailable if `wanted` cannot be had. Another program may still take the port before the
    server does; then the server says so, and the caller chooses anew.
    """
    if wanted is not None:
        reason = _why_not(wanted)
        if reason:
            raise unavailable(server, wanted, reason)
        return wanted
    last = _remembered(folder).get(server)
    if last is not None and not anew and not _why_not(last):
        return last
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def remember(folder: Folder, ports: dict[str, int]) -> None:
    """Keep the ports for the next start."""
    if _remembered(folder) != ports:
        write(folder.ports_file, json.dumps(ports))


def unavailable(server: str, port: int, reason: str) -> errors.PortUnavailable:
    """Return the error that says which port is not to be had, why, and what to do."""
    return errors.PortUnavailable(
        f"Port {port} on {HOST}, wanted for {server}, {reason}."
        " Choose another port, or name none: then engage takes a free one."
    )


def _remembered(folder: Folder) -> dict[str, int]:
    """Return the last ports; what cannot be read is as good as none, for any free port will do."""
    try:
        ports = json.loads(folder.ports_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(ports, dict):
        return {}
    return {name: port for name, port in ports.items() if isinstance(port, int)}


def _why_not(port: int) -> str:
    """Return why the port cannot be had, or an empty string."""
    if not 0 < port <= _HIGHEST:
        return f"is not a port (1 to {_HIGHEST:,})"
    with socket.socket() as probe:
        # As the servers do: connections of an earlier server that are still winding down do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return "may not be opened by this user"
        except OSError as error:
            return "is taken by another program" if error.errno == errno.EADDRINUSE else f"fails: {error.strerror}"
    return ""
