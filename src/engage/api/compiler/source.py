"""Python source for what is read without resolvers: a function per selection that builds its dict in one display.

A selection `{ cursor node { id amount } }` becomes

    def Edge_1(s):
        return {
            'cursor': v if (v := s.cursor).__class__ is str else leaf_1(v),
            'node': Entry_2(v) if (v := s.node).__class__ in classes_2 else Entry_2(admit_2(v)),
        }

The code handles no error. Whatever it does not expect makes it raise, and since it has done nothing but read
attributes, graphql-core's executor can then do the same part again with all its care. Closures for each field do
the same work, three times slower.
"""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    GraphQLBoolean,
    GraphQLID,
    GraphQLInt,
    GraphQLString,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

from engage.api.compiler import values

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql import GraphQLAbstractType, GraphQLLeafType, GraphQLObjectType, GraphQLOutputType

    from engage.api.compiler.resolvers import Attribute
    from engage.api.compiler.selection import Field, Selection

_CHECKS = {
    GraphQLString: "{first}.__class__ is str",
    GraphQLID: "{first}.__class__ is str",
    GraphQLBoolean: "{first}.__class__ is bool",
    GraphQLInt: "{first}.__class__ is int and -2147483648 <= {name} <= 2147483647",
}
"""When a value of a built-in scalar is its own serialisation."""

_CAST_CHECK = f"    if getattr({{name}}, {TYPE_CAST_ATTRIBUTE!r}, None) is not None: refuse({{name}})"


class PlainSource:
    """Writes and compiles the functions of one operation.

    In the expressions `first` is the text that stands for the value where it is evaluated first (it may bind the
    name), `name` the text for it afterwards.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._names: dict[str, Any] = {
            "LISTS": values.LISTS,
            "PLAIN_CLASSES": values.PLAIN_CLASSES,
            "refuse": values.refuse,
        }
        self._numbers: dict[object, int] = {}
        self._gates: dict[GraphQLObjectType, values.ObjectGate] = {}

    def object_function(self, selection: Selection) -> Callable[[object], dict[str, Any]]:
        """Make the function from a source object to its dict, in which fields with resolvers are still None."""
        return self._compiled(self._add_object(selection))

    def value_function(self, field: Field) -> Callable[[object], Any]:
        """Make the function that completes the value of a field below which all is plain."""
        name = f"value_{self._number(field if field.children else str(field.definition.type))}"
        if name in self._names:  # scalars are completed alike wherever the field stands
            return cast("Callable[[object], Any]", self._names[name])
        expression = self._expression(field, field.definition.type, "v", "v")
        self._lines += [f"def {name}(v):", f"    return {expression}"]
        return self._compiled(name)

    def gate(self, type_: GraphQLObjectType) -> values.ObjectGate:
        """Give the one gate of an object type in this operation."""
        if type_ not in self._gates:
            self._gates[type_] = values.ObjectGate(type_)
        return self._gates[type_]

    def _compiled(self, name: str) -> Callable[[object], Any]:
        code = compile("\n".join(self._lines), "<compiled GraphQL operation>", "exec")
        self._lines.clear()
        # Only names of the schema and quoted strings get into the source, never a piece of the document.
        exec(code, self._names)  # noqa: S102
        return cast("Callable[[object], Any]", self._names[name])

    def _add_object(self, selection: Selection) -> str:
        name = f"{selection.type.name}_{self._number(selection)}"
        items = [f"        {field.key!r}: {self._field(field)}," for field in selection.fields]
        check = [_CAST_CHECK.format(name="s")] if self.gate(selection.type).needs_cast_check else []
        self._lines += [f"def {name}(s):", *check, "    return {", *items, "    }"]
        return name

    def _field(self, field: Field) -> str:
        if field.is_typename:
            return repr(field.parent.name)
        if not field.is_plain or field.attribute is None:
            return "None"
        return self._expression(field, field.definition.type, f"(v := {_read(field.attribute)})", "v")

    def _expression(self, field: Field, type_: GraphQLOutputType, first: str, name: str) -> str:
        if is_non_null_type(type_):
            return self._required(field, type_.of_type, first, name)
        return f"None if {first} is None else {self._required(field, type_, name, name)}"

    def _required(self, field: Field, type_: GraphQLOutputType, first: str, name: str) -> str:
        if is_list_type(type_):
            item = f"i{int(name[1:] or 0) + 1}"
            inner = self._expression(field, type_.of_type, item, item)
            return f"[{inner} for {item} in {name}] if {first}.__class__ in LISTS else refuse({name})"
        if is_leaf_type(type_):
            return self._leaf(type_, first, name)
        if is_abstract_type(type_):
            return f"{self._add_choice(field, type_)}({first})"
        object_type = cast("GraphQLObjectType", type_)
        number, gate = self._number(object_type), self.gate(object_type)
        self._names |= {f"classes_{number}": gate.classes, f"admit_{number}": gate.admit}
        function = self._add_object(field.children[object_type.name])
        return f"{function}({name}) if {first}.__class__ in classes_{number} else {function}(admit_{number}({name}))"

    def _leaf(self, type_: GraphQLLeafType, first: str, name: str) -> str:
        number = self._number(type_)
        self._names[f"leaf_{number}"] = values.leaf_completer(type_)
        if type_ in _CHECKS:
            return f"{name} if {_CHECKS[type_].format(first=first, name=name)} else leaf_{number}({name})"
        names = values.enum_names(type_)
        if names:
            self._names[f"names_{number}"] = names
            return f"names_{number}.get(id({first})) or leaf_{number}({name})"
        self._names[f"coerce_{number}"] = type_.coerce_output_value
        plain = f"{first}.__class__ in PLAIN_CLASSES and coerce_{number}({name})"
        return f"{plain} or leaf_{number}({name})"  # what is falsy is coerced again: null is an error, 0 is none

    def _add_choice(self, field: Field, type_: GraphQLAbstractType) -> str:
        """Add the function that completes a value of an interface or union by its class."""
        number = self._number(field)
        types = values.runtime_classes(type_, [child.type for child in field.children.values()])
        functions = {item: self._add_object(field.children[item.name]) for item in dict.fromkeys(types.values())}
        table = ", ".join(f"class_{number}_{index}: {functions[item]}" for index, item in enumerate(types.values()))
        self._names |= {f"class_{number}_{index}": class_ for index, class_ in enumerate(types)}
        self._lines += [
            f"choices_{number} = {{{table}}}",
            f"def choose_{number}(v):",
            _CAST_CHECK.format(name="v"),
            f"    return choices_{number}.get(v.__class__, refuse)(v)",
        ]
        return f"choose_{number}"

    def _number(self, item: object) -> int:
        """Give every type, field and selection a number of its own; none of them compares equal to another."""
        return self._numbers.setdefault(item, len(self._numbers) + 1)


def _read(attribute: Attribute) -> str:
    if attribute.is_item:
        return f"s[{attribute.name!r}]"
    if attribute.name.isidentifier() and not iskeyword(attribute.name):
        return f"s.{attribute.name}"
    return f"getattr(s, {attribute.name!r})"
