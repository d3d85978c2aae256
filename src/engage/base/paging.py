"""Keyset pages: a cursor holds the sort key of a row, so a page costs the same however deep it lies.

A page is asked for from either end of a list, or from a cursor on towards either end. What is asked is a `Window`;
the `Order` of a list says where that begins, and which cursors are its own. `engage.base.listings` reads pages.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson

from engage.base.errors import InvalidInput

PAGE_SIZE_MAX = 100
CURSOR_LENGTH_MAX = 512

COUNT_MAX = 10_000
"""How far a list is counted: beyond it a total is not told, so that no total costs more than a hundred pages."""

NO_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
NO_TIME, LAST_TIME = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""Outside of all that are there: lists begin between them."""

Row = TypeVar("Row")
Other = TypeVar("Other")
Key = tuple[Any, ...]
"""The values that a list is sorted by, of one row: integers, ids and moments."""

_READ: dict[type, Callable[[Any], Any]] = {int: int, UUID: UUID, datetime: datetime.fromisoformat}


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows of a list are wanted: those that come next behind a cursor or, `backward`, those just before it.

    Without a cursor they are those at the beginning of the list, or at its end.
    """

    size: int
    backward: bool = False
    cursor: str | None = None

    def check(self, size_max: int = PAGE_SIZE_MAX) -> None:
        """Raise InvalidInput where this is more than a page."""
        if not 1 <= self.size <= size_max:
            path = ["last" if self.backward else "first"]
            raise InvalidInput(f"A page has 1 to {size_max:,} rows; {self.size} is outside.", path=path)


def window(first: int | None, last: int | None, after: str | None, before: str | None) -> Window:
    """What is asked for in Relay's terms: `first`, perhaps `after` a cursor, or `last`, perhaps `before` one.

    Raises InvalidInput, with the argument's path, for any other combination and for a size outside of
    1..PAGE_SIZE_MAX.
    """
    if (first is None) is (last is None):
        path = "first" if first is None else "last"
        raise InvalidInput("Give `first` or `last`, one of the two: how many, from which end.", path=[path])
    stray, path = (before, "before") if last is None else (after, "after")
    if stray is not None:
        raise InvalidInput("`after` goes with `first`, and `before` with `last`.", path=[path])
    asked = Window(first or 0, cursor=after) if last is None else Window(last, backward=True, cursor=before)
    asked.check()
    return asked


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in the list's order, and whether there are more on either side.

    A side that a cursor was given for is taken to have more: there is the cursor's own row. `count` counts the whole
    list when it is called, up to COUNT_MAX, and answers None beyond.
    """

    rows: Sequence[Row]
    has_next: bool
    has_previous: bool
    cursor: Callable[[Row], str]
    count: Callable[[], Awaitable[int | None]]

    def showing(self, rows: Sequence[Other], key: Callable[[Other], Key]) -> Page[Other]:
        """The same page with what is shown of its rows."""
        return Page(rows, self.has_next, self.has_previous, lambda row: encode_cursor(*key(row)), self.count)


def page_of(
    rows: Sequence[Row], window: Window, key: Callable[[Row], Key], count: Callable[[], Awaitable[int | None]]
) -> Page[Row]:
    """The page in what was read in the window's direction, which is one row more where more follow."""
    more, from_cursor = len(rows) > window.size, window.cursor is not None
    shown = rows[: window.size]
    return Page(
        rows=shown[::-1] if window.backward else shown,
        has_next=from_cursor if window.backward else more,
        has_previous=more if window.backward else from_cursor,
        cursor=lambda row: encode_cursor(*key(row)),
        count=count,
    )


@dataclass(frozen=True, slots=True)
class Order:
    """What a list is sorted by: for each part of the key a value below and one above those of all rows.

    With `descending` the list begins with the highest.
    """

    least: Key
    most: Key
    descending: bool = False

    def falls(self, *, backward: bool) -> bool:
        """Whether keys fall in the direction that is read in."""
        return self.descending is not backward

    def start(self, window: Window) -> Key:
        """The key that the window's rows are behind. Raises InvalidInput for a cursor of a list in another order."""
        if window.cursor is None:
            return self.most if self.falls(backward=window.backward) else self.least
        path = "before" if window.backward else "after"
        told = decode_cursor(window.cursor, [int if type(one) is int else str for one in self.least], path=path)
        try:
            key = tuple(_READ[type(one)](value) for one, value in zip(self.least, told, strict=True))
            if all(low <= one <= high for low, one, high in zip(self.least, key, self.most, strict=True)):
                return key
        except (ValueError, TypeError, OverflowError):  # a TypeError is of a moment without a zone
            pass
        raise _no_cursor(path)


OLDEST_FIRST = Order((NO_ID,), (LAST_ID,))
NEWEST_FIRST = Order((NO_ID,), (LAST_ID,), descending=True)
"""By ids, which are made in order of time."""

LATEST_FIRST = Order((NO_TIME, NO_ID), (LAST_TIME, LAST_ID), descending=True)
"""By a moment, and ids where that is the same."""

NEWEST_VERSION_FIRST = Order((0,), (2**31 - 1,), descending=True)
"""By versions, which are counted from 1."""


def encode_cursor(*key: str | int | UUID | datetime) -> str:
    """An opaque cursor of the values that a list is sorted by."""
    told = orjson.dumps(key, default=str)  # the driver's ids are of a class of its own
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type], *, path: str = "after") -> list[str | int]:
    """The values inside `cursor`, one per type in `kinds`: text for ids and moments.

    Raises InvalidInput for anything that `encode_cursor` did not make.
    """
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if [type(value) for value in key] != list(kinds):
            raise ValueError("other kinds of values")
    except (ValueError, TypeError) as error:
        raise _no_cursor(path) from error
    return list(key)


def _no_cursor(path: str) -> InvalidInput:
    return InvalidInput("This is not a cursor of this list; take one from pageInfo or edges.", path=[path])


def check_first(first: int, *, path: str = "first") -> int:
    """How many to list, if it is a page. Raises InvalidInput outside 1..100."""
    if not 1 <= first <= PAGE_SIZE_MAX:
        raise InvalidInput(f"A page has 1 to {PAGE_SIZE_MAX} rows; {first} is outside.", path=[path])
    return first
