"""Children that die with this process: start any command, run one to its end, stop several at once.

Each child has a session of its own, so the terminal's Ctrl-C reaches only this process, which then stops its
children in the order that it wants. On Linux the kernel signals the children when this process ends, even by
SIGKILL. The kernel ties that to the *thread* that started the child; therefore one thread, which lives as long
as the process, starts them all, whichever thread asks.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal

LAUNCHER: Final = Path(__file__).with_name("launch.py")
LOG_BYTES_MAX: Final = 4 * 1024 * 1024
INTERRUPTED_PATIENCE_S: Final = 5.0
KILL_PATIENCE_S: Final = 5.0

# What a server needs of the environment. The rest stays out: it may hold secrets, and settings meant for
# PostgreSQL's clients (PGDATA, PGOPTIONS …) or a language would change what the servers do and say.
_ENVIRONMENT_KEPT: Final = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")

_starter: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="child-starter")


@dataclass(frozen=True)
class RunAs:
    """As whom a child runs: `same` as the caller, `map`ped to or having `become` uid and gid (see `launch`)."""

    how: Literal["same", "map", "become"] = "same"
    uid: int = -1
    gid: int = -1


SAME_USER: Final = RunAs()


@dataclass(frozen=True)
class Child:
    """A started process. `stop_signal` asks it to end, both when we stop it and when this process dies."""

    name: str
    stop_signal: signal.Signals
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        """Process id; also the id of its session and process group."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative is the number of the signal that ended it."""
        return self.process.poll()


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    run_as: RunAs = SAME_USER,
    keep_open: Sequence[int] = (),
) -> Child:
    """Start `command` as a child of this process and return at once.

    Standard output and error go to the end of `log`, else to where this process's go; there is no standard
    input. `env` replaces the environment. `keep_open` are file descriptors that the child inherits. A command
    that cannot be run ends at once with exit code 1, having said why in the log.
    """
    with contextlib.ExitStack() as stack:
        output: dict[str, Any] = {}
        if log is not None:
            output = {"stdout": stack.enter_context(_open_log(log)), "stderr": subprocess.STDOUT}
        process = _spawn(
            command,
            stop_signal,
            run_as,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            pass_fds=tuple(keep_open),
            **output,
        )
    return Child(name, stop_signal, process)


def run(
    command: Sequence[str | Path],
    *,
    stdin: str = "",
    cwd: Path | None = None,
    run_as: RunAs = SAME_USER,
    keep_open: Sequence[int] = (),
    timeout_s: float,
) -> tuple[int, str]:
    """Run `command` with the servers' environment to its end; its exit code and all that it printed.

    Raises subprocess.TimeoutExpired after `timeout_s`. Whatever interrupts the wait ends the command as well.
    """
    stop_signal = signal.SIGTERM
    process = _spawn(
        command,
        stop_signal,
        run_as,
        env=server_environment(),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=tuple(keep_open),
    )
    with process:
        try:
            printed, _ = process.communicate(stdin.encode(), timeout=timeout_s)
        except BaseException:
            _end_group(process, stop_signal, INTERRUPTED_PATIENCE_S)
            raise
    return process.returncode, printed.decode(errors="replace")


def stop(*children: Child, patience_s: float = 15.0) -> None:
    """Ask all to end at once, wait up to `patience_s` for all together, then SIGKILL what is left.

    What a child has started and not stopped, in its session, is left too. A Ctrl-C during the wait ends the
    patience; the KeyboardInterrupt goes on.
    """
    alive: list[Child] = []
    try:
        alive += [child for child in children if child.exit_code is None]
        for child in alive:
            child.process.send_signal(child.stop_signal)
        deadline = time.monotonic() + patience_s
        for child in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for child in alive:
            _kill_group(child.process)


def server_environment() -> dict[str, str]:
    """Return the small environment of a server: English messages (we read them), UTC, no secrets."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT_KEPT if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def command_of(pid: int) -> str:
    """Return the command line of a running process, or an empty string if there is none (any more)."""
    if not Path("/proc/self").exists():  # macOS
        return _command_by_ps(pid)
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return words.replace(b"\0", b" ").decode(errors="surrogateescape").strip()


def _command_by_ps(pid: int) -> str:
    answer = subprocess.run(  # noqa: S603  # a number is all that is put in
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


def _spawn(
    command: Sequence[str | Path],
    death_signal: signal.Signals,
    run_as: RunAs,
    **options: Any,  # noqa: ANN401
) -> subprocess.Popen[bytes]:
    user = (run_as.how, str(run_as.uid), str(run_as.gid))
    launcher = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), *user)
    words = [*launcher, *(str(word) for word in command)]

    def spawn() -> subprocess.Popen[bytes]:
        return subprocess.Popen(words, start_new_session=True, **options)  # noqa: S603  # callers name the command

    started = _starter.submit(spawn)
    try:
        return started.result()
    except BaseException:  # Ctrl-C while the other thread starts it: nobody else would ever stop the child
        if not started.cancel() and started.exception() is None:
            _kill_group(started.result())
        raise


def _end_group(process: subprocess.Popen[bytes], ask: signal.Signals, patience_s: float) -> None:
    """Ask a child and all in its session, so that its own children can tidy up too; then kill what is left."""
    if process.returncode is not None:
        return
    try:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, ask)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    finally:
        _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a child that has just been alive, with all that it started in its session; then reap it.

    Not for one that ended some time ago: its number may be another's by now.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILL_PATIENCE_S)


def _open_log(path: Path) -> IO[bytes]:
    """Open for appending, readable by the owner alone; a file that has grown large makes room first."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_name(path.name + ".1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb")
