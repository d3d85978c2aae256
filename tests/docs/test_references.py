"""What the documents name is there: files, modules and their names, settings, commands, links and headings."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engage.base.settings import Settings
from engage.cli import app
from tests.docs.blocks import FENCE
from tests.house.repository import ROOT

PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "AGENTS.md", "data/README.md", "deploy/README.md")),
]
CODE = re.compile(r"`([^`\n]+)`")
TREES = ("src", "tests", "bench", "data", "deploy", "docs", ".ci")
REPOSITORY_PATH = re.compile(rf"(?:{'|'.join(map(re.escape, TREES))})/[\w./-]+")
DOTTED = re.compile(r"engage(?:\.[A-Za-z_]\w*)+")
IN_DATABASE = re.compile(r"CREATE (?:FUNCTION|VIEW|TABLE|TYPE) (engage\.\w+)")
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def prose(page: Path) -> str:
    """The page without its fenced blocks, which may show what is yet to be made."""
    return FENCE.sub("", page.read_text())


def words_in_code(page: Path) -> Iterator[str]:
    return (found[1] for found in CODE.finditer(prose(page)))


def in_database() -> set[str]:
    """Functions, views and tables of the schema `engage`."""
    texts = [path.read_text() for path in (ROOT / "src").rglob("*.sql")]
    texts += [path.read_text() for path in (ROOT / "src/engage/migrations").glob("*.py")]
    return {name for text in texts for name in IN_DATABASE.findall(text)}


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_paths_exist(page: Path) -> None:
    named = [word for word in words_in_code(page) if REPOSITORY_PATH.fullmatch(word)]
    assert [word for word in named if not (ROOT / word).exists()] == []


@each_page
def test_dotted_names_exist(page: Path) -> None:
    named = {word for word in words_in_code(page) if DOTTED.fullmatch(word)}
    assert sorted(name for name in named - in_database() if not is_there(name)) == []


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target, anchor in LINK.findall(prose(page)):
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            dead.append(f"{target}#{anchor}")
    assert dead == []


@each_page
def test_settings_exist(page: Path) -> None:
    of_compose = {"ENGAGE_VERSION", "ENGAGE_PUBLISH", "ENGAGE_DATABASE_PASSWORD", "ENGAGE_APP_DATABASE_PASSWORD"}
    known = {f"ENGAGE_{name.upper()}" for name in Settings.model_fields} | of_compose
    assert set(re.findall(r"ENGAGE_[A-Z_]+[A-Z]", page.read_text())) <= known


def test_commands_that_are_named_exist() -> None:
    """`engage db epoch --new` and the like: each has a help text."""
    named = set()
    for page in PAGES:
        for text in words_in_code(page):
            command = re.match(r"engage((?: [a-z]+)+)", text)
            if command:
                named.add(command[1].strip())
    runner = CliRunner()
    wrong = [words for words in sorted(named) if runner.invoke(app, [*words.split()[:2], "--help"]).exit_code]
    assert named
    assert wrong == []


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    pages = sorted(path.name for path in (ROOT / "docs/adr").glob("0*.md"))
    assert [name for name in pages if f"]({name})" not in index] == []
    assert [name[:4] for name in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
