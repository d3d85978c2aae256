"""Lists that are read in pages from either end: of one statement each both directions and the count are made.

A list's SQL says `{past}` where a row's key is compared with the cursor's, and `{sort}` behind each column that it is
ordered by. Read the other way round both turn, so the same index serves. Counted, it is read from its beginning as
far as COUNT_MAX, without what is shown of its rows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

from engage.base import db
from engage.base.paging import COUNT_MAX, PAGE_SIZE_MAX, Key, Order, Page, Window, page_of
from engage.base.readings import Reading

Row = TypeVar("Row")

Load = Callable[..., Awaitable[Any]]
"""Answers a reading's value: takes the reading, the owner's id and the reading's arguments."""


def _directed(sql: str, order: Order, *, backward: bool) -> str:
    falls = order.falls(backward=backward)
    return sql.replace("{past}", "<" if falls else ">").replace("{sort}", "DESC" if falls else "ASC")


def _arguments(window: Window, order: Order) -> Key:
    """LIMIT, which has room for a row that tells that there are more, and the key to begin behind."""
    return (window.size + 1, *order.start(window))


def _total(counted: int) -> int | None:
    return None if counted > COUNT_MAX else counted


@dataclass(frozen=True, slots=True, eq=False)
class Listing(Generic[Row]):
    """A list that is read by itself.

    `sql` takes LIMIT as $1, the values of the key as $2…, and then the list's own arguments. `row` makes a plain
    value of what it answers, `key` tells where that stands. `counted` is another statement with the same arguments
    that finds the same rows in any order, where that is cheaper.
    """

    order: Order
    sql: str
    row: Callable[[Any], Row]
    key: Callable[[Row], Key]
    counted: str = ""
    size_max: int = PAGE_SIZE_MAX

    async def page(self, window: Window, *args: object) -> Page[Row]:
        """Read a page. The caller has checked who asks. Raises InvalidInput for a size outside of 1..`size_max`."""
        window.check(self.size_max)
        sql = _directed(self.sql, self.order, backward=window.backward)
        found = await db.fetch(sql, *_arguments(window, self.order), *args)
        return page_of([self.row(one) for one in found], window, self.key, partial(self._count, *args))

    async def _count(self, *args: object) -> int | None:
        rows = _directed(self.counted or self.sql, self.order, backward=False)
        sql = f"SELECT count(*) FROM ({rows}) x"  # noqa: S608 -- our own SQL
        return _total(await db.fetch_value(sql, *_arguments(Window(COUNT_MAX), self.order), *args))


@dataclass(slots=True, eq=False)
class OwnedListing(Generic[Row]):
    """A list that each of many owners has, read of all of them in one round trip with whatever else is read then.

    `sql` answers `value`, a row as JSON, and finds those of the owner `o.id`. It takes the owners' ids as $1, LIMIT
    as $2, the values of the key as $3…, and then the list's own arguments. `owners` is what it is joined to, as `o`;
    `shown` makes a JSON array of its rows in another way than one by one.
    """

    order: Order
    sql: str
    row: Callable[[Any], Row]
    key: Callable[[Row], Key]
    owners: str = "unnest($1::uuid[]) AS o (id)"
    shown: str = "SELECT coalesce(json_agg(x.value), '[]') FROM ({rows}) x"
    _pages: tuple[Reading[list[Row]], Reading[list[Row]]] = field(init=False)
    _counts: Reading[int | None] = field(init=False)

    def __post_init__(self) -> None:
        self._pages = (
            self._reading(self.shown, self._rows, []),
            self._reading(self.shown, self._rows, [], backward=True),
        )
        self._counts = self._reading("SELECT to_json(count(*)) FROM ({rows}) x", _total, 0)

    async def page(self, load: Load, owner: UUID, window: Window, *args: object) -> Page[Row]:
        """Read a page of one owner's list by `load`, such as `Together.load`. The caller has checked who asks.

        Raises InvalidInput for a size outside of 1..PAGE_SIZE_MAX.
        """
        window.check()
        rows = await load(self._pages[window.backward], owner, *_arguments(window, self.order), *args)
        count = partial(load, self._counts, owner, *_arguments(Window(COUNT_MAX), self.order), *args)
        return page_of(rows, window, self.key, count)

    def _rows(self, values: list[Any]) -> list[Row]:
        return [self.row(one) for one in values]

    def _reading(
        self, answer: str, decode: Callable[[Any], Any], absent: object, *, backward: bool = False
    ) -> Reading[Any]:
        sql = f"SELECT o.id::text, ({answer.replace('{rows}', self.sql)}) FROM {self.owners}"  # noqa: S608 -- as above
        return Reading(_directed(sql, self.order, backward=backward), decode, absent)
