"""The README's tour, typed into a terminal beside a real `engage dev`: block by block, in order.

sh          is run by a shell in the folder of `make dev`; `watch.py` goes on beside what follows
python      is written to watch.py
graphql     is sent to the gateway, as the admin whom the tour speaks of
json        is the answer to the block before
json again  is the answer to the last graphql block when it is sent once more
json frame  is the next line that watch.py prints
text        is what the block before prints
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.docs.blocks import Block, Values, blocks_of, same_text
from tests.house.repository import ROOT

README = ROOT / "README.md"
DEADLINE_S = 300.0
ADDRESS = "http://127.0.0.1:8000"
TOUR = blocks_of(README, "\n## Tour\n", "\n## ")


class Terminal:
    """The second terminal of a reader: the folder of `make dev`, and the programs that run in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.dev: dict[str, Any] = json.loads((folder / ".engage" / "dev.json").read_text())
        self.values = Values()
        self.said = ""
        self.query = ""
        self._environment = environment
        self._watching: subprocess.Popen[str] | None = None

    def take(self, block: Block) -> None:
        """Do what a block asks for, or compare what it expects."""
        kind, _, how = block.info.partition(" ")
        text = block.text
        if kind == "graphql":
            self.query = self.values.put_in(text)
            self.said = self._ask(self.query)
        elif kind == "sh":
            self._type(self.values.put_in(text).replace(ADDRESS, self.dev["url"].removesuffix("/graphql")))
        elif kind == "python":
            (self.folder / "watch.py").write_text(text)
        elif kind == "text":
            assert same_text(self.said, text), f"{block.where} was otherwise:\n{self.said}"
        elif kind == "json":
            said = {"": lambda: self.said, "again": lambda: self._ask(self.query), "frame": self._frame}[how]()
            answer = json.loads(said)
            answer.get("payload", answer).pop("extensions", None)  # the page leaves out what it cost, and says so
            wrong = self.values.differs(answer, json.loads(text))
            assert wrong is None, f"{block.where} was otherwise at {wrong}"
        else:
            raise AssertionError(f"{block.where}: nobody knows what to do with a block of {block.info}")

    def close(self) -> None:
        """Stop what runs on."""
        if self._watching is not None:
            self._watching.terminate()  # a shell in the background has its children ignore Ctrl-C
            self._watching.communicate(timeout=DEADLINE_S)
            self._watching = None

    def _ask(self, query: str) -> str:
        headers = {"Authorization": f"Bearer {self.dev['tokens']['admin']}"}
        answer = httpx.post(self.dev["url"], json={"query": query}, headers=headers, timeout=60, trust_env=False)
        return answer.text

    def _type(self, command: str) -> None:
        if "watch.py" in command:
            self.close()
            self._watching = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                cwd=self.folder, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            return
        done = subprocess.run(
            ["/bin/sh", "-ec", command],
            cwd=self.folder, env=self._environment, check=False, capture_output=True, text=True, timeout=DEADLINE_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{command} failed: {done.stderr}"
        self.said = done.stdout

    def _frame(self) -> str:
        assert self._watching is not None
        assert self._watching.stdout is not None
        line = self._watching.stdout.readline()
        if not line:
            _, errors = self._watching.communicate(timeout=DEADLINE_S)
            raise AssertionError(f"watch.py ended: {errors}")
        return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a clone after `make install`, as far as the tour uses it."""
    folder = tmp_path_factory.mktemp("tour")
    for one in (folder, folder.parent, folder.parent.parent):  # as root without namespaces the servers are `nobody`
        one.chmod(0o711)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "data").mkdir()
    shutil.copy(ROOT / "data" / "cdnow_purchases.csv.gz", folder / "data")
    return folder


@pytest.fixture(scope="module")
def terminal(folder: Path) -> Iterator[Terminal]:
    """`engage dev` runs, on servers of its own, and a second terminal is open."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGAGE_")}
    with (folder / "dev.out").open("w") as output:
        dev = subprocess.Popen(
            [sys.executable, "-m", "engage.cli", "dev", "--port", "0"],
            cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not (folder / ".engage" / "dev.json").exists():
            assert dev.poll() is None, (folder / "dev.out").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        opened = Terminal(folder, environment)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        if dev.poll() is None:
            children = psutil.Process(dev.pid).children(recursive=True)
            dev.send_signal(signal.SIGINT)
            dev.wait(timeout=60)
            assert psutil.wait_procs(children, timeout=30)[1] == []


def uses_curl(block: Block) -> bool:
    return block.info == "sh" and "curl" in block.text


def test_the_first_question(terminal: Terminal) -> None:
    """The only part that needs a program which is not there everywhere."""
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    first = next(nth for nth, block in enumerate(TOUR) if uses_curl(block))
    for block in TOUR[first : first + 2]:
        terminal.take(block)


def test_the_tour(terminal: Terminal) -> None:
    first = next(nth for nth, block in enumerate(TOUR) if uses_curl(block))
    rest = TOUR[:first] + TOUR[first + 2 :]
    assert {block.info for block in rest} == {"sh", "python", "graphql", "json", "json again", "json frame", "text"}
    for block in rest:
        terminal.take(block)


def test_the_script_is_short() -> None:
    [script] = [block for block in TOUR if block.info == "python"]
    assert len([line for line in script.text.splitlines() if line.strip()]) <= 15


def test_make_targets_exist() -> None:
    """The commands above the tour."""
    targets = (ROOT / "Makefile").read_text()
    for block in blocks_of(README):
        if block.info == "console":
            for line in block.text.splitlines():
                assert f"\n{line.removeprefix('$ make ').split()[0]}:" in targets
