"""What of a document is compiled, and the names of the variables that decide which fields are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import strawberry
from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

if TYPE_CHECKING:
    from graphql import DocumentNode, GraphQLObjectType, GraphQLSchema

# Every set of values of these variables has a plan of its own: five of them make 32 plans at most.
MAX_CONDITIONS = 5


class UnsupportedError(Exception):
    """The operation has something that the compiler leaves to graphql-core."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of a document with all that collecting its fields needs."""

    schema: GraphQLSchema
    strawberry_schema: strawberry.Schema
    node: OperationDefinitionNode
    root_type: GraphQLObjectType
    fragments: dict[str, FragmentDetails]
    conditions: tuple[str, ...]
    """Variables that stand in `@skip` and `@include`."""

    @property
    def fragment_definitions(self) -> dict[str, FragmentDefinitionNode]:
        """The fragments as resolvers see them in their `info`."""
        return {name: fragment.definition for name, fragment in self.fragments.items()}


def read_operation(
    schema: GraphQLSchema, document: DocumentNode, name: str | None, kinds: set[OperationType]
) -> Operation:
    """Find the operation and see that it can be compiled; the document has been validated before.

    Raises UnsupportedError for: no such operation or another kind, introspection, directives other than `@skip`
    and `@include`, fragment variables, more than MAX_CONDITIONS variables in directives.
    """
    if schema.get_directive("defer") or schema.get_directive("stream"):
        raise UnsupportedError("incremental delivery")
    strawberry_schema = (schema.extensions or {}).get("strawberry-definition")
    if not isinstance(strawberry_schema, strawberry.Schema):
        raise UnsupportedError("not a schema of strawberry")
    if strawberry_schema.execution_context_class is not StrawberryGraphQLCoreExecutionContext:
        raise UnsupportedError("an executor of its own")
    node = _operation_node(document, name)
    root_type = schema.get_root_type(node.operation)
    if node.operation not in kinds or root_type is None:
        raise UnsupportedError("kind of operation")
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    inspector = _Inspector()
    for definition in (node, *fragments):
        visit(definition, inspector)
    own_variables = {variable.variable.name.value for variable in node.variable_definitions or ()}
    conditions = tuple(name for name in inspector.conditions if name in own_variables)
    if len(conditions) > MAX_CONDITIONS:
        raise UnsupportedError("too many variables in directives")
    return Operation(
        schema=schema,
        strawberry_schema=strawberry_schema,
        node=node,
        root_type=root_type,
        fragments={fragment.name.value: FragmentDetails(fragment) for fragment in fragments},
        conditions=conditions,
    )


def _operation_node(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if name is not None:
        operations = [node for node in operations if node.name and node.name.value == name]
    if len(operations) != 1:
        raise UnsupportedError("operation not found")
    return operations[0]


class _Inspector(Visitor):
    """Refuses what is not compiled and gathers the variables that stand in directives."""

    def __init__(self) -> None:
        super().__init__()
        self.conditions: dict[str, None] = {}

    def enter_field(self, node: FieldNode, *_: object) -> None:
        if node.name.value in {"__schema", "__type"}:
            raise UnsupportedError("introspection")

    def enter_fragment_definition(self, node: FragmentDefinitionNode, *_: object) -> None:
        if node.variable_definitions:
            raise UnsupportedError("fragment variables")

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        if node.name.value not in {"skip", "include"}:
            raise UnsupportedError("directive")
        for argument in node.arguments or ():
            if isinstance(argument.value, VariableNode):
                self.conditions[argument.value.name.value] = None
