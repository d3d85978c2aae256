"""The schema: the domains' files merged into one, and how its operations are executed.

A document is parsed, validated and compiled once and kept; refusals and unknown errors are put into the form that
clients see in one place. Every transport executes through `Schema.run` or `Schema.stream`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from inspect import isawaitable
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    GraphQLError,
    NoSchemaIntrospectionCustomRule,
    OperationType,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql.execution import ExecutionResult as CoreResult
from graphql.execution import create_source_event_stream, execute
from prometheus_client import Counter
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.tools import merge_types
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from engage.api import limits
from engage.api.access import AccessQuery
from engage.api.access_commands import AccessMutation
from engage.api.audit import AuditQuery
from engage.api.budget.cost import price_of
from engage.api.budget.prices import Price, at
from engage.api.bulk_points import BulkPointsMutation, BulkPointsQuery
from engage.api.compiler import CompiledOperation, compile_event, compile_operation
from engage.api.context import Context
from engage.api.desk import DeskQuery
from engage.api.earning import EarningMutation
from engage.api.errors import formatted
from engage.api.expiry import ExpiryMutation, ExpiryQuery
from engage.api.holds import HoldsQuery
from engage.api.job_commands import JobsMutation
from engage.api.jobs import JobsQuery, JobsSubscription
from engage.api.ledger import LedgerMutation, LedgerSubscription
from engage.api.lifecycle import LifecycleMutation
from engage.api.lots import LotsQuery
from engage.api.members import MembersMutation, MembersQuery
from engage.api.nodes import NodesQuery
from engage.api.notifications import NotificationsMutation
from engage.api.policies import PoliciesQuery
from engage.api.policy_commands import PoliciesMutation
from engage.api.programs import ProgramsMutation, ProgramsQuery
from engage.api.rate_limit import RateLimitQuery
from engage.api.scalars import SCALARS
from engage.api.statements import StatementsQuery
from engage.api.value import ValueQuery
from engage.api.webhook_commands import WebhooksMutation
from engage.api.webhooks import WebhooksQuery
from engage.base.errors import OutcomeUnknown, Refusal
from engage.base.metrics import REGISTRY
from engage.base.origin import coming

DOCUMENTS_KEPT = 500
"""Documents whose parsed, validated and compiled form is kept; those of apps are a few dozen."""
ERRORS_MAX = 20
"""So many faults of a document are told."""

AFTER_COMMAND_S = 5.0
"""What a mutation answers with may be read for so long after its commands had to end."""

_TOO_MANY_TOKENS = "Document contains more than"  # how the parser says so

CLOSED_RULES = (*specified_rules, NoSchemaIntrospectionCustomRule)

Formatted = dict[str, Any]

VALIDATED = Counter(
    "engage_documents_validated",
    "Documents that were parsed and validated, as they were not known.",
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document: what it is, and its compiled form where it has one.

    `closed`: nothing is told of what else the schema has, neither by introspection nor by suggestions.
    """

    document: DocumentNode
    kind: OperationType
    name: str | None
    closed: bool
    compiled: CompiledOperation | None
    price: Price


@dataclass(frozen=True, slots=True)
class Faulty:
    """A document that cannot be executed, and why."""

    errors: list[GraphQLError]


