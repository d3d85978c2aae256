"""Runs what has resolvers in it: the same steps as graphql-core's executor, prepared, around the plain parts.

Every function here either does exactly what `graphql.execution.Executor` does at its place or hands the value to
that executor before anything else was done with it. The executor also keeps the errors, so that null
propagation and the order of errors are its own. A result is a value or a coroutine that gives it: all coroutines
of a level exist before one is awaited, and they are awaited together.

One thing differs by intention: the plain attributes of an object are read before its resolvers are called.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from graphql import is_abstract_type, is_list_type, is_non_null_type
from graphql.execution import Executor
from graphql.pyutils import Path, gather_with_cancel
from strawberry.execution import optimized_is_awaitable

from engage.api.compiler.resolvers import resolver_call
from engage.api.compiler.source import PlainSource
from engage.api.compiler.values import LISTS, is_cast, is_plain_class, runtime_classes

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from graphql import GraphQLAbstractType, GraphQLOutputType
    from strawberry import Schema

    from engage.api.compiler.selection import Field, Selection

Complete = Callable[[Executor[Any], Any, Any], Any]
"""Completes a value: executor, value, path (None at the root). Gives JSON data or a coroutine for it."""


class OperationBuilder:
    """Makes the functions that run one operation under one set of directive values."""

    def __init__(self, strawberry_schema: Schema) -> None:
        self._strawberry_schema = strawberry_schema
        self._source = PlainSource()

    def serial_root(self, selection: Selection) -> Complete:
        """Make the function that runs the root fields one after another, as a mutation asks for."""
        type_name = selection.type.name
        keys = list(selection.grouped)
        fields = [(field.key, self._field(field)) for field in selection.fields if not field.is_typename]

        async def run(executor: Executor[Any], source: object, path: Path | None) -> dict[str, Any]:
            results: dict[str, Any] = dict.fromkeys(keys, type_name)  # what no field overwrites is `__typename`
            for key, run_field in fields:
                value = run_field(executor, source, Path(path, key, type_name))
                results[key] = await value if value.__class__ is CoroutineType else value
            return results

        return run

    def whole_object(self, selection: Selection) -> Complete:
        """Make the function that runs all fields of an object at once: `Executor.execute_fields`."""
        plain = self._source.object_function(selection)
        type_, type_name, grouped = selection.type, selection.type.name, selection.grouped
        fields = [(field.key, self._field(field)) for field in selection.fields if not field.is_plain]

        def run(executor: Executor[Any], source: object, path: Path | None) -> object:
            try:
                results = plain(source)
            except Exception:  # noqa: BLE001 - whatever it was, the executor meets it again with all its care
                return executor.execute_fields(type_, source, path, grouped, None)
            waiting: list[str] = []
            try:
                for key, run_field in fields:
                    value = results[key] = run_field(executor, source, Path(path, key, type_name))
                    if value.__class__ is CoroutineType:
                        waiting.append(key)
            except Exception:
                if waiting:
                    executor.settle_in_background([results[key] for key in waiting])
                raise
            return _await_all(results, waiting) if waiting else results

        return run

    def _field(self, field: Field) -> Complete:
        """Make the function from a source object to the field's data: `Executor.execute_field`."""
        return_type, details = field.definition.type, field.details
        call = resolver_call(self._strawberry_schema, field)
        complete = self._value(field) if field.value_is_plain else self._mixed(field, return_type)
        guard = _guard(field, return_type)

        async def complete_awaitable(executor: Executor[Any], awaitable: Any, path: Path) -> object:  # noqa: ANN401
            try:
                completed = complete(executor, await awaitable, path)
                return await completed if completed.__class__ is CoroutineType else completed
            except Exception as error:  # noqa: BLE001 - every error of a resolver belongs to the response
                executor.handle_field_error(error, return_type, details, path)
                return None

        def run(executor: Executor[Any], source: object, path: Path) -> object:
            try:
                result = call(executor, source, path)
                if not _is_here(result):
                    return complete_awaitable(executor, result, path)
                completed = complete(executor, result, path)
            except Exception as error:  # noqa: BLE001 - as above
                executor.handle_field_error(error, return_type, details, path)
                return None
            return guard(executor, completed, path) if completed.__class__ is CoroutineType else completed

        return run

    def _value(self, field: Field) -> Complete:
        """Make the function for a value below which no field has a resolver."""
        plain = self._source.value_function(field)
        careful = _careful(field, field.definition.type)

        def complete(executor: Executor[Any], value: object, path: Path) -> object:
            try:
                return plain(value)
            except Exception:  # noqa: BLE001 - the executor meets it again with all its care
                return careful(executor, value, path)

        return complete

    def _mixed(self, field: Field, type_: GraphQLOutputType) -> Complete:
        """Make the function for a value below which there are resolvers: `Executor.complete_value`."""
        inner: Any = type_.of_type if is_non_null_type(type_) else type_
        careful = _careful(field, type_)
        if is_list_type(inner):
            return self._mixed_list(field, inner.of_type, careful)
        if is_abstract_type(inner):
            choose = self._chooser(field, inner)
        else:
            choose = self._gatekeeper(field.children[inner.name])

        def complete(executor: Executor[Any], value: object, path: Path) -> object:
            run = choose(value)
            return careful(executor, value, path) if run is None else run(executor, value, path)

        return complete

    def _gatekeeper(self, selection: Selection) -> Callable[[object], Complete | None]:
        """Make the function that gives what runs an object of the one possible type, or None."""
        gate, run = self._source.gate(selection.type), self.whole_object(selection)

        def choose(value: object) -> Complete | None:
            if not gate.lets_in(value.__class__) or (gate.needs_cast_check and is_cast(value)):
                return None
            return run

        return choose

    def _chooser(self, field: Field, type_: GraphQLAbstractType) -> Callable[[object], Complete | None]:
        """Make the function that gives what runs an object of an interface or union, by its class, or None."""
        types = runtime_classes(type_, [child.type for child in field.children.values()])
        runs = {item: self.whole_object(field.children[item.name]) for item in dict.fromkeys(types.values())}
        choices = {class_: runs[item] for class_, item in types.items()}

        def choose(value: object) -> Complete | None:
            return None if is_cast(value) else choices.get(value.__class__)

        return choose

    def _mixed_list(self, field: Field, item_type: GraphQLOutputType, careful: Complete) -> Complete:
        """Make the function for a list whose items have resolvers: `Executor.complete_iterable_value`."""
        details = field.details
        complete_item = self._mixed(field, item_type)
        guard = _guard(field, item_type)

        def complete(executor: Executor[Any], value: list[Any], path: Path) -> object:
            if not _is_list_of_values(value):
                return careful(executor, value, path)
            results: list[Any] = []
            waiting: list[int] = []
            try:
                for index, item in enumerate(value):
                    item_path = Path(path, index, None)
                    try:
                        completed = complete_item(executor, item, item_path)
                    except Exception as error:  # noqa: BLE001 - an item's error belongs to the response
                        executor.handle_field_error(error, item_type, details, item_path)
                        completed = None
                    if completed.__class__ is CoroutineType:
                        completed = guard(executor, completed, item_path)
                        waiting.append(index)
                    results.append(completed)
            except Exception:
                if waiting:
                    executor.settle_in_background([results[index] for index in waiting])
                raise
            return _await_all(results, waiting) if waiting else results

        return complete


