"""The fields an operation reads, collected once: merged over fragments, one set for each runtime type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphql import GraphQLObjectType, get_named_type, is_abstract_type, is_leaf_type
from graphql.execution.collect_fields import GroupedFieldSet, collect_fields, collect_subfields

from engage.api.compiler.document import UnsupportedError
from engage.api.compiler.resolvers import Attribute, plain_attribute

if TYPE_CHECKING:
    from graphql import FieldNode, GraphQLField, GraphQLNamedType
    from graphql.execution.collect_fields import FieldDetailsList
    from graphql.execution.values import VariableValues

    from engage.api.compiler.document import Operation

# An operation over interfaces with many types can name few fields and still read very many.
MAX_FIELDS = 2_000
MAX_DEPTH = 40


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One response key of an object: where its value comes from and what is read of it."""

    key: str
    details: FieldDetailsList
    definition: GraphQLField
    parent: GraphQLObjectType
    attribute: Attribute | None
    """The attribute of the source that holds the value, if no resolver does."""
    children: dict[str, Selection]
    """What is read of the value, by the name of its runtime type; empty for scalars and enums."""
    value_is_plain: bool
    """Whether the value, once there, is completed by reading attributes alone."""

    @property
    def nodes(self) -> list[FieldNode]:
        """The places in the document that ask for this field."""
        return [detail.node for detail in self.details]

    @property
    def is_typename(self) -> bool:
        """Whether this is `__typename`, a constant once the runtime type is known."""
        return self.details[0].node.name.value == "__typename"

    @property
    def is_plain(self) -> bool:
        """Whether the whole field is read without any resolver."""
        return self.is_typename or (self.attribute is not None and self.value_is_plain)


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The fields read of one object type at one place of the document."""

    type: GraphQLObjectType
    grouped: GroupedFieldSet
    fields: list[Field]
    is_plain: bool
    """Whether no field of it, at any depth, has a resolver."""


def root_selection(operation: Operation, variables: VariableValues) -> Selection:
    """Collect all that the operation reads under these variables.

    Of the variables only those in directives matter. Raises UnsupportedError when there is too much to compile
    and GraphQLError when a directive's argument is wrong.
    """
    collected = collect_fields(operation.schema, operation.fragments, variables, operation.root_type, operation.node)
    return _Collector(operation, variables).selection(operation.root_type, collected.grouped_field_set, 0)


class _Collector:
    """Walks the document type by type; counts fields so that a hostile document stays small."""

    def __init__(self, operation: Operation, variables: VariableValues) -> None:
        self._operation = operation
        self._variables = variables
        self._fields = 0

    def selection(self, type_: GraphQLObjectType, grouped: GroupedFieldSet, depth: int) -> Selection:
        self._fields += len(grouped)
        if self._fields > MAX_FIELDS or depth > MAX_DEPTH:
            raise UnsupportedError("operation too large")
        fields = [self._field(type_, key, details, depth) for key, details in grouped.items()]
        return Selection(type_, dict(grouped), fields, all(field.is_plain for field in fields))

    def _field(self, parent: GraphQLObjectType, key: str, details: FieldDetailsList, depth: int) -> Field:
        definition = self._operation.schema.get_field(parent, details[0].node.name.value)
        if definition is None:
            raise UnsupportedError("unknown field")
        named_type = get_named_type(definition.type)
        children = {
            type_.name: self.selection(type_, self._subfields(type_, details), depth + 1)
            for type_ in self._runtime_types(named_type)
        }
        return Field(
            key=key,
            details=details,
            definition=definition,
            parent=parent,
            attribute=plain_attribute(definition),
            children=children,
            value_is_plain=all(child.is_plain for child in children.values()),
        )

    def _runtime_types(self, named_type: GraphQLNamedType) -> list[GraphQLObjectType]:
        if is_leaf_type(named_type):
            return []
        if isinstance(named_type, GraphQLObjectType):
            return [named_type]
        if is_abstract_type(named_type):
            return list(self._operation.schema.get_possible_types(named_type))
        raise UnsupportedError("type of field")

    def _subfields(self, type_: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
        operation = self._operation
        return collect_subfields(
            operation.schema, operation.fragments, self._variables, operation.node, type_, details
        ).grouped_field_set
