"""How strawberry gets the value of a field, with what it wraps around a resolver left out where it does nothing.

strawberry gives graphql-core one of three functions for a field: a plain attribute read, or a synchronous or
asynchronous wrapper around the resolver that converts arguments and runs field extensions (permissions too). A
field is read or called directly only when it is shown that the wrapper would do just that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import getitem
from typing import TYPE_CHECKING, Any

from graphql.execution import Executor
from graphql.pyutils import Path
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from engage.api.compiler.arguments import argument_conversion, argument_values

if TYPE_CHECKING:
    from graphql import GraphQLField
    from strawberry import Schema

    from engage.api.compiler.selection import Field

Call = Callable[[Executor[Any], object, Path], object]
"""Gets the value of a field: executor, source, path of the field."""

_WRAPPERS = "GraphQLCoreConverter.from_resolver.<locals>."


@dataclass(frozen=True, slots=True)
class Attribute:
    """A value that strawberry reads off the source object."""

    name: str
    is_item: bool
    """Read as `source[name]`; otherwise as `source.name`."""


def plain_attribute(definition: GraphQLField) -> Attribute | None:
    """Name the attribute behind a field that has neither resolver nor extension nor exception handler."""
    field = _strawberry_field(definition)
    if field is None or _wrapper(definition) != "_get_basic_result":
        return None
    read = field.default_resolver
    if read is not getattr and read is not getitem:
        return None
    return Attribute(field.python_name, is_item=read is getitem)


def resolver_call(strawberry_schema: Schema, field: Field) -> Call:
    """Make the function that gets the field's value, once, with all that does not change prepared."""
    if field.attribute is not None:
        return _attribute_call(field.attribute)
    return _direct_call(strawberry_schema, field) or _wrapped_call(field)


def _attribute_call(attribute: Attribute) -> Call:
    read: Callable[[Any, Any], object] = getitem if attribute.is_item else getattr
    name = attribute.name
    return lambda _executor, source, _path: read(source, name)


def _wrapped_call(field: Field) -> Call:
    """Call strawberry's wrapper just as graphql-core does."""
    definition, nodes, parent = field.definition, field.nodes, field.parent
    resolve = definition.resolve
    arguments = argument_values(definition, nodes[0])

    def call(executor: Executor[Any], source: object, path: Path) -> object:
        info = executor.build_resolve_info(definition, nodes, parent, path)
        values = arguments(executor.variable_values)
        return (resolve or executor.field_resolver)(source, info, **values)

    return call


def _direct_call(strawberry_schema: Schema, selected: Field) -> Call | None:
    """Call the resolver function itself: for resolvers without field extensions and exception handlers."""
    definition, nodes, parent = selected.definition, selected.nodes, selected.parent
    field = _strawberry_field(definition)
    if field is None or _wrapper(definition) not in {"_resolver", "_async_resolver"}:
        return None
    resolver = field.base_resolver
    if type(resolver) is not StrawberryResolver or field.extensions or strawberry_schema.exception_handlers:
        return None
    function = resolver.wrapped_func
    if isinstance(function, (staticmethod, classmethod)):
        return None
    by_position = resolver.self_parameter is not None
    by_name = [item.name for item in (resolver.parent_parameter, resolver.root_parameter) if item]
    info_name = resolver.info_parameter.name if resolver.info_parameter else None
    info_class = strawberry_schema.config.info_class
    arguments = argument_values(definition, nodes[0])
    convert, conversion_needs_info = argument_conversion(strawberry_schema, field)
    needs_info = conversion_needs_info or info_name is not None

    def call_with_source(_executor: Executor[Any], source: object, _path: Path) -> object:
        return function(source)

    def call(executor: Executor[Any], source: object, path: Path) -> object:
        info = None
        if needs_info:
            info = info_class(_raw_info=executor.build_resolve_info(definition, nodes, parent, path), _field=field)
        values = convert(arguments(executor.variable_values), info)
        values.update(dict.fromkeys(by_name, source))
        if info_name is not None:
            values[info_name] = info
        return function(source, **values) if by_position else function(**values)

    takes_source_alone = by_position and not by_name and info_name is None and not definition.args
    return call_with_source if takes_source_alone else call


def _strawberry_field(definition: GraphQLField) -> StrawberryField | None:
    """Give strawberry's own field, unless a subclass gets its value in another way."""
    field = (definition.extensions or {}).get("strawberry-definition")
    if isinstance(field, StrawberryField) and type(field).get_result is StrawberryField.get_result:
        return field
    return None


def _wrapper(definition: GraphQLField) -> str | None:
    """Name which of strawberry's functions graphql-core would call for the field."""
    name = getattr(definition.resolve, "__qualname__", "")
    return name.removeprefix(_WRAPPERS) if name.startswith(_WRAPPERS) else None