def _is_here(value: object) -> bool:
    """Tell whether a value needs no awaiting; the commonest cases first."""
    if value.__class__ is CoroutineType:
        return False
    return value is None or is_plain_class(value.__class__) or not optimized_is_awaitable(value)


def _is_list_of_values(value: list[Any]) -> bool:
    """Tell whether a value, said to be a list, is one and holds nothing to be awaited."""
    return value.__class__ in LISTS and all(map(_is_here, value))


def _careful(field: Field, type_: GraphQLOutputType) -> Complete:
    """Make the function that lets graphql-core's executor complete a value with which nothing was done yet."""
    definition, details, nodes, parent = field.definition, field.details, field.nodes, field.parent

    def complete(executor: Executor[Any], value: object, path: Path) -> object:
        field_path = path
        while isinstance(field_path.key, int) and field_path.prev is not None:
            field_path = field_path.prev  # an item's `info` is that of its list's field
        info = executor.build_resolve_info(definition, nodes, parent, field_path)
        return executor.complete_value(type_, details, info, path, value, None)

    return complete


def _guard(field: Field, type_: GraphQLOutputType) -> Complete:
    """Make the function that awaits a value and places its error."""
    details = field.details

    async def guard(executor: Executor[Any], completing: Coroutine[Any, Any, Any], path: Path) -> object:
        try:
            return await completing
        except Exception as error:  # noqa: BLE001 - every error of a resolver belongs to the response
            executor.handle_field_error(error, type_, details, path)
            return None

    return guard


async def _await_all(results: Any, keys: list[Any]) -> Any:  # noqa: ANN401 - a dict or a list
    """Await the coroutines among the results together and put their values in their places."""
    if len(keys) == 1:
        results[keys[0]] = await results[keys[0]]
    else:
        awaited = await gather_with_cancel(*(results[key] for key in keys))
        for key, value in zip(keys, awaited, strict=True):
            results[key] = value
    return results
