"""What an operation costs: the objects that it may have to read, known before anything is read.

docs/adr/0023-what-an-operation-costs.md tells the rules and why they are so. The document is gone through once, when
it is prepared; what is left for each request is arithmetic with the variables in page sizes, lists and directives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    type_from_ast,
    value_from_ast_untyped,
)

from engage.api.budget.prices import Price, Variable, figure, largest, times, total

AT_LEAST: Final = 1
"""Every operation costs something: it is read, checked and answered."""
OBJECT: Final = 1
MUTATION: Final = 10
SUBSCRIPTION: Final = 10
INTROSPECTION: Final = 100
"""`__schema` and `__type`: no rows are read, but a great deal is said."""
COUNT: Final = 10
"""The total of a list, for which up to 10,000 rows are counted."""
LIST_ASSUMED: Final = 10
"""Rows of a list that has a bound of its own and no argument that tells how many."""
PAGE_MAX: Final = 100

TOTAL: Final = "totalCount"
PAGED_BY: Final = ("first", "last")
CONNECTION: Final = "Connection"
WRAPPED_IN: Final = ("Edge", "PageInfo")
"""How the names of those objects end which only hold a page together."""

_ROOT: Final = {OperationType.MUTATION: MUTATION, OperationType.SUBSCRIPTION: SUBSCRIPTION}

Conditions = frozenset[tuple[str, bool, object]]
"""Under which variables something is read: their names, what they have to be, and their defaults."""
Grouped = dict[tuple[str, Conditions], list[FieldNode]]


def price_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Price:
    """What one operation of a validated document costs."""
    found = _Pricing(schema, document, operation).root(operation)
    return largest([AT_LEAST, found])


class _Pricing:
    """Goes through one operation. What is below one field for one type is priced once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self._defaults: dict[str, object] = {
            one.variable.name.value: value_from_ast_untyped(one.default_value)
            for one in operation.variable_definitions or ()
            if one.default_value is not None
        }
        self._known: dict[object, Price] = {}

    def root(self, operation: OperationDefinitionNode) -> Price:
        type_ = self._schema.get_root_type(operation.operation)
        if type_ is None:
            return 0
        each = _ROOT.get(operation.operation)
        grouped: Grouped = defaultdict(list)
        self._collect(type_, operation.selection_set, frozenset(), grouped, set())
        return self._fields(type_, grouped, None, each=each)

    def _fields(self, parent: GraphQLObjectType, grouped: Grouped, page: Price | None, *, each: int | None) -> Price:
        """All fields of one object. `each` is the price of a root field itself, in place of its object's."""
        prices: list[Price] = []
        for (_, conditions), nodes in grouped.items():
            price = self._field(parent, nodes, page, each)
            for name, wanted, default in conditions:
                price = times(figure(Variable(name, default), partial(_is, wanted)), price)
            prices.append(price)
        return total(prices)

    def _field(
        self, parent: GraphQLObjectType, nodes: list[FieldNode], page: Price | None, each: int | None
    ) -> Price:
        name = nodes[0].name.value
        if name in ("__schema", "__type"):
            return INTROSPECTION
        definition = self._schema.get_field(parent, name)
        if definition is None:
            return each or 0
        named = get_named_type(definition.type)
        if name == TOTAL and parent.name.endswith(CONNECTION):
            return COUNT
        if is_leaf_type(named):
            return each or 0
        own_page = self._page(definition, nodes[0])
        if not is_list_type(get_nullable_type(definition.type)):
            price = self._objects(named, nodes, own_page, each)
            if own_page is not None and named.name.endswith(CONNECTION):
                price = largest([total([OBJECT, own_page]), price])  # its rows are read, whatever is shown of them
            return price
        rows = own_page or page or self._length(definition, nodes[0])
        return times(rows, self._objects(named, nodes, None, each))

    def _objects(
        self, named: GraphQLNamedType, nodes: list[FieldNode], page: Price | None, each: int | None
    ) -> Price:
        """One object of a type, with what is selected of it: of several possible types the dearest."""
        if is_abstract_type(named):
            return largest([self._object(one, nodes, page, each) for one in self._schema.get_possible_types(named)])
        if isinstance(named, GraphQLObjectType):
            return self._object(named, nodes, page, each)
        return 0

    def _object(
        self, type_: GraphQLObjectType, nodes: list[FieldNode], page: Price | None, each: int | None
    ) -> Price:
        key = (type_.name, tuple(id(node) for node in nodes), page, each)
        if key not in self._known:
            grouped: Grouped = defaultdict(list)
            seen: set[tuple[str, Conditions]] = set()
            for node in nodes:
                self._collect(type_, node.selection_set, frozenset(), grouped, seen)
            itself = 0 if type_.name.endswith(WRAPPED_IN) else OBJECT
            price = total([itself if each is None else each, self._fields(type_, grouped, page, each=None)])
            self._known[key] = price
        return self._known[key]

    def _collect(
        self,
        type_: GraphQLObjectType,
        selections: SelectionSetNode | None,
        conditions: Conditions,
        grouped: Grouped,
        seen: set[tuple[str, Conditions]],
    ) -> None:
        """The fields that are asked of a type, by the name of their answer and by what they depend on."""
        for node in selections.selections if selections is not None else ():
            met = self._conditions(node.directives or (), conditions)
            if met is None:
                continue
            if isinstance(node, FieldNode):
                grouped[(node.alias or node.name).value, met].append(node)
                continue
            fragment: Any = node
            if isinstance(node, FragmentSpreadNode):
                if (node.name.value, met) in seen:
                    continue
                seen.add((node.name.value, met))
                fragment = self._fragments[node.name.value]
            if self._applies(fragment, type_):
                self._collect(type_, fragment.selection_set, met, grouped, seen)

    def _applies(self, fragment: Any, type_: GraphQLObjectType) -> bool:  # noqa: ANN401 -- a fragment, inline or not
        if fragment.type_condition is None:
            return True
        named = type_from_ast(self._schema, fragment.type_condition)
        return named is type_ or (is_abstract_type(named) and self._schema.is_sub_type(named, type_))

    def _conditions(self, directives: Sequence[DirectiveNode], outer: Conditions) -> Conditions | None:
        """What `@skip` and `@include` add; None where they leave it out whatever the variables are."""
        for directive in directives:
            wanted = {"skip": False, "include": True}.get(directive.name.value)
            if wanted is None or not directive.arguments:
                continue
            value = self._value(directive.arguments[0].value, None)
            if isinstance(value, Variable):
                outer |= {(value.name, wanted, value.default)}
            elif value is not wanted:
                return None
        return outer

    def _page(self, definition: GraphQLField, node: FieldNode) -> Price | None:
        """Rows of a page; None for a field that has none."""
        sizes = [
            figure(self._argument(definition.args[name], node, name), _page_size)
            for name in PAGED_BY
            if name in definition.args
        ]
        return largest(sizes) if sizes else None

    def _length(self, definition: GraphQLField, node: FieldNode) -> Price:
        """Rows of a list: as many as it is asked for by, such as ids."""
        for name, argument in definition.args.items():
            if is_list_type(get_nullable_type(argument.type)):
                return figure(self._argument(argument, node, name), _length)
        return LIST_ASSUMED

    def _argument(self, argument: GraphQLArgument, node: FieldNode, name: str) -> object:
        default = None if argument.default_value is Undefined else argument.default_value
        given = next((one.value for one in node.arguments or () if one.name.value == name), None)
        return default if given is None else self._value(given, default)

    def _value(self, node: ValueNode, default: object) -> object:
        """A value as it stands in the document; of a list its length matters alone, and it may hold variables."""
        if isinstance(node, VariableNode):
            return Variable(node.name.value, self._defaults.get(node.name.value, default))
        if isinstance(node, ListValueNode):
            return list(node.values)
        return value_from_ast_untyped(node)


def _is(wanted: object, value: object) -> int:
    return int(value is wanted)


def _page_size(value: object) -> int:
    """What is no page size will be refused: until then it counts as the largest. Null is a page of the other way."""
    if value is None:
        return 0
    return value if type(value) is int and 1 <= value <= PAGE_MAX else PAGE_MAX


def _length(value: object) -> int:
    """One that is no list stands for a list of itself."""
    return len(value) if isinstance(value, list) else int(value is not None)
