"""The data folder: what is in it, who may use it, and whether it is one of ours.

    format          version of this layout
    lock            locked by the engage process that uses the folder; holds its pid
    servers.lock    locked for as long as a server, or any process that a server started, lives
    password        of PostgreSQL's owner and of Valkey, random, readable by the owner of the file alone
    app_password    of PostgreSQL's other role, likewise; present means that the role is there
    ports.json      the last ports, so that addresses stay the same from start to start
    postgres/       PostgreSQL's data; present means complete (made as postgres.new, then renamed)
    valkey/         Valkey's data and configuration
    *.log           what the servers say; a large one becomes *.log.1 at the next start

Two locks, because a folder outlives its process by the moment that the servers need to end when that process
was killed: `lock` says that another process works here, `servers.lock` that we only need to wait.
"""

import contextlib
import errno
import fcntl
import glob
import os
import pwd
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engage.embedded import errors
from engage.embedded.process import command_of

LAYOUT: Final = 1
LEFTOVER_PATIENCE_S: Final = 20.0
_KILL_PATIENCE_S: Final = 5.0
_POLL_S: Final = 0.01
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
# A server that ends without a word, since its log is on the same full disk, is judged by the space left:
# with less than this it could not have said why.
_BYTES_TO_SPEAK: Final = 1024 * 1024


@dataclass(frozen=True)
class Folder:
    """An opened data folder. `servers_lock` is the descriptor that every server inherits."""

    path: Path
    servers_lock: int

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data; present means complete."""
        return self.path / "postgres"

    @property
    def postgres_unfinished(self) -> Path:
        """Where PostgreSQL's data are made."""
        return self.path / "postgres.new"

    @property
    def postgres_log(self) -> Path:
        """What PostgreSQL says."""
        return self.path / "postgres.log"

    @property
    def valkey(self) -> Path:
        """Valkey's data and configuration."""
        return self.path / "valkey"

    @property
    def valkey_log(self) -> Path:
        """What Valkey says."""
        return self.path / "valkey.log"

    @property
    def password_file(self) -> Path:
        """One line: the password of PostgreSQL's owner and of Valkey."""
        return self.path / "password"

    @property
    def app_password_file(self) -> Path:
        """One line: the password of the role that owns nothing; written once that is made."""
        return self.path / "app_password"

    @property
    def ports_file(self) -> Path:
        """The last ports."""
        return self.path / "ports.json"

    def password(self) -> str:
        """Return the folder's password; a new folder gets a random one."""
        if not self.password_file.exists():
            if self.postgres.exists():
                raise errors.FolderDamaged(
                    f"{self.password_file} is missing, and without it nobody can enter the database in {self.path}."
                    " Put the file back, or choose another folder, or remove this one to begin anew."
                )
            write(self.password_file, secrets.token_urlsafe(32))
        return self.password_file.read_text(encoding="ascii").strip()

    def app_password(self) -> str:
        """Return the password of the role that owns nothing."""
        return self.app_password_file.read_text(encoding="ascii").strip()

    def give_to(self, uid: int, gid: int) -> None:
        """Make the folder and all in it belong to the user as whom the servers run. Needs root."""
        for place, folders, files in os.walk(self.path):
            for name in (".", *folders, *files):
                entry = os.path.join(place, name)  # noqa: PTH118  # thousands of files; strings are quicker
                if os.lstat(entry).st_uid != uid:
                    os.lchown(entry, uid, gid)

    def disk_full(self, complaint: str) -> errors.DiskFull | None:
        """Return the error for a server's last words if they, or the free space, say that the disk is full."""
        free = shutil.disk_usage(self.path).free
        said = any(os.strerror(number) in complaint for number in _FULL)
        return _disk_full(self.path) if said or free < _BYTES_TO_SPEAK else None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Make the folder if need be, check that it is ours, and keep it locked until the block ends.

    Raises FolderInUse, FolderNotWritable, FolderForeign, FolderDamaged, LayoutNewer, DiskFull.
    """
    path = path.resolve()  # one name, since the servers' command lines are compared with it
    with contextlib.ExitStack() as stack:
        with telling_sentences(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_foreign(path)
            path.chmod(0o700)
            _lock_for_this_process(path, _open_lock(path / "lock", stack))
            _check_layout(path)
            servers_lock = _open_lock(path / "servers.lock", stack)
            _wait_for_leftovers(path, servers_lock)
        yield Folder(path, servers_lock)


@contextlib.contextmanager
def telling_sentences(path: Path) -> Iterator[None]:
    """Turn what the operating system says about the folder into a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _disk_full(path) from error
        if error.filename is None:  # not about a file, so not about the folder
            raise
        if isinstance(error, NotADirectoryError | FileExistsError):
            reason = f"{error.filename} is not a folder"
        else:
            reason = f"{error.strerror}: {error.filename}{_owner_of(path)}"
        raise errors.FolderNotWritable(
            f"The data folder {path} cannot be written ({reason})."
            " Choose another with --data-dir, or give this one to the user who starts engage."
        ) from error


