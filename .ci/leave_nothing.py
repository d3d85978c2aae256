#!/usr/bin/env python3
"""Run a command; afterwards end, name and report as a failure every process that it left behind.

`leave_nothing.py [--grace SECONDS] COMMAND [ARGUMENT …]` exits as the command does, or with 1 where the command
passed but something outlived it for longer than the grace. Linux hands orphans to this process (a child subreaper),
so that a daemon cannot slip away with setsid or a double fork. Elsewhere the command runs unwatched.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Ask Linux to give this process the descendants whose parents have ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> dict[int, str]:
    """Living processes below this one: pid and command line."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name in parentheses may hold anything; state and parent follow the last one.
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it ended meanwhile
        if state != "Z":
            parents[int(folder.name)] = int(parent)
    found: dict[int, str] = {}
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid() != pid:
            found[pid] = command_line(pid)
    return found


def command_line(pid: int) -> str:
    """What the process was started as, for the report."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "(ended)"


def bury() -> None:
    """Collect the exit codes of adopted processes that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def wait_for_quiet(grace_s: float) -> dict[int, str]:
    """Give what is shutting down its time; answer with what is still there."""
    deadline = time.monotonic() + grace_s
    while True:
        bury()
        left = descendants()
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def end(left: dict[int, str]) -> None:
    """Kill what is left and what that had started meanwhile."""
    while left:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
        bury()
        left = descendants()


def main() -> int:
    """Run the command and answer with the exit code for the shell."""
    parser = argparse.ArgumentParser(description="Run a command and report what it leaves behind as a failure.")
    parser.add_argument("--grace", type=float, default=5.0, help="seconds that may pass until all has ended (5)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    adopt_orphans()
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if started:
            started[0].send_signal(number)
        else:
            early.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    with subprocess.Popen(arguments.command, stdin=subprocess.DEVNULL) as child:  # noqa: S603 - the caller's own
        started.append(child)
        for missed in early:
            child.send_signal(missed)
        code = child.wait()
    left = wait_for_quiet(arguments.grace)
    for pid, name in left.items():
        print(f"Left behind by the run: {pid} {name}", file=sys.stderr)  # noqa: T201 - a script's report
    end(left)
    if code < 0:
        return 128 - code
    return code or int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
