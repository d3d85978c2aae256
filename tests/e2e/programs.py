"""`engage` as people run it: processes of their own, told apart by pid and never by name alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.processes import all_ended

DEADLINE_S = 90.0
"""No test waits longer than this for anything; only a broken program lets it."""

ENGAGE = [sys.executable, "-m", "engage.cli"]
WORDS = {
    "gateway": "engage.cli serve",
    "worker": "engage.cli worker",
    "postgres": "/postgres -D",
    "valkey": "/valkey-",
}


def environment(**more: str) -> dict[str, str]:
    """This process's, with no settings of engage but those given, and wide lines."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ENGAGE_")}
    return bare | {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"} | more


def engage(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*ENGAGE, *words],
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def assert_sentence(done: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    """It failed with a sentence that holds these words, and with nothing that only a developer could read."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    for word in words:
        assert word in said, said
    assert "Traceback" not in said
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def until(holds: Callable[[], object], what: str) -> None:
    """Poll until something holds; fail after the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {DEADLINE_S:.0f} s: {what}")
        time.sleep(0.02)


class Dev:
    """A running `engage dev`."""

    def __init__(self, folder: Path, *options: str, before: Sequence[str] = (), **settings: str) -> None:
        self.folder = folder
        self.output = folder.with_name(f"{folder.name}.{time.monotonic_ns()}.out")
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [*before, *ENGAGE, "dev", "--data-dir", str(folder), *(options or ("--port", "0"))],
                env=environment(**settings),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def info(self) -> dict[str, Any]:
        """What dev.json holds."""
        found: dict[str, Any] = json.loads((self.folder / "dev.json").read_text())
        return found

    def wait_until_ready(self) -> dict[str, Any]:
        """Until it says so; what dev.json holds then."""

        def told() -> bool:
            assert self.process.poll() is None, self.said
            return "Ctrl-C stops it all." in self.said

        until(told, f"`engage dev` is ready: {self.output}")
        return self.info

    def family(self) -> list[psutil.Process]:
        """All that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, name: str) -> psutil.Process | None:
        """The gateway, worker, postgres or valkey that it runs now."""
        for one in psutil.Process(self.process.pid).children():
            try:
                if WORDS[name] in " ".join(one.cmdline()) and one.status() != psutil.STATUS_ZOMBIE:
                    return one
            except psutil.Error:  # it has just ended
                continue
        return None

    def kill_child(self, name: str) -> int:
        """SIGKILL one, as the kernel does when memory is short; answers its pid."""
        found = self.child(name)
        assert found is not None, f"there is no {name}: {self.said}"
        found.kill()
        return found.pid

    def wait_for_another(self, name: str, killed: int) -> None:
        """Until it has been started again."""

        def other() -> bool:
            assert self.process.poll() is None, self.said
            found = self.child(name)
            return found is not None and found.pid != killed

        until(other, f"`engage dev` starts another {name}: {self.output}")

    def wait_for_api(self) -> None:
        """Until the gateway answers, with its database and Redis."""
        url = self.info["url"].replace("/graphql", "/readyz")

        def answers() -> bool:
            assert self.process.poll() is None, self.said
            try:
                answer = httpx.get(url, timeout=5, trust_env=False)
            except httpx.HTTPError:
                return False
            return answer.status_code == 200 and answer.json()["redis"] == "ok"

        until(answers, f"the API answers again: {self.output}")

    def ask(self, query: str, role: str = "", *, token: str = "", **variables: object) -> Any:
        """The data of an operation; fails where there are errors."""
        info = self.info
        headers = {"Authorization": f"Bearer {token or info['tokens'][role]}"}
        body = {"query": query, "variables": variables}
        answer = httpx.post(info["url"], json=body, headers=headers, timeout=30, trust_env=False).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        """For the end of a test, whatever has become of it."""
        if self.process.poll() is None:
            family = self.family()
            try:
                self.end()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            until(lambda: all_ended(family), "all that it started has ended")


@contextmanager
def dev_running(folder: Path, *options: str, before: Sequence[str] = (), **settings: str) -> Iterator[Dev]:
    """An `engage dev` that is ready, stopped when the block ends."""
    started = Dev(folder, *options, before=before, **settings)
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.close()
