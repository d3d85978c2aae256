"""Turns itself into another program whose life is tied to its parent's.

Run as a script between fork and the real command, because the alternative, Python code that `subprocess`
runs in the forked child, can deadlock in a parent with threads:

    python -I -S launch.py PARENT_PID SIGNAL USER UID GID COMMAND [ARGUMENT …]

PARENT_PID  the process that must be alive for COMMAND to be
SIGNAL      the number of the signal that COMMAND gets when that process ends, however it ends (Linux)
USER        `same`: as the caller · `map`: in a user namespace where the caller appears as UID and GID ·
            `become`: as UID and GID, which only root may ask for
"""

import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Take on the user, tie the life to the parent, and become the command."""
    parent, signal, user, uid, gid = int(arguments[0]), int(arguments[1]), *arguments[2:5]
    command = arguments[5:]
    try:
        if user == "map":
            _map_to(uid, gid)
        elif user == "become":
            os.setgroups([])
            os.setgid(int(gid))
            os.setuid(int(uid))
        if user != "same":
            os.chdir(os.getcwd())  # noqa: PTH109  # fails where the new user may not go
        # Only now: the kernel forgets the death signal when the user changes.
        _tie_to(parent, signal)
        os.execvp(command[0], command)  # noqa: S606  # no shell is wanted
    except OSError as error:
        sys.exit(f"engage: cannot start {command[0]} ({user} user): {error}")


def _map_to(uid: str, gid: str) -> None:
    """Appear as UID and GID while staying, to the rest of the machine, who we are, without root's powers."""
    caller_uid, caller_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespace refused")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {caller_uid} 1"),
        ("gid_map", f"{gid} {caller_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123  # pathlib loads slowly
            file.write(text)


def _tie_to(parent: int, signal: int) -> None:
    """Ask the kernel for SIGNAL at the parent's end; macOS has nothing like it."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal) != 0:
            raise OSError(ctypes.get_errno(), "prctl refused")
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
