"""Scalars.

They accept what their JSON type allows; the range is the command's to check, so that a negative number of points is
a problem in the payload and not a failed request.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from graphql.language import FloatValueNode, IntValueNode, StringValueNode, ValueNode

Points = NewType("Points", int)
Amount = NewType("Amount", Decimal)

DIGITS_MAX = 19
"""Those of a 64-bit integer. A longer number is infinite for us: Python reads none of thousands of digits."""

_DECIMAL = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?")
"""More digits than any column holds; Python's own notation would take 1_000 and digits of other scripts too."""


def _parse_points(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GraphQLError("Points are a JSON number without a fraction.")
    return int(value) if value == value // 1 and abs(value) < 10**DIGITS_MAX else value


def _parse_points_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> int | float:
    if isinstance(node, IntValueNode):
        return int(node.value) if len(node.value) <= DIGITS_MAX else math.inf
    if isinstance(node, FloatValueNode):
        return _parse_points(float(node.value))
    raise GraphQLError("Points are a number without a fraction.", node)


def _parse_amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise GraphQLError("An amount is a decimal number, best as a string.")
    text = str(value)
    return (
        Decimal(text) if _DECIMAL.fullmatch(text) else Decimal("NaN")
    )  # which the command refuses, naming the field


def _parse_amount_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> Decimal:
    if isinstance(node, IntValueNode | FloatValueNode | StringValueNode):
        return _parse_amount(node.value)
    raise GraphQLError("An amount is a decimal number, best as a string.", node)


POINTS = strawberry.scalar(
    name="Points",
    description="A number of points: an integer below 2^53, as a JSON number.",
    serialize=int,
    parse_value=_parse_points,
    parse_literal=_parse_points_literal,
)

AMOUNT = strawberry.scalar(
    name="Amount",
    description='A decimal number with up to four decimals, as a JSON string such as "12.50"; numbers are accepted.',
    serialize=lambda value: f"{value:f}",
    parse_value=_parse_amount,
    parse_literal=_parse_amount_literal,
)

SCALARS: dict[object, Any] = {Points: POINTS, Amount: AMOUNT}
