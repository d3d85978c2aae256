"""Whatever has a global id, found by it alone: `node` and `nodes`.

Each kind of id has one function that reads it (`engage.api.node_kinds`). A root field that looks up one kind
(`lot(id:)`) uses the same one, or its query, so an id opens no more here than there.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.fields import field
from engage.api.node_kinds import KINDS, Node
from engage.api.relay import parts_of_id
from engage.base.errors import InvalidInput, Refusal

IDS_MAX = 100
"""Ids that `nodes` takes at once: as many as a page has rows."""


async def _find(context: Context, given: strawberry.ID, path: list[str]) -> Node:
    parts = parts_of_id(given)
    if parts is None or parts[0] not in KINDS:
        raise InvalidInput("This is no id of anything that can be looked up; take it from a field `id`.", path=path)
    kind, local = parts
    try:
        return await KINDS[kind](context, local)
    except Refusal as refusal:
        if refusal.path is not None:
            refusal.path = path  # the query names the argument of the look-up of its own kind
        raise


@strawberry.type
class NodesQuery:
    """Look-ups of any kind."""

    @field(
        "Anything by its global id. Errors: INVALID_INPUT, NOT_FOUND, FORBIDDEN. "
        "Roles: those who may look at it elsewhere."
    )
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Global id.")],  # noqa: A002 -- the API's word
    ) -> Node | None:
        """Each kind by its own query."""
        context = context_of(info)
        _ = context.actor
        return await _find(context, id, ["id"])

    @field(
        "The same for many, each in the place of its id. One that is refused is null with an error at its place; the "
        "others are answered. Errors: INVALID_INPUT, NOT_FOUND, FORBIDDEN. Roles: those who may look at it elsewhere."
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description="Global ids, 1 to 100; the same one may come again.")
        ],
    ) -> list[Node | None]:
        """Of each kind they are read together."""
        context = context_of(info)
        _ = context.actor
        if not 1 <= len(ids) <= IDS_MAX:
            raise InvalidInput(f"Ask for 1 to {IDS_MAX} at once; {len(ids)} is outside.", path=["ids"])
        finding = (_find(context, one, ["ids", str(number)]) for number, one in enumerate(ids))
        found = await asyncio.gather(*finding, return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, Refusal):
                raise one
        return cast("list[Node | None]", found)  # the executor makes an error at its place of each refusal
