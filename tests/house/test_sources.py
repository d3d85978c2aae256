"""Sources stay small enough to read, say what they are for, and are named for what they hold."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.house.repository import ROOT, python_files

LINES_MAX = 400
FUNCTION_LINES_MAX = 50
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"}

# The ORM's generator writes these; nobody edits them by hand.
GENERATED = ROOT / "src" / "engage" / "migrations"


def sources() -> list[Path]:
    """Python and SQL of the product, written by people."""
    paths = python_files("src") + sorted((ROOT / "src").rglob("*.sql"))
    return [path for path in paths if not (path.parent == GENERATED and path.name[:4].isdigit())]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_are_short() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in sources() + python_files("tests", "bench")}
    long = {name: lines for name, lines in lengths.items() if lines > LINES_MAX}
    assert lengths
    assert not long, f"More than {LINES_MAX} lines; split them by noun: {long}"


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, less the docstring: an explanation, or the help text of a command, may be long."""
    words = function.body[0] if ast.get_docstring(function) else None
    explained = (words.end_lineno or words.lineno) - words.lineno + 1 if words else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - explained


def test_functions_are_short() -> None:
    long = [
        f"{shown(path)}:{node.lineno} {node.name} {length(node)}"
        for path in sources()
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > FUNCTION_LINES_MAX
    ]
    assert not long, f"More than {FUNCTION_LINES_MAX} lines: {long}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        shown(path)
        for path in sources()
        if path.suffix == ".py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"No docstring: {silent}"


def test_every_folder_of_the_product_is_a_package() -> None:
    folders = {path.parent for path in python_files("src", "tests", "bench")} - {ROOT}
    bare = sorted(shown(folder) for folder in folders if not (folder / "__init__.py").exists())
    assert not bare, f"No __init__.py: {bare}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    modules = python_files("src", "tests", "bench")
    names = {path: {path.stem, *path.relative_to(ROOT).parent.parts} for path in modules}
    vague = [shown(path) for path, parts in names.items() if parts & FORBIDDEN_NAMES]
    assert not vague, f"Name them for what they hold: {vague}"


def test_no_unfinished_work_is_marked() -> None:
    marker = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b")
    marked = [
        f"{shown(path)}:{number}"
        for path in sources() + python_files("tests", "bench")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if marker.search(line)
    ]
    assert not marked, f"Finish it, or open an issue: {marked}"


def ruff_exceptions() -> list[tuple[int, str]]:
    """Lines of pyproject.toml, numbered, that switch rules off."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    section, inside, found = "", False, []
    for number, line in enumerate(lines, start=1):
        if line.startswith("["):
            section = line.strip("[]")
        inside = inside or (section == "tool.ruff.lint" and line.startswith("ignore = ["))
        if (inside or section == "tool.ruff.lint.per-file-ignores") and re.search(r'"[A-Z]+[0-9]*"', line):
            found.append((number, line))
        inside = inside and line.strip() != "]"
    return found


def test_every_switched_off_rule_has_its_reason() -> None:
    """Every line that names rules carries a comment, so that each exception can be judged again."""
    exceptions = ruff_exceptions()
    bare = [f"pyproject.toml:{number} {line.strip()}" for number, line in exceptions if "#" not in line]
    assert not bare, f"Say why: {bare}"


def test_the_reader_of_switched_off_rules_misses_none() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    rules = [*lint["ignore"], *(rule for rules in lint["per-file-ignores"].values() for rule in rules)]
    read = "\n".join(line.partition("#")[0] for _, line in ruff_exceptions())
    assert sorted(rules) == sorted(re.findall(r'"([A-Z]+[0-9]*)"', read))


@pytest.mark.parametrize("comment", ["noqa", "type: ignore"])
def test_every_exception_in_a_line_names_its_rule(comment: str) -> None:
    bare = re.compile(rf"# {comment}(?![:\[])")
    found = [
        f"{shown(path)}:{number}"
        for path in sources() + python_files("tests", "bench")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if bare.search(line)
    ]
    assert not found, f"Name the rule: {found}"
