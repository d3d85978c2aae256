"""Decorators for resolvers, with types that checkers understand, and the one way to make a mutation."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import strawberry
import structlog
from strawberry.types import Info
from strawberry.utils.str_converters import to_camel_case

from engage.api.context import Context, context_of
from engage.api.errors import BUSY, meaning, problem_of
from engage.api.relay import parts_of_id
from engage.base import audit, db
from engage.base.errors import InvalidInput, OutcomeUnknown, Refusal, Unauthenticated, Unavailable

log = structlog.get_logger(__name__)

_ID = re.compile(r"(^|_)id$")

F = TypeVar("F", bound=Callable[..., Any])


def field(description: str) -> Callable[[F], F]:
    """Make a method a field that is resolved by it."""
    return cast("Callable[[F], F]", strawberry.field(description=description))


def subscription(description: str) -> Callable[[F], F]:
    """Make an asynchronous generator a subscription."""
    return cast("Callable[[F], F]", strawberry.subscription(description=description))


def mutation(description: str) -> Callable[[F], F]:
    """Make a method a mutation that answers refusals as problems of its result union.

    Who calls without a token gets a top-level error instead. What is refused before its command has begun is recorded
    under the mutation's name, which is the command's.
    """

    def decorate(resolver: F) -> F:
        return cast("F", strawberry.mutation(_answering_problems(resolver), description=description))

    return decorate


def _answering_problems(resolver: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(resolver)
    async def answer(source: object, *, info: Info, **given: object) -> object:
        context = context_of(info)
        audit.expect_command()
        try:
            async with asyncio.timeout_at(context.deadline):
                return await resolver(source, info=info, **given)
        except Unauthenticated:
            raise
        except Refusal as refusal:
            await _record(context, resolver.__name__, given, refusal)
            return problem_of(refusal)
        except Exception as error:
            await _record(context, resolver.__name__, given, error)
            told = _refusal(error, given)
            if told is None:
                raise
            log.warning("command failed", request_id=context.request_id, reason=type(error).__name__, code=told.code)
            return problem_of(told)

    return answer


async def _record(context: Context, command: str, given: dict[str, object], error: Exception) -> None:
    """Record what has failed before a command of a known caller has begun: commands record themselves."""
    if context.caller is not None and not audit.has_begun():
        await db.record_refused(context.caller, command, _ids_in(given.get("data")), error)


def _ids_in(data: object) -> dict[str, object]:
    """The ids in an input, by the names of its fields, as far as they are ids."""
    if not dataclasses.is_dataclass(data):
        return {}
    named = {one.name: getattr(data, one.name) for one in dataclasses.fields(data)}
    found = {name: parts_of_id(text) for name, text in named.items() if _ID.search(name) and isinstance(text, str)}
    return {name: parts[1] for name, parts in found.items() if parts is not None}


def _refusal(error: Exception, given: dict[str, object]) -> Refusal | None:
    """What a failed command is to its caller, where it can be told: a bad value, or that it may have happened."""
    found = meaning(error)
    if isinstance(found, InvalidInput):
        found.path = _path_of_nul(given.get("data"), [])
        return found
    certain = isinstance(error, (Unavailable, *BUSY))
    if isinstance(found, (TimeoutError, Unavailable)) and not certain:
        return OutcomeUnknown("This may have happened; repeat it, with the same key where it takes one.")
    return None


def _path_of_nul(value: object, path: list[str]) -> list[str] | None:
    """The field of an input that holds the character U+0000."""
    if isinstance(value, str):
        return path if "\0" in value else None
    inner: list[tuple[str, object]] = []
    if isinstance(value, list):
        inner = [(str(number), one) for number, one in enumerate(value)]
    elif dataclasses.is_dataclass(value):
        inner = [(to_camel_case(one.name), getattr(value, one.name)) for one in dataclasses.fields(value)]
    found = (_path_of_nul(one, [*path, name]) for name, one in inner)
    return next((one for one in found if one is not None), None)
