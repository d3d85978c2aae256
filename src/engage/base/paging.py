"""Keyset pages: a cursor holds the sort key of a row, so a page costs the same however deep it lies."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from engage.base.errors import InvalidInput

PAGE_SIZE_MAX = 100
CURSOR_LENGTH_MAX = 512

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in order, and whether more follow."""

    rows: Sequence[Row]
    has_next: bool


def page_of(rows: Sequence[Row], first: int) -> Page[Row]:
    """The page in what was read, which is one row more where more follow."""
    return Page(rows[:first], len(rows) > first)


def encode_cursor(*key: str | int) -> str:
    """An opaque cursor of the values that a list is sorted by."""
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type], *, path: str = "after") -> list[str | int]:
    """The sort key inside `cursor`, one value per type in `kinds`.

    Raises InvalidInput for anything that `encode_cursor` did not make.
    """
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if [type(value) for value in key] != list(kinds):
            raise ValueError("other kinds of values")
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            "This is not a cursor of this list; take one from pageInfo or edges.", path=[path]
        ) from error
    return list(key)


def check_first(first: int, *, path: str = "first") -> int:
    """The page size, if it is one. Raises InvalidInput outside 1..100."""
    if not 1 <= first <= PAGE_SIZE_MAX:
        raise InvalidInput(f"A page has 1 to {PAGE_SIZE_MAX} rows; {first} is outside.", path=[path])
    return first
