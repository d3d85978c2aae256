"""GraphQL operations compiled once into plain Python, for the shapes that dominate.

The generic executor looks everything up for every field of every object. Here the document is looked at once:
what is read without resolvers becomes generated code, resolvers are called with all prepared, and whatever is out
of the ordinary (an error, an awaitable where none is expected, an unknown class) is done by graphql-core's own
executor from that place on. So the answers are the same, only faster; `tests/api/test_compiler.py` compares them.

Compiling costs milliseconds: keep what `compile_operation` gives beside the parsed document. The document must
have been validated. Field middleware (an extension with a `resolve` hook) is not run.
"""

from __future__ import annotations

from asyncio import CancelledError
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from graphql import ExecutionResult, GraphQLError, OperationType, assert_valid_schema
from graphql.execution import default_field_resolver, default_type_resolver
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from engage.api.compiler.arguments import OperationVariables
from engage.api.compiler.document import UnsupportedError, read_operation
from engage.api.compiler.running import OperationBuilder
from engage.api.compiler.selection import root_selection

if TYPE_CHECKING:
    from graphql import DocumentNode, GraphQLSchema

    from engage.api.compiler.document import Operation
    from engage.api.compiler.running import Complete

__all__ = ["CompiledOperation", "compile_event", "compile_operation"]


def compile_operation(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None, *, hide_suggestions: bool = False
) -> CompiledOperation | None:
    """Compile one query or mutation of a validated document.

    None means: leave it to graphql-core. That is so for subscriptions, introspection, directives other than `@skip`
    and `@include`, more than five variables in these, operations that are not found, and enormous ones.
    """
    kinds = {OperationType.QUERY, OperationType.MUTATION}
    return _compile(schema, document, operation_name, kinds, hide_suggestions=hide_suggestions)


def compile_event(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None, *, hide_suggestions: bool = False
) -> CompiledOperation | None:
    """Compile what a subscription reads of one event; give each event of the source stream as `root_value`."""
    kinds = {OperationType.SUBSCRIPTION}
    return _compile(schema, document, operation_name, kinds, hide_suggestions=hide_suggestions)


def _compile(
    schema: GraphQLSchema,
    document: DocumentNode,
    name: str | None,
    kinds: set[OperationType],
    *,
    hide_suggestions: bool,
) -> CompiledOperation | None:
    assert_valid_schema(schema)
    try:
        operation = read_operation(schema, document, name, kinds)
        return CompiledOperation(operation, hide_suggestions=hide_suggestions)
    except (UnsupportedError, GraphQLError):
        return None


class CompiledOperation:
    """One operation, ready to be executed many times, at once too: it keeps nothing of an execution."""

    def __init__(self, operation: Operation, *, hide_suggestions: bool = False) -> None:
        """Compile at once if no variable decides on the fields, else per set of such variables when first met."""
        self._operation = operation
        definitions = operation.node.variable_definitions or ()
        self._variables = OperationVariables(operation.schema, definitions, hide_suggestions=hide_suggestions)
        self._hide_suggestions = hide_suggestions
        self._fragment_definitions = operation.fragment_definitions
        self._plans: dict[tuple[object, ...], Complete | None] = {}
        if not operation.conditions:
            self._plans[()] = self._plan(VariableValues({}, {}))

    async def execute(
        self,
        *,
        root_value: object,
        context: object,
        variables: dict[str, Any] | None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Run the operation; the result is that of `graphql.execute`.

        Cancelling it cancels every resolver that still runs.
        """
        coerced = self._variables.coerce(variables or {})
        if isinstance(coerced, list):
            return ExecutionResult(None, coerced)
        executor = self._executor(root_value, context, coerced, operation_extensions)
        try:
            return await self._run(executor)
        except CancelledError:
            for future in executor.background_futures:
                future.cancel()
            raise

    async def _run(self, executor: StrawberryGraphQLCoreExecutionContext) -> ExecutionResult:
        plan = self._plan_for(executor.variable_values)
        if plan is None:
            serially = self._operation.node.operation is OperationType.MUTATION
            result: Any = executor.execute_operation(serially)
            return await result if executor.is_awaitable(result) else result  # type: ignore[no-any-return]
        try:
            data: Any = plan(executor, executor.root_value, None)
            if data.__class__ is CoroutineType:
                data = await data
        except GraphQLError as error:
            executor.collected_errors.add(error, None)
            data = None
        return ExecutionResult(data, executor.collected_errors.errors or None)

    def _executor(
        self,
        root_value: object,
        context: object,
        variables: VariableValues,
        operation_extensions: dict[str, Any] | None,
    ) -> StrawberryGraphQLCoreExecutionContext:
        """Make graphql-core's executor: it keeps this execution's errors and does what is not compiled."""
        operation = self._operation
        return StrawberryGraphQLCoreExecutionContext(
            operation.schema,
            self._fragment_definitions,
            operation.fragments,
            root_value,
            context,
            operation.node,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=optimized_is_awaitable,
            hide_suggestions=self._hide_suggestions,
            operation_extensions=operation_extensions,
        )

    def _plan_for(self, variables: VariableValues) -> Complete | None:
        """Give the plan for the values of the variables in directives; None leaves this execution to the executor."""
        conditions = tuple([variables.coerced.get(name) for name in self._operation.conditions])
        if conditions not in self._plans:
            try:
                self._plans[conditions] = self._plan(variables)
            except (UnsupportedError, GraphQLError):  # too large, or a null for `if`: an error of the field it is at
                self._plans[conditions] = None
        return self._plans[conditions]

    def _plan(self, variables: VariableValues) -> Complete:
        selection = root_selection(self._operation, variables)
        builder = OperationBuilder(self._operation.strawberry_schema)
        if self._operation.node.operation is OperationType.MUTATION:
            return builder.serial_root(selection)
        return builder.whole_object(selection)
