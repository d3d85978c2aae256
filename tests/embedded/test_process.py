import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engage.embedded import process
from tests.processes import all_ended

from .conftest import DEADLINE_S, until

STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
below = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
print(below.pid, flush=True)
while True:
    signal.pause()
"""


def test_a_child_has_a_session_of_its_own_and_stops_when_asked(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    script = (
        "import signal, sys, time\n"
        "signal.signal(15, lambda *_: sys.exit(7))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(60)\n"
    )
    child = process.start("child", [sys.executable, "-c", script], log=log, env={"LC_ALL": "C"}, cwd=tmp_path)
    try:
        until(lambda: "up" in log.read_text(), "the child speaks")
        assert child.exit_code is None
        assert os.getsid(child.pid) == child.pid
        assert psutil.Process(child.pid).cwd() == str(tmp_path)
        assert psutil.Process(child.pid).environ() == {"LC_ALL": "C"}
    finally:
        process.stop(child)
    assert [child.exit_code] == [7]
    process.stop(child)  # once more does no harm
    assert [child.exit_code] == [7]


def test_a_stubborn_child_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    child = process.start("stubborn", [sys.executable, "-c", STUBBORN], log=log)
    until(lambda: log.read_text().endswith("\n"), "the child has a child")
    below = psutil.Process(int(log.read_text()))
    process.stop(child, patience_s=0.2)
    assert child.exit_code == -signal.SIGKILL
    until(lambda: all_ended([below]), "its child is gone too")


def test_ctrl_c_ends_the_patience(tmp_path: Path) -> None:
    script = (
        "import pathlib, signal, sys, time; from engage.embedded import process\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "log = pathlib.Path(sys.argv[1])\n"
        "child = process.start('stubborn', [sys.executable, '-c', sys.argv[2]], log=log)\n"
        "while not log.read_text().endswith('\\n'): time.sleep(0.005)\n"
        "print(child.pid, flush=True)\n"
        "process.stop(child, patience_s=600)\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "log"), STUBBORN]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as parent:
        assert parent.stdout is not None
        family = psutil.Process(int(parent.stdout.readline()))
        below = family.children()
        until(lambda: "asked" in (tmp_path / "log").read_text(), "it waits for the child")
        parent.send_signal(signal.SIGINT)
        _, said = parent.communicate(timeout=DEADLINE_S)
    assert said.strip().endswith("KeyboardInterrupt")
    until(lambda: all_ended([family, *below]), "the child and its child are gone")


def test_all_are_asked_before_any_is_waited_for(tmp_path: Path) -> None:
    """Each ends only when the other has been asked: one after the other would end in SIGKILL."""
    script = (
        "import pathlib, signal, sys, time\n"
        "def ask(*_):\n"
        "    pathlib.Path(sys.argv[1]).touch()\n"
        "    while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.005)\n"
        "    sys.exit(0)\n"
        "signal.signal(15, ask)\n"
        "print('up', flush=True)\n"
        "while True: signal.pause()\n"
    )
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    children = [
        process.start("child", [sys.executable, "-c", script, *names], log=log)
        for names, log in zip([(one, two), (two, one)], logs, strict=True)
    ]
    until(lambda: all(log.read_text() for log in logs), "both are up")
    process.stop(*children, patience_s=DEADLINE_S)
    assert [child.exit_code for child in children] == [0, 0]


def test_without_a_log_a_child_speaks_where_its_parent_does() -> None:
    script = (
        "import sys; from engage.embedded import process\n"
        "child = process.start('child', [sys.executable, '-c', 'print(\"hello\")'])\n"
        "child.process.wait(30)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "hello\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent has died")
def test_a_child_dies_with_a_killed_parent() -> None:
    script = (
        "import sys, time; from engage.embedded import process\n"
        "child = process.start('child', ['sleep', '600'])\n"
        "print(child.pid, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.name() == "sleep", "the child has become its command")
        parent.kill()
    until(lambda: all_ended([child]), "the child is gone")


def test_a_launcher_whose_parent_is_gone_starts_nothing(tmp_path: Path) -> None:
    words = [str(process.LAUNCHER), "1", "15", "same", "-1", "-1", "touch", str(tmp_path / "made")]
    answer = subprocess.run([sys.executable, "-I", "-S", *words], check=False)
    assert answer.returncode == 0
    assert not (tmp_path / "made").exists()


def test_a_command_that_is_not_there_says_so_in_the_log(tmp_path: Path) -> None:
    child = process.start("lost", ["no-such-command-anywhere"], log=tmp_path / "log")
    assert child.process.wait(DEADLINE_S) == 1
    assert "cannot start no-such-command-anywhere (same user): [Errno 2]" in (tmp_path / "log").read_text()


def test_run_gives_input_and_returns_what_was_printed() -> None:
    code, said = process.run(["sh", "-c", 'cat; echo "$LC_ALL" >&2; exit 3'], stdin="given\n", timeout_s=DEADLINE_S)
    assert (code, said) == (3, "given\nC\n")


def test_run_ends_what_takes_too_long_and_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & sh -c 'trap : TERM; while :; do sleep 600; done' & echo $$ $! $(jobs -p) > {pids}; wait"
    with pytest.raises(subprocess.TimeoutExpired):
        process.run(["sh", "-c", script], timeout_s=1)
    started = [int(word) for word in pids.read_text().split()]
    until(lambda: not any(process.command_of(pid) for pid in started), "all have ended")


def test_what_a_child_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = process.start("leader", ["sh", "-c", "sleep 600 & echo $!; wait"], log=log)
    until(lambda: log.read_text().endswith("\n"), "the child has a child")
    left = psutil.Process(int(log.read_text()))
    process.stop(child)
    assert child.exit_code == -signal.SIGTERM
    until(lambda: all_ended([left]), "what it left is gone")


def test_the_command_line_of_a_process_is_told() -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        try:
            until(lambda: process.command_of(child.pid) == "sleep 600", "the command line is there")
            if Path("/bin/ps").exists():
                assert process._command_by_ps(child.pid) == "sleep 600"
        finally:
            child.kill()
    assert process.command_of(child.pid) == ""
