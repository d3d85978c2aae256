"""Lists from either end: whatever comes meanwhile, each row that was there is shown once and in order."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.base import db, listings
from engage.base.errors import InvalidInput
from engage.base.listings import Listing, OwnedListing
from engage.base.paging import (
    LATEST_FIRST,
    NEWEST_FIRST,
    NO_ID,
    OLDEST_FIRST,
    Order,
    Window,
    encode_cursor,
    window,
)
from engage.base.readings import Reading, read_alone
from engage.base.settings import Settings
from tests.walking import Ask, walk, walk_both

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
OWNER, OTHER = UUID(int=1), UUID(int=2)
Place = tuple[datetime, UUID]

places = st.tuples(st.integers(0, 3).map(lambda n: BEGIN + timedelta(days=n)), st.uuids(version=4))
"""Many rows at the same moment."""


def _place(row: Mapping[str, Any]) -> Place:
    return row["at"], UUID(bytes=row["id"].bytes)


def _told(value: list[str]) -> Place:
    return datetime.fromisoformat(value[0]), UUID(value[1])


def of(place: Place) -> Place:
    return place


EARLIEST_FIRST = Order(LATEST_FIRST.least, LATEST_FIRST.most)
PAGE = "(n.at, n.id) {past} ($%d, $%d) ORDER BY n.at {sort}, n.id {sort} LIMIT $%d"
SQL = f"SELECT n.at, n.id FROM notes n WHERE n.owner = $4 AND {PAGE % (2, 3, 1)}"  # noqa: S608 -- a test's own
OWNED = f"SELECT json_build_array(n.at, n.id) AS value FROM notes n WHERE n.owner = o.id AND {PAGE % (3, 4, 2)}"  # noqa: S608
LISTS: dict[str, tuple[Order, Ask[Place]]] = {
    f"{kind}, {name}": (order, ask)
    for name, order in (("latest first", LATEST_FIRST), ("earliest first", EARLIEST_FIRST))
    for kind, ask in (
        ("by itself", lambda window, order=order: Listing(order, SQL, row=_place, key=of).page(window, OWNER)),
        ("together", partial(OwnedListing(order, OWNED, row=_told, key=of).page, read_alone, OWNER)),
    )
}


@pytest.fixture(scope="module", autouse=True)
async def notes(connected: Settings) -> AsyncIterator[None]:
    """A table of rows at a moment."""
    assert connected.database_url
    await db.execute("CREATE TABLE notes (owner uuid, at timestamptz, id uuid, PRIMARY KEY (owner, at, id))")
    yield
    await db.execute("DROP TABLE notes")


async def put(*rows: Place, owner: UUID = OWNER) -> None:
    sql = "INSERT INTO notes SELECT $1, * FROM unnest($2::timestamptz[], $3::uuid[])"
    await db.execute(sql, owner, [at for at, _ in rows], [one for _, one in rows])


@pytest.mark.parametrize("name", LISTS)
@given(rows=st.lists(places, unique=True, max_size=25), size=st.integers(1, 26))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_list_is_the_same_from_either_end(name: str, rows: list[Place], size: int) -> None:
    order, ask = LISTS[name]
    await db.execute("DELETE FROM notes")
    await put(*rows)
    await put((BEGIN, NO_ID), (BEGIN + timedelta(days=9), NO_ID), owner=OTHER)
    assert await walk_both(ask, size) == sorted(rows, reverse=order.descending)


@pytest.mark.parametrize("name", LISTS)
@given(
    rows=st.lists(places, unique=True, max_size=25),
    come=st.lists(st.lists(places, unique=True, max_size=3), max_size=9),
    size=st.integers(1, 7),
    backward=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_comes_meanwhile_shifts_nothing(
    name: str, rows: list[Place], come: list[list[Place]], size: int, *, backward: bool
) -> None:
    order, ask = LISTS[name]
    late = iter([[one for one in group if one not in rows] for group in come])
    await db.execute("DELETE FROM notes")
    await put(*rows)

    async def more_come() -> None:
        await put(*next(late, []))

    seen = await walk(ask, size, backward=backward, between=more_come)
    assert seen == sorted(set(seen), reverse=order.descending)
    assert set(rows) <= set(seen)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(("rows", "told"), [(0, 0), (9, 9), (10, 10), (11, None), (30, None)])
async def test_a_list_is_counted_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, rows: int, told: int | None
) -> None:
    _, ask = LISTS[name]
    monkeypatch.setattr(listings, "COUNT_MAX", 10)
    await db.execute("DELETE FROM notes")
    await put(*[(BEGIN, UUID(int=number)) for number in range(1, rows + 1)])
    assert await (await ask(Window(1))).count() == told


async def test_of_an_owner_who_has_nothing_there_is_an_empty_page() -> None:
    nobody = OwnedListing(
        NEWEST_FIRST, "SELECT o.id AS value WHERE o.id {past} $3 LIMIT $2", row=str, key=lambda row: (row,),
        owners="(SELECT unnest($1::uuid[]) AS id LIMIT 0) o",
    )  # fmt: skip
    page = await nobody.page(read_alone, OWNER, Window(1))
    assert (page.rows, page.has_next, page.has_previous, await page.count()) == ([], False, False, 0)


@pytest.mark.parametrize(
    ("first", "last", "after", "before", "path"),
    [
        (None, None, None, None, "first"),
        (None, None, "c", None, "first"),
        (None, None, None, "c", "first"),
        (1, 1, None, None, "last"),
        (1, None, None, "c", "before"),
        (1, None, "c", "c", "before"),
        (None, 1, "c", None, "after"),
        (None, 1, "c", "c", "after"),
        (0, None, None, None, "first"),
        (101, None, None, None, "first"),
        (None, 0, None, None, "last"),
        (None, 101, None, None, "last"),
        (None, -1, None, None, "last"),
    ],
)
def test_other_combinations_are_refused_at_their_argument(
    first: int | None, last: int | None, after: str | None, before: str | None, path: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        window(first, last, after, before)
    assert refused.value.path == [path]


def test_what_is_asked_for_is_a_window() -> None:
    assert window(3, None, None, None) == Window(3)
    assert window(100, None, "c", None) == Window(100, cursor="c")
    assert window(None, 1, None, None) == Window(1, backward=True)
    assert window(None, 100, None, "c") == Window(100, backward=True, cursor="c")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    "cursor",
    [
        "", "junk", "A" * 600, encode_cursor(1), encode_cursor("2026-01-01T00:00:00Z"),
        encode_cursor("2026-01-01T00:00:00", str(OWNER)), encode_cursor("then", str(OWNER)),
        encode_cursor("0001-01-01T00:00:00+14:00", str(OWNER)), encode_cursor("9999-12-31T23:59:59Z", str(OWNER)),
        encode_cursor("2026-01-01T00:00:00Z", "that"), encode_cursor("2026-01-01T00:00:00Z", 1),
    ],
)  # fmt: skip
async def test_a_cursor_of_another_list_is_refused(cursor: str, *, backward: bool) -> None:
    for _, ask in LISTS.values():
        with pytest.raises(InvalidInput) as refused:
            await ask(Window(1, backward, cursor))
        assert refused.value.path == ["before" if backward else "after"]


def test_numbers_and_ids_beyond_all_rows_are_no_cursors() -> None:
    numbers = Order((0,), (2**31 - 1,))
    for number in (-1, 2**31, 2**63, 2**64 - 1):
        with pytest.raises(InvalidInput):
            numbers.start(Window(1, cursor=encode_cursor(number)))
    assert numbers.start(Window(1, cursor=encode_cursor(7))) == (7,)
    here = UUID(bytes=secrets.token_bytes(16))
    assert OLDEST_FIRST.start(Window(1, cursor=encode_cursor(here))) == (here,)


async def test_a_count_is_not_read_with_the_page() -> None:
    read: list[Reading[Any]] = []

    async def load(reading: Reading[Any], *args: Any) -> Any:
        read.append(reading)
        return await read_alone(reading, *args)

    listing = OwnedListing(LATEST_FIRST, OWNED, row=_told, key=of)
    page = await listing.page(load, OWNER, Window(1))
    assert len(read) == 1
    await page.count()
    assert len(read) == 2