def write(path: Path, text: str) -> None:
    """Replace a file as a whole; readable by the owner alone."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _refuse_foreign(path: Path) -> None:
    """Somebody's home directory must not become a data folder by a slip of the keyboard."""
    begun = {"lock", "format.new"}  # a first start that was interrupted leaves no more than these
    names = {entry.name for entry in path.iterdir()}
    if "format" not in names and not names <= begun:
        raise errors.FolderForeign(
            f"{path} is not empty and was not made by engage. Choose an empty or a new folder with --data-dir."
        )


def _open_lock(path: Path, stack: contextlib.ExitStack) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_for_this_process(path: Path, lock: int) -> None:
    if not _locked(lock):
        pid = os.pread(lock, 20, 0).decode("ascii", errors="replace").strip()
        raise errors.FolderInUse(
            f"The data folder {path} is in use by process {pid or 'of unknown number'}."
            " Stop that process, or choose another folder with --data-dir."
        )
    # Same length each time, in place: once the file is there, this needs no space on the disk.
    os.pwrite(lock, f"{os.getpid():<10}\n".encode(), 0)


def _check_layout(path: Path) -> None:
    file = path / "format"
    if not file.exists():
        write(file, str(LAYOUT))
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    if not text.isdecimal():
        raise errors.FolderDamaged(
            f"{file} should hold the version of the folder's layout, a number, and does not."
            f" Write {LAYOUT} into it if you know that this engage made the folder, or choose another folder."
        )
    if int(text) > LAYOUT:
        raise errors.LayoutNewer(
            f"The data folder {path} has layout {text}, made by a newer engage; this one knows layout {LAYOUT}."
            " Upgrade engage, or choose another folder with --data-dir, or remove this one to begin anew."
        )


def _wait_for_leftovers(path: Path, servers_lock: int) -> None:
    """Wait until the servers of a killed process have ended; ask them to, and in the end make them."""
    for sent, patience_s in ((None, LEFTOVER_PATIENCE_S), (signal.SIGKILL, _KILL_PATIENCE_S)):
        if _locked(servers_lock):
            return
        _signal_leftovers(path, sent)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if _locked(servers_lock):
                return
            time.sleep(_POLL_S)
    raise errors.FolderInUse(
        f"Servers that an earlier engage started on the data folder {path} do not end."
        f" Stop them by hand (their command lines name the folder), or choose another folder with --data-dir."
    )


def _signal_leftovers(path: Path, sent: signal.Signals | None) -> None:
    """Signal the servers that the folder's pid files name, if their command line says that they are ours.

    On Linux the kernel has already asked them to end; elsewhere this is what ends them.
    """
    for file, ask in (("postgres/postmaster.pid", signal.SIGINT), ("valkey/valkey.pid", signal.SIGTERM)):
        pid = pid_in(path / file)
        if pid is not None and any(f"{name}/" in command_of(pid) for name in (path, glob.escape(str(path)))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent or ask)


def pid_in(file: Path) -> int | None:
    """Return the number in the first line of a server's pid file, if there is one."""
    try:
        first = file.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdecimal() else None


def _disk_full(path: Path) -> errors.DiskFull:
    free = shutil.disk_usage(_nearest_existing(path)).free
    return errors.DiskFull(
        f"No space is left for the data folder {path} ({free:,} bytes are free)."
        " Free some space there, or choose a folder on another disk with --data-dir."
    )


def _nearest_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _owner_of(path: Path) -> str:
    """Name the owner when it is somebody else, the usual case after a start with sudo."""
    try:
        uid = _nearest_existing(path).stat().st_uid
    except OSError:
        return ""
    if uid == os.geteuid():
        return ""
    try:
        return f", which belongs to {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f", which belongs to user number {uid}"
