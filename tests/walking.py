"""Reading whole lists page by page, from either end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from engage.base.paging import Page, Window

Row = TypeVar("Row")
Ask = Callable[[Window], Awaitable[Page[Row]]]


async def nothing() -> None:
    """What is done between two pages unless something is."""


async def walk(
    ask: Ask[Row], size: int, *, backward: bool = False, between: Callable[[], Awaitable[None]] = nothing
) -> list[Row]:
    """A list as its pages show it, in its own order; `between` is done after each page but the last."""
    seen: list[Row] = []
    cursor: str | None = None
    while True:
        page = await ask(Window(size, backward, cursor))
        assert len(page.rows) <= size
        ahead, behind = (page.has_previous, page.has_next) if backward else (page.has_next, page.has_previous)
        assert behind is (cursor is not None)
        seen = [*page.rows, *seen] if backward else [*seen, *page.rows]
        if not ahead:
            return seen
        assert len(page.rows) == size
        cursor = page.cursor(page.rows[0 if backward else -1])
        await between()


async def walk_both(ask: Ask[Row], size: int) -> list[Row]:
    """The same, and show that it is the same from the end, and as many as the list says; from any row, too."""
    rows = await walk(ask, size)
    assert await walk(ask, size, backward=True) == rows
    page = await ask(Window(size))
    assert await page.count() == len(rows)
    for number, row in enumerate(rows):
        cursor = page.cursor(row)
        assert list((await ask(Window(size, cursor=cursor))).rows) == rows[number + 1 : number + 1 + size]
        assert list((await ask(Window(size, True, cursor))).rows) == rows[max(0, number - size) : number]
    return rows
