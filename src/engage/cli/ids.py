"""Ids that are typed: as the database has them, or as the API does."""

from __future__ import annotations

from uuid import UUID

from engage.base.errors import InvalidInput
from engage.cli.environment import fail


def typed_id(kind: str, given: str, hint: str, code: int = 2) -> UUID:
    """The id of a thing of this kind. Ends the program for what is none, with where to take one from."""
    try:
        return UUID(given)
    except ValueError:
        pass
    import strawberry  # noqa: PLC0415 -- GraphQL takes a second to load, and ids of the API alone need it

    from engage.api.relay import local_id  # noqa: PLC0415 -- the same

    try:
        return local_id(kind, strawberry.ID(given), path=["id"])
    except InvalidInput:
        fail(f"{given!r} is no {hint}", code)
