"""The Makefile: every target that a document names exists, and .venv is made anew exactly when it has to be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.repository import ROOT, text_files

MAKEFILE = ROOT / "Makefile"
OLD, NEW = 1_000_000_000, 1_000_000_100

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, folder: Path = ROOT) -> str:
    """What make prints; the variables of a make that runs these tests are kept from it."""
    inherited = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS", "PYTHON"}
    environment = {name: value for name, value in os.environ.items() if name not in inherited}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", MAKEFILE.read_text(), re.MULTILINE))


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which `make install` has run long ago."""
    folder = tmp_path / "clone"
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    shutil.copy(MAKEFILE, folder)
    for name in ("requirements.lock", "pyproject.toml", ".venv/.locked", ".venv/.installed"):
        (folder / name).write_text(f"{folder}\n")
        os.utime(folder / name, (OLD, OLD))
    return folder


def steps(folder: Path) -> list[str]:
    """What `make install` would do there."""
    words = {"made": "-m venv --clear", "locked": "-r requirements.lock", "installed": "-e ."}
    plan = make("--dry-run", "install", folder=folder)
    return [name for name, word in words.items() if word in plan]


def test_nothing_is_done_twice(installed: Path) -> None:
    assert steps(installed) == []


def test_a_new_clone_is_set_up(installed: Path) -> None:
    shutil.rmtree(installed / ".venv")
    assert steps(installed) == ["made", "locked", "installed"]


def test_a_changed_lock_file_is_installed(installed: Path) -> None:
    os.utime(installed / "requirements.lock", (NEW, NEW))
    assert steps(installed) == ["locked", "installed"]


def test_a_changed_project_file_installs_engage_alone(installed: Path) -> None:
    os.utime(installed / "pyproject.toml", (NEW, NEW))
    assert steps(installed) == ["installed"]


def test_an_environment_whose_python_is_gone_is_made_anew(installed: Path) -> None:
    python = installed / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(installed / "no-longer-here" / "python3")
    assert steps(installed) == ["made", "locked", "installed"]


def test_an_environment_that_was_moved_is_made_anew(installed: Path) -> None:
    assert steps(installed.rename(installed.with_name("moved"))) == ["made", "locked", "installed"]


def test_an_interrupted_installation_is_made_anew(installed: Path) -> None:
    (installed / ".venv" / ".installed").unlink()
    assert steps(installed) == ["made", "locked", "installed"]


def test_test_and_check_together_run_the_tests_once(installed: Path) -> None:
    plan = make("--dry-run", "test", "check", folder=installed)
    assert plan.count("-m pytest") == 1
    for tool in ("ruff format --check", "ruff check", "mypy", "lint-imports"):
        assert plan.count(tool) == 1


def test_help_lists_every_target() -> None:
    assert set(re.findall(r"^  make ([a-z]+) +\S", make("help"), re.MULTILINE)) == targets() - {"rebuild"}


def test_documents_name_targets_that_exist() -> None:
    code = re.compile(r"(?:^|`|\$ |&& )make ((?:[a-z]+ ?)+)", re.MULTILINE)
    texts = {str(path): text for path, text in text_files().items() if path.suffix == ".md" or path.parts[0] == ".ci"}
    assert texts
    named = {
        (path, target) for path, text in texts.items() for words in code.findall(text) for target in words.split()[:1]
    }
    assert not {(path, target) for path, target in named if target not in targets()}
