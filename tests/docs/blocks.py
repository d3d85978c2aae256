"""Fenced blocks of a Markdown file, and values in them that differ from run to run.

A value that ends with `…` stands for any value that begins as it does. What it stood for is remembered, and put in
where a later block uses the same `…` value: `"TWVtYmVyO…"` in an answer, then in a query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"[\w-]+…")


@dataclass(frozen=True)
class Block:
    """One fenced block: what follows the fence, such as `json frame`, and where it stands."""

    info: str
    text: str
    where: str


def blocks_of(path: Path, begin: str = "", end: str = "\0") -> list[Block]:
    """The fenced blocks of a file between two texts."""
    whole = path.read_text()
    start = whole.index(begin)
    stop = whole.find(end, start + len(begin))
    part = whole[start : None if stop < 0 else stop]
    line = whole.count("\n", 0, start) + 1
    return [
        Block(found["info"].strip(), found["text"], f"{path.name}:{line + part.count(chr(10), 0, found.start())}")
        for found in FENCE.finditer(part)
    ]


class Values:
    """What the `…` values stood for, the last one of each."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def put_in(self, text: str) -> str:
        """The text with remembered values in place; fails for one that was never seen."""
        return WORD.sub(lambda found: self._seen[found[0]], text)

    def differs(self, said: Any, expected: Any, at: str = "$") -> str | None:
        """Where and how what was said differs from what a block says; None where it does not."""
        if isinstance(expected, str) and isinstance(said, str) and expected.endswith("…"):
            self._seen[expected] = said
            return None if said.startswith(expected[:-1]) else f"{at}: {said!r} does not begin as {expected!r}"
        if isinstance(expected, dict) and isinstance(said, dict) and set(expected) == set(said):
            return self._first((said[key], expected[key], f"{at}.{key}") for key in expected)
        if isinstance(expected, list) and isinstance(said, list) and len(expected) == len(said):
            return self._first((one, expected[nth], f"{at}[{nth}]") for nth, one in enumerate(said))
        return None if said == expected else f"{at}: {said!r} instead of {expected!r}"

    def _first(self, pairs: Iterable[tuple[Any, Any, str]]) -> str | None:
        return next((found for pair in pairs if (found := self.differs(*pair))), None)


def same_text(said: str, expected: str) -> bool:
    """Whether an output is the expected one, line by line; `…` stands for the rest of a word, spaces do not count."""
    lines, wanted = ([line.split() for line in text.split("\n") if line.strip()] for text in (said, expected))
    return len(lines) == len(wanted) and all(
        len(line) == len(want)
        and all(
            word == one or (one.endswith("…") and word.startswith(one[:-1]))
            for word, one in zip(line, want, strict=True)
        )
        for line, want in zip(lines, wanted, strict=True)
    )
