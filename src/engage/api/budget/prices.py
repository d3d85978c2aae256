"""Figures that are known now, or once the variables are: what is fixed is worked out a single time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Variables = Mapping[str, Any]
Price = int | Callable[[Variables], int]
"""A figure, or how to find it from the variables as they were sent."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An argument that is given by a variable; `default` holds where that is left out."""

    name: str
    default: object


def figure(value: object, measure: Callable[[object], int]) -> Price:
    """What `measure` makes of an argument's value."""
    if isinstance(value, Variable):
        name, default = value.name, value.default
        return lambda variables: measure(variables.get(name, default))
    return measure(value)


def total(prices: Iterable[Price]) -> Price:
    """Their sum."""
    fixed, open_ones = _parted(prices)
    known = sum(fixed)
    if not open_ones:
        return known
    return lambda variables: known + sum([one(variables) for one in open_ones])


def largest(prices: Iterable[Price]) -> Price:
    """The largest of them; 0 of none."""
    fixed, open_ones = _parted(prices)
    known = max(fixed, default=0)
    if not open_ones:
        return known
    return lambda variables: max(known, *[one(variables) for one in open_ones])


def times(factor: Price, price: Price) -> Price:
    """Their product."""
    if isinstance(factor, int) and isinstance(price, int):
        return factor * price
    if 0 in (factor, price):
        return 0
    return lambda variables: at(factor, variables) * at(price, variables)


def at(price: Price, variables: Variables) -> int:
    """The figure with these variables."""
    return price if isinstance(price, int) else price(variables)


def _parted(prices: Iterable[Price]) -> tuple[list[int], list[Callable[[Variables], int]]]:
    """Those that are fixed, and the others."""
    fixed: list[int] = []
    open_ones: list[Callable[[Variables], int]] = []
    for one in prices:
        if isinstance(one, int):
            fixed.append(one)
        else:
            open_ones.append(one)
    return fixed, open_ones