class _FaultyError(Exception):
    """The same on its way out of the cache, which keeps no exceptions."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors)
        self.errors = errors


class Schema(strawberry.Schema):
    """engage's schema with its own way of execution."""

    def prepare(self, query: str, name: str | None, *, introspection: bool) -> Operation | Faulty:
        """The operation, parsed, validated and compiled; kept for the next time. What is faulty is not kept.

        Without `introspection` a document that asks for `__schema` or `__type` is faulty, and errors suggest nothing.
        """
        try:
            return self._prepared(query, name, not introspection)
        except _FaultyError as error:
            return Faulty(error.errors)

    @lru_cache(maxsize=DOCUMENTS_KEPT)  # noqa: B019 -- one schema lives as long as the process
    def _prepared(self, query: str, name: str | None, closed: bool) -> Operation:  # noqa: FBT001 -- see prepare
        document = self._validated(query, closed=closed)
        node = get_operation_ast(document, name)
        if node is None:
            raise _FaultyError([GraphQLError("Name one of the document's operations in operationName.")])
        compiler = compile_event if node.operation is OperationType.SUBSCRIPTION else compile_operation
        compiled = compiler(self._schema, document, name, hide_suggestions=closed)
        return Operation(document, node.operation, name, closed, compiled, price_of(self._schema, document, node))

    def _validated(self, query: str, *, closed: bool) -> DocumentNode:
        VALIDATED.inc()
        try:
            document = parse(query, max_tokens=limits.TOKENS_MAX)
        except GraphQLError as error:
            told = limits.too_many_tokens() if _TOO_MANY_TOKENS in error.message else error
            raise _FaultyError([told]) from error
        rules = CLOSED_RULES if closed else specified_rules
        errors = limits.exceeded(document) or validate(
            self._schema, document, rules, max_errors=ERRORS_MAX, hide_suggestions=closed
        )
        if errors:
            raise _FaultyError(errors)
        return document

    def faults(self, query: str) -> list[GraphQLError]:
        """What is wrong with a document, of any number of operations."""
        try:
            self._validated(query, closed=False)
        except _FaultyError as error:
            return error.errors
        return []

    async def admit(self, operation: Operation, variables: dict[str, Any] | None, context: Context) -> None:
        """Let an operation begin with these variables, and have its caller pay for it.

        Raises ListTooLong, CostTooHigh, BudgetExhausted; then nothing of it was executed.
        """
        limits.check_lists(variables)
        cost = at(operation.price, variables or {})
        context.charge = await context.limiter.charge(context.caller, context.network, cost)

    async def answers(
        self, operation: Operation, variables: dict[str, Any] | None, context: Context
    ) -> AsyncGenerator[Formatted]:
        """Execute any operation: one answer of a query or mutation, those of a subscription one by one."""
        if operation.kind is OperationType.SUBSCRIPTION:
            async for one in self.events(operation, variables, context):
                yield one
        else:
            yield await self.run(operation, variables, context)

    async def run(self, operation: Operation, variables: dict[str, Any] | None, context: Context) -> Formatted:
        """Execute a query or mutation; answers what goes to the client, `data` and `errors`.

        A mutation that runs out of time may have happened, and says so: each command by its own problem (see
        `engage.api.fields`), the whole operation where reading the rest of the payload takes too long.
        """
        seconds = context.config.operation_timeout_s
        context.deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout(seconds + AFTER_COMMAND_S * (operation.kind is OperationType.MUTATION)):
                with coming(context.origin):
                    result = await self._execute(operation, None, variables, context)
        except TimeoutError as error:
            cause: Exception = error
            if operation.kind is OperationType.MUTATION:
                cause = OutcomeUnknown("This may have happened; repeat it, with the same key where it takes one.")
            result = CoreResult(None, [GraphQLError("", original_error=cause)])
        return answer(result, context)

    async def _execute(
        self, operation: Operation, root: object, variables: dict[str, Any] | None, context: Context
    ) -> CoreResult:
        if operation.compiled is not None:
            return await operation.compiled.execute(root_value=root, context=context, variables=variables)
        result = execute(
            self._schema,
            operation.document,
            root_value=root,
            context_value=context,
            variable_values=variables,
            operation_name=operation.name,
            hide_suggestions=operation.closed,
        )
        return result if isinstance(result, CoreResult) else await result

    async def events(
        self, operation: Operation, variables: dict[str, Any] | None, context: Context
    ) -> AsyncIterator[Formatted]:
        """Execute a subscription: one answer for each event; a last one with errors where it is ended."""
        source = await self._source(operation, variables, context)
        if isinstance(source, CoreResult):
            yield answer(source, context)
            return
        try:
            async for event in source:
                yield answer(await self._execute(operation, event, variables, context.fresh()), context)
                context.charge = None  # told with the first event: it is the start that costs
        except Exception as error:  # noqa: BLE001 -- whatever ends the source is told to the client, masked
            yield answer(CoreResult(None, [_located(error)]), context)
        finally:
            await source.aclose()

    async def _source(
        self, operation: Operation, variables: dict[str, Any] | None, context: Context
    ) -> AsyncGenerator[Any, None] | CoreResult:
        executor = StrawberryGraphQLCoreExecutionContext.build(
            self._schema,
            operation.document,
            None,
            context,
            variables,
            operation.name,
            hide_suggestions=operation.closed,
        )
        if isinstance(executor, list):
            return CoreResult(None, executor)
        source: Any = create_source_event_stream(executor)
        return await source if isawaitable(source) else source  # type: ignore[no-any-return]

    async def stream(  # type: ignore[override]
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Context | None = None,
        root_value: object = None,  # noqa: ARG002 -- the library passes it
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,  # noqa: ARG002 -- the library passes it
    ) -> AsyncGenerator[ExecutionResult, None]:
        """Execute any operation of a socket; what the library's websocket protocol calls."""
        if context_value is None:
            raise RuntimeError("An operation needs a context.")
        return self._answers(query or "", variable_values, context_value.fresh(), operation_name)

    async def _answers(
        self, query: str, variables: dict[str, Any] | None, context: Context, name: str | None
    ) -> AsyncGenerator[ExecutionResult, None]:
        operation = await self._admitted(query, variables, context, name)
        if isinstance(operation, Faulty):
            shown: list[GraphQLError] = [
                _ShownError(formatted(error, context.request_id)) for error in operation.errors
            ]
            yield PreExecutionError(data=None, errors=shown)
            return
        async for one in self.answers(operation, variables, context):
            yield _library_result(one)

    async def _admitted(
        self, query: str, variables: dict[str, Any] | None, context: Context, name: str | None
    ) -> Operation | Faulty:
        """The operation of a message, where it may run here and now."""
        operation = self.prepare(query, name, introspection=context.config.development)
        try:
            if isinstance(operation, Operation):
                await self.admit(operation, variables, context)
        except Refusal as error:
            return Faulty([_located(error)])
        return operation


