"""Committed files speak of no one's machine: no private path, no package registry, no secret, no foreign host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.repository import ROOT, text_files

# Folders of somebody's machine. Paths inside a container or of an operating system are none.
PRIVATE_PATH = re.compile(r"(?<![\w.~-])(?:/(?:home|root|Users|work|mnt|media)/\w|[A-Z]:\\Users\\)")

# Where packages come from is the setting of the machine that installs.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|(?<!emit-)(?:extra-)?index[-]url|find[-]links|"
    r"(?:ghcr|quay|docker|gcr)\.io|[a]rtifactory|nexus\.",
    re.IGNORECASE,
)

SECRET = re.compile(
    r"BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{36}|\beyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}"
)

URL_HOST = re.compile(
    r"\b(?:https?|wss?|rediss?|postgres(?:ql)?)://(?:[^\s/@\"'`]*@)?(\[[^\]\s]*\]|[^\s/:?#\"'`)>,;\\]*)"
)
LOCAL_HOST = re.compile(
    r"localhost|127\.0\.0\.\d+|0\.0\.0\.0|\[::1?\]|host|testserver|(?:[\w-]+\.)*example(?:\.(?:com|org|net))?|"
    r"(?:[\w-]+\.)*(?:test|invalid)|postgres|valkey|redis|[{$<%].*|.*[{}].*|\.\.\.|…|"
)
# Specifications that a comment may name; a test or the product itself never calls them.
DOCUMENTS = {"graphql.org", "relay.dev", "www.postgresql.org", "www.rfc-editor.org", "www.w3.org", "json-schema.org"}


def hits(pattern: re.Pattern[str], texts: dict[Path, str]) -> Iterator[str]:
    for path, text in texts.items():
        for match in pattern.finditer(text):
            yield f"{path}:{text.count(chr(10), 0, match.start()) + 1} {match.group()!r}"


def test_no_path_of_a_machine() -> None:
    assert text_files()
    assert list(hits(PRIVATE_PATH, text_files())) == []


def test_no_package_registry() -> None:
    assert list(hits(REGISTRY, text_files())) == []


def test_no_secret() -> None:
    assert list(hits(SECRET, text_files())) == []


def test_code_names_no_foreign_host() -> None:
    """Nothing in the product or its tests reaches outside; prose may link to where it likes."""
    foreign = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1} {match.group()!r}"
        for path, text in text_files().items()
        if path.suffix != ".md"
        for match in URL_HOST.finditer(text)
        if not LOCAL_HOST.fullmatch(match[1]) and match[1] not in DOCUMENTS
    ]
    assert foreign == []


def test_no_build_product_or_local_setting_is_committed() -> None:
    unwanted = re.compile(r"(?:^|/)(?:\.venv|\.engage|__pycache__|dist|build)/|\.pyc$|(?:^|/)\.env$|\.rejected\.csv$")
    assert [str(path) for path in text_files() if unwanted.search(str(path))] == []


def test_files_end_with_one_newline_and_have_no_carriage_returns() -> None:
    data = {".csv", ".json"}
    texts = {path: text for path, text in text_files().items() if text and path.suffix not in data}
    assert [str(path) for path, text in texts.items() if "\r\n" in text] == []
    assert [str(path) for path, text in texts.items() if not text.endswith("\n")] == []


def test_the_licence_is_the_one_that_pyproject_names() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert licence.startswith("MIT License\n")
    assert 'license = "MIT"' in (ROOT / "pyproject.toml").read_text()
