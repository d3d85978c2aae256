"""Arguments and variables, prepared as far as the document alone decides them.

Whatever is not simple (a literal of an input type, a null, a default of a variable, a wrong value) is done by
graphql-core's and strawberry's own functions, each time, with their errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLBoolean,
    GraphQLError,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLString,
    Undefined,
    VariableNode,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_enum_type,
    is_non_null_type,
    visit,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import (
    VariableValues,
    VariableValueSource,
    coerce_argument,
    get_argument_values,
    get_variable_values,
)
from strawberry.types.arguments import convert_argument

from engage.api.compiler.inputs import prepare_conversion

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql import ArgumentNode, FieldNode, GraphQLArgument, GraphQLField, GraphQLInputType, GraphQLSchema
    from graphql.language import VariableDefinitionNode
    from strawberry import Info, Schema
    from strawberry.types.field import StrawberryField

MAX_COERCION_ERRORS = 50
"""Errors of variables reported at most, as `graphql.execute` does."""

_IMMUTABLE_SCALARS = {GraphQLBoolean, GraphQLFloat, GraphQLID, GraphQLInt, GraphQLString}
_INT_RANGE = range(-(2**31), 2**31)
_CLASSES = {GraphQLBoolean: bool, GraphQLID: str, GraphQLString: str, GraphQLInt: int}
"""Built-in scalars and the class of a value that is its own coercion (an Int within its range)."""


class OperationVariables:
    """Coerces the variables of one operation."""

    def __init__(
        self, schema: GraphQLSchema, nodes: tuple[VariableDefinitionNode, ...], *, hide_suggestions: bool = False
    ) -> None:
        self._schema = schema
        self._hide_suggestions = hide_suggestions
        self._nodes = nodes
        self._prepared: list[tuple[str, type, VariableValueSource, bool]] | None = []
        for node in nodes:
            signature = get_variable_signature(schema, node)
            class_ = None if isinstance(signature, GraphQLError) else _class_of(signature.type)
            if isinstance(signature, GraphQLError) or class_ is None:
                self._prepared = None
                break
            may_be_left_out = node.default_value is None and not is_non_null_type(signature.type)
            self._prepared.append((signature.name, class_, VariableValueSource(signature), may_be_left_out))

    def coerce(self, inputs: dict[str, Any]) -> VariableValues | list[GraphQLError]:
        """Give the values of the variables, or the errors of the request."""
        return self._simple(inputs) or get_variable_values(
            self._schema,
            self._nodes,
            inputs,
            max_errors=MAX_COERCION_ERRORS,
            hide_suggestions=self._hide_suggestions,
        )

    def _simple(self, inputs: dict[str, Any]) -> VariableValues | None:
        if self._prepared is None:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for name, class_, source, may_be_left_out in self._prepared:
            value = inputs.get(name, Undefined)
            if value is Undefined and may_be_left_out:
                sources[name] = source
            elif value.__class__ is class_ and (class_ is not int or value in _INT_RANGE):
                sources[name] = VariableValueSource(source.signature, value)
                coerced[name] = value
            else:
                return None
        return VariableValues(sources, coerced)


def argument_values(definition: GraphQLField, node: FieldNode) -> Callable[[VariableValues], dict[str, Any]]:
    """Make the function that coerces the arguments of a field: `get_argument_values`."""
    nodes = {argument.name.value: argument for argument in node.arguments or ()}
    constants: dict[str, Any] = {}
    variables: list[tuple[str, str]] = []

    def coerce(values: VariableValues) -> dict[str, Any]:
        return get_argument_values(definition, node, values)

    for name, argument in definition.args.items():
        given = nodes.get(name)
        if given is not None and isinstance(given.value, VariableNode):
            variables.append((argument.out_name or name, given.value.name.value))
            continue
        if not _is_constant(argument, given):
            return coerce
        try:
            coerce_argument(constants, node, name, argument, given, VariableValues({}, {}), None)
        except GraphQLError:
            return coerce  # raised again, with its place, whenever the field is resolved

    def fill_in(values: VariableValues) -> dict[str, Any]:
        arguments = dict(constants)
        for name, variable in variables:
            value = values.coerced.get(variable)
            if value is None:  # left out or null: whether that is allowed is not simple
                return coerce(values)
            arguments[name] = value
        return arguments

    return fill_in


def argument_conversion(
    strawberry_schema: Schema, field: StrawberryField
) -> tuple[Callable[[dict[str, Any], Info[Any, Any] | None], dict[str, Any]], bool]:
    """Make the function from GraphQL arguments to those of the resolver, and tell whether it looks at `info`.

    It does what strawberry's `convert_arguments` does.
    """
    config, registry = strawberry_schema.config, strawberry_schema.schema_converter.scalar_registry
    arguments = [
        (
            config.name_converter.from_argument(item),
            item.python_name,
            item.type,
            prepare_conversion(strawberry_schema, item.type),
        )
        for item in field.arguments
    ]

    def convert(values: dict[str, Any], info: Info[Any, Any] | None) -> dict[str, Any]:
        converted: dict[str, Any] = {}
        for name, python_name, type_, prepared in arguments:
            if name in values:
                value = values[name]
                converted[python_name] = (
                    prepared(value)
                    if prepared is not None
                    else convert_argument(value, type_, registry, config, info, path=(name,))
                )
        return converted

    return convert, not all(prepared for *_, prepared in arguments)


def _class_of(type_: GraphQLInputType) -> type | None:
    nullable = get_nullable_type(type_)
    return next((class_ for scalar, class_ in _CLASSES.items() if scalar is nullable), None)


class _VariableFinder(Visitor):
    found = False

    def enter_variable(self, _node: VariableNode, *_: object) -> None:
        self.found = True


def _is_constant(argument: GraphQLArgument, node: ArgumentNode | None) -> bool:
    """Tell whether the value is the same for every call, and cannot be changed by one (strawberry copies lists)."""
    named = get_named_type(argument.type)
    if named not in _IMMUTABLE_SCALARS and not is_enum_type(named):
        return False
    finder = _VariableFinder()
    if node is not None:
        visit(node, finder)
    return not finder.found