def _located(error: Exception) -> GraphQLError:
    return error if isinstance(error, GraphQLError) else GraphQLError("", original_error=error)


def answer(result: CoreResult, context: Context) -> Formatted:
    """A result as clients see it."""
    shown: Formatted = {"data": result.data}
    if result.errors:
        shown["errors"] = [formatted(error, context.request_id) for error in result.errors]
    if context.charge is not None:
        shown["extensions"] = {"cost": context.charge.shown()}
    return shown


class _ShownError(GraphQLError):
    """An error that has its final form already."""

    def __init__(self, shown: dict[str, Any]) -> None:
        super().__init__(shown["message"])
        self._shown = shown

    @property
    def formatted(self) -> Any:  # noqa: ANN401 -- the library's typed dictionary
        return self._shown


def _library_result(shown: Formatted) -> ExecutionResult:
    errors: list[GraphQLError] = [_ShownError(one) for one in shown.get("errors", [])]
    return ExecutionResult(data=shown["data"], errors=errors or None, extensions=shown.get("extensions"))


def _root(name: str, description: str, *parts: type) -> type:
    merged = merge_types(name, parts)
    merged.__strawberry_definition__.description = description  # type: ignore[attr-defined]
    return merged


Query = _root(
    "Query",
    "What can be read. Each field says which roles may.",
    NodesQuery,
    MembersQuery,
    ProgramsQuery,
    StatementsQuery,
    LotsQuery,
    HoldsQuery,
    ValueQuery,
    DeskQuery,
    PoliciesQuery,
    ExpiryQuery,
    BulkPointsQuery,
    JobsQuery,
    WebhooksQuery,
    AccessQuery,
    RateLimitQuery,
    AuditQuery,
)
Mutation = _root(
    "Mutation",
    "Commands. Each answers its payload, or the problem that stood in the way: ask for `... on Problem`.",
    MembersMutation,
    LedgerMutation,
    EarningMutation,
    BulkPointsMutation,
    ProgramsMutation,
    PoliciesMutation,
    LifecycleMutation,
    ExpiryMutation,
    NotificationsMutation,
    JobsMutation,
    WebhooksMutation,
    AccessMutation,
)
Subscription = _root(
    "Subscription",
    "What can be watched, by graphql-transport-ws or Server-Sent Events.",
    LedgerSubscription,
    JobsSubscription,
)


def build_schema() -> Schema:
    """The schema of this version."""
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
