"""What has a global id, and how each kind of it is read by that alone.

Each API file registers its kinds beside their types; `engage.api.nodes` looks them up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.relay import local_id


@strawberry.interface(description="What has a global id, by which `node` and `nodes` find it.")
class Node:
    """As Relay has it."""

    id: strawberry.ID = strawberry.field(description="Global id.")


N = TypeVar("N", bound=Node)
ById = Callable[[Context, UUID], Awaitable[N]]
LookUp = Callable[[Info, strawberry.ID], Awaitable[N]]

KINDS: dict[str, ById[Node]] = {}
"""What reads each kind of id."""


def by_id(kind: str) -> Callable[[ById[N]], LookUp[N]]:
    """Have a function read all ids of a kind. It raises the refusals of its query, which checks who asks.

    What it reads through `Together` is read in one statement, however many ids are asked for. It becomes the look-up
    of this kind alone, for a root field with the argument `id`: that raises Unauthenticated and InvalidInput, too.
    """

    def register(read: ById[N]) -> LookUp[N]:
        if kind in KINDS:
            raise ValueError(f"Ids of the kind {kind} are read already.")
        KINDS[kind] = read

        async def look_up(info: Info, given: strawberry.ID) -> N:
            context = context_of(info)
            _ = context.actor
            return await read(context, local_id(kind, given, path=["id"]))

        return look_up

    return register
