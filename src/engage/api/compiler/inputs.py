"""Conversion of GraphQL inputs to strawberry's input classes, prepared once per type.

It does what strawberry's `convert_argument` does, which looks every field's type up again for every value.
"""

from __future__ import annotations

from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

from strawberry.relay import GlobalID
from strawberry.schema.compat import is_scalar
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional, has_object_definition
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.unset import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from strawberry import Schema

DEPTH_MAX = 8
"""Inputs nested deeper, or in themselves, are left to strawberry."""


def prepare_conversion(schema: Schema, type_: Any, depth: int = 0) -> Callable[[Any], Any] | None:  # noqa: ANN401 -- strawberry's types
    """Make the conversion of values of one type; None when it has something that is strawberry's to do."""
    if isinstance(type_, StrawberryMaybe) or type_ is GlobalID or depth > DEPTH_MAX:
        return None
    if isinstance(type_, StrawberryOptional):
        return prepare_conversion(schema, type_.of_type, depth)
    if isinstance(type_, StrawberryList):
        return _list(prepare_conversion(schema, type_.of_type, depth + 1))
    if passes_as_is(schema, type_):
        return _as_it_is
    if has_object_definition(type_):
        return _object(schema, type_, depth)
    return None


def passes_as_is(schema: Schema, type_: Any) -> bool:  # noqa: ANN401 -- strawberry's types
    """Tell whether values reach the resolver as graphql-core coerced them: scalars and enums."""
    if type_ is GlobalID:
        return False
    is_enum = isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_)
    return is_enum or is_scalar(type_, schema.schema_converter.scalar_registry)


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 -- any value
    return value


def _list(item: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if item is None:
        return None

    def convert(value: Any) -> Any:  # noqa: ANN401 -- any value
        return value if value is None or value is UNSET else [item(one) for one in value]

    return convert


def _object(schema: Schema, type_: Any, depth: int) -> Callable[[Any], Any] | None:  # noqa: ANN401 -- strawberry's types
    definition = type_.__strawberry_definition__
    if not definition.is_input or definition.from_input is not None:
        return None
    fields: list[tuple[str, str, Callable[[Any], Any]]] = []
    absent: dict[str, None] = {}
    for field in definition.fields:
        convert_field = prepare_conversion(schema, field.resolve_type(type_definition=definition), depth + 1)
        if convert_field is None:
            return None
        fields.append((schema.config.name_converter.from_field(field), field.python_name, convert_field))
        if field.default_value is MISSING and field.default_factory is MISSING:
            absent[field.python_name] = None

    def convert(value: Any) -> Any:  # noqa: ANN401 -- any value
        if value is None or value is UNSET:
            return value
        found: dict[str, Any] = dict(absent)
        for name, python_name, convert_field in fields:
            if name in value:
                found[python_name] = convert_field(value[name])
        return type_(**found)

    return convert
