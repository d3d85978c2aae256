"""The repository as its tests see it: the root, the files that are or would be committed, the tools beside Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@cache
def committed_files() -> tuple[Path, ...]:
    """Files that git tracks, and new ones that it does not ignore, so that a mistake shows before the commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("no .git here: which files are part of the repository is not known")
    if shutil.which("git") is None:
        pytest.skip("git is not installed: which files are part of the repository is not known")
    names = subprocess.run(
        # The folder may belong to another user than the one who tests, as in a container.
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = (ROOT / name for name in names.split("\0") if name)
    return tuple(sorted({path for path in paths if path.is_file()}))


@cache
def text_files() -> dict[Path, str]:
    """Committed files that are text, with their content; paths are relative to the root."""
    texts = {}
    for path in committed_files():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            texts[path.relative_to(ROOT)] = content.decode(errors="replace")
    return texts


def python_files(*folders: str) -> list[Path]:
    """Python files below these folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
