"""What the inputs of many commands have in common, in the same words everywhere."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import strawberry

from engage.api.ledger_problems import MemberNotActive
from engage.api.problems import Forbidden, IdempotencyConflict, InvalidInput, NotFound, OutcomeUnknown
from engage.domains.ledger import types as plain

DEFAULT_PROGRAM = "default"

Program = Annotated[str, strawberry.argument(description="Code of the program.")]

Usual: TypeAlias = InvalidInput | NotFound | Forbidden | MemberNotActive | IdempotencyConflict | OutcomeUnknown
"""What can stand in the way of every command that moves something."""


@strawberry.input(description="What a transfer goes back to: codes and ids, nothing about a person.")
class CauseInput:
    """A reference of the caller's."""

    type: str = strawberry.field(description="1 to 32 characters, such as order.")
    id: str = strawberry.field(description="1 to 80 characters.")


def plain_cause(given: CauseInput | None) -> plain.Cause | None:
    """The reference as commands take it."""
    return None if given is None else plain.Cause(given.type, given.id)


def key_field() -> Any:  # noqa: ANN401 -- as the library's own function, and so the others
    """The idempotency key."""
    return strawberry.field(description="Repeat with the same key to get the first answer again.")


def program_field() -> Any:  # noqa: ANN401
    """The program, by default the one that an installation begins with."""
    return strawberry.field(default=DEFAULT_PROGRAM, description="Code of the program.")


def amount_field(description: str = "How many, 1 or more.") -> Any:  # noqa: ANN401
    """A number of points, or an amount of money."""
    return strawberry.field(description=description)


def part_field(description: str) -> Any:  # noqa: ANN401
    """A part of something, all of it if it is left out."""
    return strawberry.field(default=None, description=description)


def reason_field(default: str) -> Any:  # noqa: ANN401
    """A reason code."""
    return strawberry.field(default=default, description="A code of A-Z, 0-9 and _.")


def cause_field(description: str) -> Any:  # noqa: ANN401
    """What the transfer goes back to."""
    return strawberry.field(default=None, description=description)


def deadline_field() -> Any:  # noqa: ANN401
    """Until when something is held."""
    return strawberry.field(
        default=None,
        description="Given back from then on; in a day if left out. Not later than the program's policy allows.",
    )
