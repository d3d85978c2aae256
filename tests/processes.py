"""Questions to processes that may end while they are asked, as PostgreSQL's processes for connections do."""

import contextlib
from collections.abc import Sequence

import psutil


def command_of(process: psutil.Process) -> list[str]:
    """Return its command line, empty where it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def all_ended(processes: Sequence[psutil.Process]) -> bool:
    """Whether none of these runs any more."""
    return not any(_runs(one) for one in processes)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # also between the two questions
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
