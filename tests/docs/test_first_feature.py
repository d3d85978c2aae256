"""The tutorial works as written: its diffs fit a copy of the repository, and what it runs then passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.docs.blocks import blocks_of
from tests.house.repository import ROOT

PAGE = ROOT / "docs" / "FIRST-FEATURE.md"
COPIED = ("src", "tests", "docs")
MIGRATIONS = (
    "tests/e2e/test_migrations.py::test_no_migration_is_missing",
    "tests/e2e/test_migrations.py::test_what_runs_is_what_the_orm_makes_of_each_migration",
)
CHANGED = "nickname or not who_may"  # what every role may do is tested beside this; here, what it may with nicknames
FILES = ("pyproject.toml", "CHANGELOG.md", "schema.graphql", "README.md", "Makefile", "LICENSE")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_the_tutorial_works(copy: Path, servers: Servers) -> None:
    if shutil.which("git") is None:
        pytest.skip("no git here, which applies the diffs")
    blocks = blocks_of(PAGE)
    for block in blocks:
        if block.info == "diff":
            done = subprocess.run(
                ["git", "apply", "-C1", "-"],
                cwd=copy, input=block.text, text=True, capture_output=True, check=False,
                env=os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)},
            )  # fmt: skip
            assert done.returncode == 0, f"{block.where} does not fit any more: {done.stderr}"

    environment = os.environ | {
        "PYTHONPATH": str(copy / "src"),
        "ENGAGE_DATABASE_URL": servers.database_url,
        "ENGAGE_REDIS_URL": servers.redis_url,
    }
    schema = subprocess.run(
        [sys.executable, "-m", "engage.cli", "schema"],
        cwd=copy, env=environment, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert "setNickname" in schema.stdout
    (copy / "schema.graphql").write_text(schema.stdout)
    written = subprocess.run(
        [sys.executable, "-m", "engage.migrations"],
        cwd=copy,
        env=environment,
        text=True,
        capture_output=True,
        check=True,
    )
    assert written.stdout == "0013_nickname.sql\n"

    [tests] = [
        line.split('"')[1].split()
        for block in blocks
        if block.info == "sh"
        for line in block.text.splitlines()
        if "make test" in line
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHANGED, *tests, *MIGRATIONS],
        cwd=copy, env=environment, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
