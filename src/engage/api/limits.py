"""What a document may ask for at most, measured before it is validated: validation can be made to work for long too.

Fragments count wherever they are spread, and are measured once. Each limit has its own code and names the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from engage.base.errors import Refusal

TOKENS_MAX: Final = 1_000
LIST_MAX: Final = 1_000
"""Items of a list in the variables. Commands take fewer, but for bulk ones; in a document tokens limit them."""

LIMITS: Final = (
    ("depth", 12, "TOO_DEEP", "goes at most {most} levels deep"),
    ("root_fields", 10, "TOO_MANY_ROOT_FIELDS", "has at most {most} fields at its top"),
    ("fields", 500, "TOO_MANY_FIELDS", "has at most {most} fields"),
    ("aliases", 15, "TOO_MANY_ALIASES", "has at most {most} aliases, a field that is asked for again being one"),
    ("directives", 50, "TOO_MANY_DIRECTIVES", "has at most {most} directives"),
)
"""What is measured of an operation, how much of it there may be, and how that is told."""

INTROSPECTION: Final = frozenset({"__schema", "__type"})
"""How deep these go is limited by a rule of graphql-core; where introspection is off they are refused anyway."""


@dataclass(slots=True)
class Size:
    """How large a selection is, with all that its fragments stand for."""

    depth: int = 0
    root_fields: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0

    def add(self, inner: Size) -> None:
        """Take in what stands beside it: a fragment."""
        self.root_fields += inner.root_fields
        self._add(inner, inner.depth)

    def add_field(self, inner: Size, *, again: bool) -> None:
        """Take in a field with what is selected of it. `again`: it has an alias, or was asked for before."""
        self.root_fields += 1
        self.fields += 1
        self.aliases += again
        self._add(inner, inner.depth + 1)

    def _add(self, inner: Size, depth: int) -> None:
        self.depth = max(self.depth, depth)
        self.fields += inner.fields
        self.aliases += inner.aliases
        self.directives += inner.directives


def exceeded(document: DocumentNode) -> list[GraphQLError]:
    """What is too much of a document: one error for each limit, none where all is within them."""
    measuring = _Measuring(document)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    sizes = [measuring.operation(node) for node in operations]
    return [
        _error(code, most, f"A document {told.format(most=most)}.")
        for name, most, code, told in LIMITS
        if any(getattr(size, name) > most for size in sizes)
    ]


def too_many_tokens() -> GraphQLError:
    """The error of a document that the parser did not read to its end."""
    return _error("TOO_MANY_TOKENS", TOKENS_MAX, f"A document has at most {TOKENS_MAX} tokens.")


class ListTooLong(Refusal):
    """A list in the variables has more items than any command takes."""

    code = "LIST_TOO_LONG"


def check_lists(variables: dict[str, Any] | None) -> None:
    """Look through the variables before they are coerced. Raises ListTooLong with the list's path."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), variables)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, list) and len(value) > LIST_MAX:
            told = f"A list in the variables has at most {LIST_MAX:,} items."
            raise ListTooLong(told, path=list(path), limit=LIST_MAX)
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [((*path, str(name)), one) for name, one in inner if isinstance(one, dict | list)]


def _error(code: str, most: int, message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code, "limit": most})


class _Measuring:
    """Measures the operations of one document."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = document.definitions
        self._fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
        self._known: dict[str, Size] = {}

    def operation(self, node: OperationDefinitionNode) -> Size:
        size = self._selections(node.selection_set)
        variables = node.variable_definitions or ()
        size.directives += _count(node.directives) + sum(_count(one.directives) for one in variables)
        return size

    def _selections(self, selections: SelectionSetNode | None) -> Size:
        size = Size()
        names: set[str] = set()
        for node in selections.selections if selections is not None else ():
            size.directives += _count(node.directives)
            if isinstance(node, FieldNode):
                name = (node.alias or node.name).value
                size.add_field(self._field(node), again=node.alias is not None or name in names)
                names.add(name)
            elif isinstance(node, FragmentSpreadNode):
                size.add(self._fragment(node.name.value))
            elif isinstance(node, InlineFragmentNode):
                size.add(self._selections(node.selection_set))
        return size

    def _field(self, node: FieldNode) -> Size:
        size = self._selections(node.selection_set)
        if node.name.value in INTROSPECTION:
            size.depth = 0
        return size

    def _fragment(self, name: str) -> Size:
        """One that is spread within itself, or is not there, is for validation to tell."""
        if name not in self._known:
            self._known[name] = Size()
            fragment = self._fragments.get(name)
            if fragment is not None:
                size = self._selections(fragment.selection_set)
                size.directives += _count(fragment.directives)
                self._known[name] = size
        return self._known[name]


def _count(nodes: Sequence[object] | None) -> int:
    return len(nodes or ())
