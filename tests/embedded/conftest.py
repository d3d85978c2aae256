import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from engage.embedded import running

# A test's data need not outlive the machine's power, but they do outlive SIGKILL.
FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB"}
DEADLINE_S = 30.0
ROOM_BYTES = 1024**3
HOLDER = Path(__file__).with_name("holder.py")


class Holder:
    """A process that runs `holder.py`, in a session of its own as a terminal's job would be."""

    def __init__(self, data_dir: Path, before: Sequence[str], settings: dict[str, str]) -> None:
        words = [f"{name}={value}" for name, value in settings.items()]
        self.process = subprocess.Popen(
            [*before, sys.executable, str(HOLDER), str(data_dir), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def says(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], DEADLINE_S)[0]:
            pytest.fail(f"the holder says nothing within {DEADLINE_S:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            pytest.fail(f"the holder ended without a word: {self.process.stderr.read()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def finish(self) -> int:
        """End its input, so that it stops its servers; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            try:
                self.finish()
            except subprocess.TimeoutExpired:
                self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class HoldFunction(Protocol):
    def __call__(
        self, data_dir: Path, *, before: Sequence[str] = (), settings: dict[str, str] | None = None
    ) -> Holder: ...


@pytest.fixture
def hold() -> Iterator[HoldFunction]:
    holders: list[Holder] = []

    def start(data_dir: Path, *, before: Sequence[str] = (), settings: dict[str, str] | None = None) -> Holder:
        holders.append(Holder(data_dir, before, FAST if settings is None else settings))
        return holders[-1]

    yield start
    for holder in holders:
        holder.close()


@contextlib.contextmanager
def quick_folder() -> Iterator[Path]:
    """Make a folder that is removed afterwards: in memory if there is room, since each test's data take 50 MB."""
    memory = Path("/dev/shm")  # noqa: S108  # a private folder is made in it
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES
    place = memory if roomy else None
    with tempfile.TemporaryDirectory(dir=place, prefix="engage-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder that is not there yet."""
    with quick_folder() as folder:
        yield folder / "data"


@pytest.fixture(scope="session")
def made_dir() -> Iterator[Path]:
    """A folder in which servers have run before. Tests share it, one after the other: leave it fit for a start."""
    with quick_folder() as folder:
        with running(folder / "data", settings=FAST):
            pass
        yield folder / "data"


@pytest.fixture
def spoilable_dir(made_dir: Path, data_dir: Path) -> Path:
    """A copy of `made_dir` to spoil; of PostgreSQL's data only what is looked at before the server starts."""
    shutil.copytree(made_dir, data_dir, ignore=shutil.ignore_patterns("base", "global", "pg_*"))
    return data_dir


def until(holds: Callable[[], object], what: str) -> None:
    """Poll until something holds; fail after a deadline that only a broken program reaches."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {DEADLINE_S:.0f} s: {what}")
        time.sleep(0.005)
