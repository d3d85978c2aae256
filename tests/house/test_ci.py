"""`.ci/run` and the script that sees to it that a run leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.house.repository import ROOT

RUN = ROOT / ".ci" / "run"
LEAVE_NOTHING = [sys.executable, str(ROOT / ".ci" / "leave_nothing.py"), "--grace", "0.2"]

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux alone")


def run_alone(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LEAVE_NOTHING, "bash", "-c", command], check=False, capture_output=True, text=True, timeout=60
    )


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_run_can_be_started_and_runs_both_commands_at_once() -> None:
    assert os.access(RUN, os.X_OK)
    subprocess.run(["bash", "-n", str(RUN)], check=True)
    assert re.search(r" make( --\S+)* test check ", RUN.read_text())


@pytest.mark.parametrize("code", [0, 7])
def test_exits_as_its_command_does(code: int) -> None:
    done = run_alone(f"echo out; echo err >&2; exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "out\n", "err\n")


@linux_only
def test_a_daemon_left_behind_is_named_ended_and_fails_the_run() -> None:
    done = run_alone("setsid sleep 600 >/dev/null 2>&1 & echo $!")
    assert done.returncode == 1
    assert "Left behind by the run: " in done.stderr
    assert "sleep 600" in done.stderr
    assert ended(int(done.stdout))


@linux_only
def test_what_ends_by_itself_soon_is_no_failure(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    # The orphan ends as soon as the writer, which is one too, has written.
    done = run_alone(f"(cat {gate} >/dev/null &) ; (echo go > {gate} &) ; exit 0")
    assert (done.returncode, done.stderr) == (0, "")


@linux_only
def test_a_signal_reaches_the_command() -> None:
    with subprocess.Popen([*LEAVE_NOTHING, "sleep", "600"], stderr=subprocess.PIPE, text=True) as started:
        process = psutil.Process(started.pid)
        while not process.children():
            assert started.poll() is None
        started.send_signal(signal.SIGTERM)
        assert started.wait(timeout=60) == 128 + signal.SIGTERM
