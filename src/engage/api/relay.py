"""Global ids and keyset connections, as Relay's specifications describe them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Annotated, Generic, TypeVar
from uuid import UUID

import strawberry

from engage.base.errors import InvalidInput
from engage.base.paging import Page

Node = TypeVar("Node")
Row = TypeVar("Row")

First = Annotated[
    int | None, strawberry.argument(description="How many from the beginning, 1 to 100; this or `last`, one of them.")
]
After = Annotated[
    str | None,
    strawberry.argument(description="With `first`: only those behind this cursor, not from the beginning."),
]
Last = Annotated[
    int | None, strawberry.argument(description="How many from the end, 1 to 100; this or `first`, one of them.")
]
Before = Annotated[
    str | None, strawberry.argument(description="With `last`: only those before this cursor, not from the end.")
]


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def global_id(kind: str, local: UUID) -> strawberry.ID:
    """An id that is unique over all types; opaque to clients."""
    coded = binascii.b2a_base64(f"{kind}:".encode() + local.bytes, newline=False)
    return strawberry.ID(coded.translate(_URL_SAFE, b"=").decode())


def parts_of_id(given: str) -> tuple[str, UUID] | None:
    """What a global id is of, and the id inside it; None for what `global_id` did not make."""
    try:
        name, _, local = base64.b64decode(given + "=" * (-len(given) % 4), b"-_").partition(b":")
        kind, found = name.decode(), UUID(bytes=local)
    except (ValueError, binascii.Error):
        return None
    return (kind, found) if global_id(kind, found) == given else None


def local_id(kind: str, given: strawberry.ID, *, path: list[str]) -> UUID:
    """The id inside a global one. Raises InvalidInput for an id that is malformed or of another type."""
    parts = parts_of_id(given)
    if parts is None or parts[0] != kind:
        raise InvalidInput(f"This is not the id of a {kind}.", path=path)
    return parts[1]


@strawberry.type(description="Where a page begins and ends, and whether there is more.")
class PageInfo:
    """As Relay has it. On the side that a cursor was given for there is more: at least the cursor's own row."""

    has_next_page: bool = strawberry.field(
        description="Whether rows follow; asked for with `before`, that is taken for granted."
    )
    has_previous_page: bool = strawberry.field(
        description="Whether rows come before; asked for with `after`, that is taken for granted."
    )
    start_cursor: str | None = strawberry.field(
        description="Where the first row stands: give it as `before` to get the page before."
    )
    end_cursor: str | None = strawberry.field(
        description="Where the last row stands: give it as `after` to get the next page."
    )


@strawberry.type(description="A row and where it stands.")
class Edge(Generic[Node]):
    """One row of a connection."""

    cursor: str = strawberry.field(description="Where this row stands in the list.")
    node: Node = strawberry.field(description="The row.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    """A page with its edges."""

    count: strawberry.Private[Callable[[], Awaitable[int | None]]]
    edges: list[Edge[Node]] = strawberry.field(description="The rows with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page begins and ends.")

    @strawberry.field(  # type: ignore[untyped-decorator]  # the typed one, of engage.api.fields, needs this module
        description="How many rows the whole list has; null where there are more than 10,000. Counted if asked for."
    )
    async def total_count(self) -> int | None:
        """With the filters of the list, for who may see it: it was read before."""
        return await self.count()


def connection(page: Page[Row], node: Callable[[Row], Node]) -> Connection[Node]:
    """The page as a connection."""
    edges = [Edge(cursor=page.cursor(row), node=node(row)) for row in page.rows]
    return Connection(
        count=page.count,
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )
