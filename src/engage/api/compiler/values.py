"""Which values the compiled code completes itself, by their class; all others go to graphql-core's executor.

A class is looked at once. That is enough where the class alone decides what graphql-core would do with the value:
no awaitable, no exception to be raised, no object that answers to any attribute name, and for object types with
interfaces an instance of the type's own class.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType, FunctionType, GeneratorType
from typing import TYPE_CHECKING, Never

from graphql import GraphQLEnumType, Undefined, is_interface_type
from strawberry.types.base import StrawberryObjectDefinition, get_object_definition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

if TYPE_CHECKING:
    from graphql import GraphQLAbstractType, GraphQLLeafType, GraphQLObjectType

LISTS: frozenset[type] = frozenset({list, tuple})
"""Classes of lists; other iterables may be read only once, which graphql-core does."""

_NO_PLAIN_CLASSES = (BaseException, type(None), CoroutineType, GeneratorType, type, type(Undefined))
PLAIN_CLASSES: set[type] = set()
"""Classes found plain so far; `is_plain_class` adds to them."""


class NotPlainError(Exception):
    """The value is not one for the compiled code; it never leaves this package."""


def refuse(_value: object) -> Never:
    """Give the value up, as an expression of generated code."""
    raise NotPlainError


def is_plain_class(class_: type) -> bool:
    """Tell whether values of the class are what they look like: not null, awaitable or an exception."""
    if class_ in PLAIN_CLASSES:
        return True
    answers_to_any_name = hasattr(class_, "__getattr__") or isinstance(class_.__getattribute__, FunctionType)
    if issubclass(class_, _NO_PLAIN_CLASSES) or hasattr(class_, "__await__") or answers_to_any_name:
        return False
    PLAIN_CLASSES.add(class_)
    return True


def is_cast(value: object) -> bool:
    """Tell whether `strawberry.cast` gave this one object another type than its class has."""
    return getattr(value, TYPE_CAST_ATTRIBUTE, None) is not None


class ObjectGate:
    """Says which objects are values of an object type."""

    def __init__(self, type_: GraphQLObjectType) -> None:
        definition = _definition(type_)
        self.classes: set[type] = set()
        """Classes let in so far, to be asked first."""
        self.needs_cast_check = type_.is_type_of is not None
        self._own_check = type_.is_type_of is not None and (definition is None or definition.is_type_of is not None)
        self._origin = definition.origin if definition and type_.is_type_of is not None else object

    def lets_in(self, class_: type) -> bool:
        """Tell whether every object of the class, not cast, is a value of the type."""
        if class_ in self.classes:
            return True
        if self._own_check or not is_plain_class(class_):
            return False
        if not issubclass(class_, self._origin):
            return False
        self.classes.add(class_)
        return True

    def admit(self, value: object) -> object:
        """Give the value back if it may pass; for generated code. Raises NotPlainError."""
        if self.lets_in(value.__class__):
            return value
        raise NotPlainError


def runtime_classes(type_: GraphQLAbstractType, possible: list[GraphQLObjectType]) -> dict[type, GraphQLObjectType]:
    """Map Python classes to the type strawberry resolves their objects to, where the class alone decides.

    Left out are generic types, types with their own `is_type_of`, and everything if the interface has its own
    `resolve_type`: these are asked for each value by graphql-core.
    """
    definition = _definition(type_)
    if is_interface_type(type_) and (definition is None or definition.resolve_type is not None):
        return {}
    classes: dict[type, GraphQLObjectType] = {}
    for item in possible:
        own = _definition(item)
        if own is None or own.is_type_of is not None or own.concrete_of is not None or own.is_graphql_generic:
            continue
        fits = definition is None or issubclass(own.origin, definition.origin)
        if fits and own.name == item.name and get_object_definition(own.origin) is own:
            classes[own.origin] = item
    return {class_: item for class_, item in classes.items() if is_plain_class(class_)}


def _definition(type_: GraphQLObjectType | GraphQLAbstractType) -> StrawberryObjectDefinition | None:
    definition = (type_.extensions or {}).get("strawberry-definition")
    return definition if isinstance(definition, StrawberryObjectDefinition) else None


def leaf_completer(type_: GraphQLLeafType) -> Callable[[object], object]:
    """Make the function that serialises one value of a scalar or enum. It raises for all that is no plain value."""
    coerce = type_.coerce_output_value

    def complete(value: object) -> object:
        if not is_plain_class(value.__class__):
            raise NotPlainError
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise NotPlainError
        return coerced

    return complete


def enum_names(type_: GraphQLLeafType) -> dict[int, str]:
    """Map the members of an enum, by `id`, to their names in the schema, so that none is searched for twice.

    Members live as long as the schema, so the id of anything else is never theirs; their hash is slow.
    """
    members = getattr(type_, "wrapped_cls", None)
    if not isinstance(type_, GraphQLEnumType) or members is None:
        return {}
    return {id(member): type_.coerce_output_value(member) for member in members}
