"""Decorators for resolvers, with types that checkers understand, and the one way to make a mutation."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import strawberry

from engage.api.errors import problem_of
from engage.base.errors import Refusal, Unauthenticated

F = TypeVar("F", bound=Callable[..., Any])


def field(description: str) -> Callable[[F], F]:
    """Make a method a field that is resolved by it."""
    return cast("Callable[[F], F]", strawberry.field(description=description))


def subscription(description: str) -> Callable[[F], F]:
    """Make an asynchronous generator a subscription."""
    return cast("Callable[[F], F]", strawberry.subscription(description=description))


def mutation(description: str) -> Callable[[F], F]:
    """Make a method a mutation that answers refusals as problems of its result union.

    Who calls without a token gets a top-level error instead.
    """

    def decorate(resolver: F) -> F:
        return cast("F", strawberry.mutation(_answering_problems(resolver), description=description))

    return decorate


def _answering_problems(resolver: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(resolver)
    async def answer(*args: object, **kwargs: object) -> object:
        try:
            return await resolver(*args, **kwargs)
        except Unauthenticated:
            raise
        except Refusal as refusal:
            return problem_of(refusal)

    return answer
