"""Global ids and keyset connections, as Relay's specifications describe them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Generic, TypeVar
from uuid import UUID

import strawberry

from engage.base.errors import InvalidInput
from engage.base.paging import Page

Node = TypeVar("Node")
Row = TypeVar("Row")
Key = TypeVar("Key")

First = Annotated[int, strawberry.argument(description="How many to answer, 1 to 100.")]
After = Annotated[
    str | None, strawberry.argument(description="Answer those behind this cursor; leave out for the first page.")
]


def global_id(kind: str, local: UUID) -> strawberry.ID:
    """An id that is unique over all types; opaque to clients."""
    coded = base64.b64encode(f"{kind}:".encode() + local.bytes, b"-_")
    return strawberry.ID(coded.rstrip(b"=").decode())


def local_id(kind: str, given: strawberry.ID, *, path: list[str]) -> UUID:
    """The id inside a global one. Raises InvalidInput for an id that is malformed or of another type."""
    name, found = parts_of_id(given) or ("", None)
    if found is None or name != kind:
        raise InvalidInput(f"This is not the id of a {kind}.", path=path)
    return found


def parts_of_id(given: str) -> tuple[str, UUID] | None:
    """Type and local id of a global one; None for what is none."""
    try:
        name, _, local = base64.b64decode(given + "=" * (-len(given) % 4), b"-_").partition(b":")
        kind, found = name.decode("ascii"), UUID(bytes=local)
    except (ValueError, binascii.Error):
        return None
    return (kind, found) if global_id(kind, found) == given else None


def keyset(begins: Callable[[str | None], Key], after: str | None) -> Key:
    """Where a page begins that comes after a cursor. Raises InvalidInput for a cursor with other values in it."""
    try:
        return begins(after)
    except ValueError as error:
        raise InvalidInput(
            "This is not a cursor of this list; take one from pageInfo or edges.", path=["after"]
        ) from error


@strawberry.type(description="Where a page ends, and whether there is more.")
class PageInfo:
    """As Relay has it; lists here go forward only."""

    has_next_page: bool = strawberry.field(description="Whether rows follow.")
    end_cursor: str | None = strawberry.field(description="Give it as `after` to get the next page.")


@strawberry.type(description="A row and where it stands.")
class Edge(Generic[Node]):
    """One row of a connection."""

    cursor: str = strawberry.field(description="Where this row stands in the list.")
    node: Node = strawberry.field(description="The row.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    """A page with its edges."""

    edges: list[Edge[Node]] = strawberry.field(description="The rows with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page ends.")


def connection(page: Page[Row], node: Callable[[Row], Node], cursor: Callable[[Row], str]) -> Connection[Node]:
    """The page as a connection."""
    edges = [Edge(cursor=cursor(row), node=node(row)) for row in page.rows]
    return Connection(
        edges=edges,
        page_info=PageInfo(has_next_page=page.has_next, end_cursor=edges[-1].cursor if edges else None),
    )
