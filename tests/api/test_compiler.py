"""Compiled operations answer as graphql-core's executor does: the same data, errors and calls of resolvers."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from functools import partial
from operator import getitem
from typing import TYPE_CHECKING, Any

import pytest
from graphql import (
    ExecutionResult,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    execute,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
)
from graphql.execution import Executor, execute_subscription_event
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from strawberry.dataloader import DataLoader
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from engage.api.compiler import CompiledOperation, compile_event, compile_operation
from tests.api.compiler_schema import SCHEMA, load, make_thing, schema_of_items

if TYPE_CHECKING:
    from collections.abc import Callable

Outcome = tuple[str, list[Any], Counter[str], list[list[str]]]
"""Data with the order of its keys, errors, calls of resolvers, loads of the dataloader."""

EVERYTHING = "text maybe flag ratio at kind rawKind points matrix letters calm byParent slow"
VARIABLES = {
    "yes": "Boolean!",
    "no": "Boolean! = false",
    "count": "Int! = 1",
    "kind": "Kind! = SPENT",
    "filter": "Filter",
    "text": 'String! = "given"',
    "id": "ID",
}
ARGUMENTS = {
    "thing": ["", '(id: "literal")', "(id: 5)", "(id: $id)", "(id: null)"],
    "loud": ["", "(text: $text)", '(text: "ho")'],
    "related": ["", "(count: 1)", "(count: $count, kind: $kind)", "(filter: $filter)", "(filter: {limit: $count})"],
    "echo": [
        "(filter: {})",
        '(filter: {limit: $count, kinds: [$kind, EARN], inner: {}}, kinds: EARN, text: null, maybe: "m")',
        "(filter: {nothing: $text, inner: {text: $text}}, kinds: [], points: 9, maybe: $text)",
    ],
    "where": ["", "(text: $text)"],
    "add": ["(number: $count)", "(number: -1)", "(number: 3)"],
}
DOOMED = {"missing", "worsePoints", "brokenRequired", "slowMissing", "fail", "noThing"}
"""Fields that make their object null; drawn less often, so that something is left to compare."""

SIX_CONDITIONS = f"""query ({" ".join(f"$v{n}: Boolean!" for n in range(6))}) {{
    constant {" ".join(f"v{n}: constant @skip(if: $v{n})" for n in range(6))} }}"""
EXAMPLES = 2 * settings().max_examples
DIRECTIVES = ["", "", "", "@skip(if: $no)", "@include(if: $yes)", "@skip(if: $yes)", "@include(if: true)"]


def new_context() -> dict[str, Any]:
    context: dict[str, Any] = {"calls": Counter(), "loads": []}
    context["loader"] = DataLoader(partial(load, context))
    return context


def compiled(text: str, name: str | None = None) -> CompiledOperation:
    document = parse(text)
    assert validate(SCHEMA, document) == []
    operation = compile_operation(SCHEMA, document, name)
    assert operation is not None
    return operation


async def generic(text: str, context: Any, variables: dict[str, Any] | None, name: str | None) -> ExecutionResult:
    result: Any = execute(
        SCHEMA,
        parse(text),
        root_value=None,
        context_value=context,
        variable_values=variables,
        operation_name=name,
        executor_class=StrawberryGraphQLCoreExecutionContext,
        is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
        operation_extensions={"sent": "along"},
    )
    outcome: ExecutionResult = await result if optimized_is_awaitable(result) else result
    return outcome


async def settled(before: set[asyncio.Task[Any]]) -> None:
    """Wait until what an execution left running in the background is done."""
    left = asyncio.all_tasks() - before
    async with asyncio.timeout(10):
        while left:
            await asyncio.wait(left)
            left = asyncio.all_tasks() - before


def outcome(result: ExecutionResult, context: dict[str, Any]) -> Outcome:
    errors = [
        (error.message, error.path, [tuple(place) for place in error.locations or []], repr(error.original_error))
        for error in result.errors or []
    ]
    return json.dumps(result.data), sorted(errors, key=str), context["calls"], context["loads"]


async def compare(text: str, variables: dict[str, Any] | None = None, name: str | None = None) -> Outcome:
    """Run both on the same; twice compiled, since the second time what was learned about classes is used."""
    before = asyncio.all_tasks()
    context = new_context()
    expected = outcome(await generic(text, context, variables, name), context)
    await settled(before)
    operation = compiled(text, name)
    for _ in range(2):
        context = new_context()
        result = await operation.execute(
            root_value=None, context=context, variables=variables, operation_extensions={"sent": "along"}
        )
        found = outcome(result, context)
        await settled(before)
        assert found == expected
    return expected


@pytest.mark.parametrize(
    "text",
    [
        "{ constant }",
        "{ __typename required { __typename id } thing { id } }",
        f"{{ thing {{ {EVERYTHING} child {{ {EVERYTHING} child {{ {EVERYTHING} }} }} }} }}",
        "{ thing { badPoints error noList badHoles bad: badHoles child { missing } } }",
        "{ thing { child { worsePoints } children { id } } }",
        "{ thing { sparse { number missing } grid { id text } } }",
        "{ thing { grid { id slow grid { loaded { id } } } } }",
        "{ thing { sparse { id slowMissing } children { id brokenRequired } } }",
        "{ thing { sparse { id missing calm } child { grid { missing calm } } } }",
        "{ required { children { slowMissing } sparse { slow slowBroken } } }",
        "{ required { slow child { slow child { slowMissing } } children { slow } } }",
        '{ thing { broken slowBroken guarded loud(text: "a") once { id } promised { id calm } } }',
        "{ thing { once { slow } maybe: once { broken calm } } }",
        "{ thing { node { id ... on Cat { lives friend { ... on Dog { name barks greeting } } } } named { name } } }",
        "{ thing { pets { __typename ... on Dog { barks name } ... on Cat { lives } ... on Stray { colour } } } }",
        "{ thing { nodes { id ... on Named { name greeting } ... on Cat { friend { __typename } } } } }",
        "{ thing { unnamed { name } } required { unnamed { greeting } } }",
        "{ thing { pets { ... on Node { id } ... on Named { greeting } } } }",
        "{ thing { pets { ... on Stray { colour } } stray { colour } strays { id colour } tag { name } } }",
        "{ thing { dog { name } } t: thing { dog { greeting } } u: thing { dog { name greeting } } }",
        "{ thing { anything error } t: thing { child { noThing } } u: thing { child { noThing slow } vanishing } }",
        "{ thing { holes wrong huge badKind } t: thing { sparse { slowMissing } } u: thing { sparse { id moody } } }",
        "{ thing { child { children { slow moody } } sparse { id children { slow moody slow } } } }",
        "{ thing { ...F child { ...F } } } fragment F on Thing { id child { text } ... { child { slow maybe } } }",
        "{ thing { id @skip(if: true) text @include(if: true) ... @include(if: false) { flag } } }",
        "{ thing { ... on Thing @skip(if: true) { id } } required { where } }",
        "mutation { add(number: 1) { id slow } b: add(number: 2) { id } __typename }",
        "mutation { a: add(number: -1) { id } b: add(number: 2) { text slowMissing } }",
        "mutation { a: add(number: 1) { id } fail b: add(number: 2) { id } }",
    ],
)
async def test_an_operation_answers_as_with_graphql_core(text: str) -> None:
    data, errors, _, _ = await compare(text)
    assert data != "null" or errors


@pytest.mark.parametrize(
    "variables",
    [None, {}, {"yes": True, "no": True}, {"yes": False}, {"yes": "no"}, {"yes": True, "no": None}, {"yes": None}],
)
async def test_variables_in_directives_choose_the_plan(variables: dict[str, Any] | None) -> None:
    text = """query ($yes: Boolean!, $no: Boolean = false) {
        thing { id @include(if: $yes) child { text slow @skip(if: $no) ... @include(if: $no) { id calm } } } }"""
    await compare(text, variables)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"count": 1, "text": "a", "id": "b"},
        {"count": 2**31, "text": 5, "id": 6},
        {"count": "1", "text": None, "id": None},
        {"filter": {"limit": None}, "count": True},
        {"filter": {"kinds": ["SPENT"], "inner": {"text": "t"}, "unknown": 1}},
        {"filter": {"kinds": ["SPENT"], "inner": {"text": "t"}}},
        {"filter": None, "count": 0},
    ],
)
async def test_variables_and_arguments_are_coerced_alike(variables: dict[str, Any]) -> None:
    text = """query Q($count: Int! = 2, $text: String, $id: ID, $filter: Filter) {
        thing(id: $id) { related(count: $count, filter: $filter) { id } where(text: $text) }
        required { echo(filter: {limit: $count}, text: $text) }
    }"""
    await compare(text, variables, "Q")
    await compare("query ($text: String, $id: ID) { thing(id: $id) { where(text: $text) } }", variables)
    text = "query ($text: String, $count: Int) { thing { loud(text: $text) related(count: $count) { id } } }"
    await compare(text, variables)


@st.composite
def selection_sets(draw: st.DrawFn, type_: GraphQLNamedType, depth: int, fragments: list[str]) -> str:
    """Draw a selection set on the type; named fragments are added to the list."""
    fields = type_.fields if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) else {}
    names = [name for name, field in fields.items() if depth > 0 or is_leaf_type(get_named_type(field.type))]
    weighted = ["__typename", *names, *(4 * [name for name in names if name not in DOOMED])]
    selections = []
    for _ in range(draw(st.integers(1, 4))):
        directive = draw(st.sampled_from(DIRECTIVES))
        name = draw(st.sampled_from(weighted))
        if name in names:
            named = get_named_type(fields[name].type)
            below = "" if is_leaf_type(named) else draw(selection_sets(named, depth - 1, fragments))
            arguments = draw(st.sampled_from(ARGUMENTS.get(name, [""])))
            alias = f"a{len(fragments)}{draw(st.integers(0, 9))}: " if arguments or draw(st.booleans()) else ""
            selections.append(f"{alias}{name}{arguments} {directive} {below}")
            continue
        conditions: list[GraphQLNamedType] = [type_]
        if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
            conditions += SCHEMA.get_possible_types(type_)
        condition = draw(st.sampled_from(conditions))
        if depth == 0 or draw(st.booleans()):
            selections.append(f"__typename {directive}")
            continue
        inner = draw(selection_sets(condition, depth - 1, fragments))
        if draw(st.booleans()):
            selections.append(f"... on {condition.name} {directive} {inner}")
        else:
            fragments.append(f"fragment F{len(fragments)} on {condition.name} {inner}")
            selections.append(f"...F{len(fragments) - 1} {directive}")
    return "{ " + "\n".join(selections) + " }"


@st.composite
def operations(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a valid operation with values for its variables."""
    root, kind = draw(st.sampled_from([(SCHEMA.query_type, "query"), (SCHEMA.mutation_type, "mutation")]))
    fragments: list[str] = []
    assert root is not None
    body = "\n".join([draw(selection_sets(root, 4, fragments)), *fragments])
    used = [f"${name}: {type_}" for name, type_ in VARIABLES.items() if f"${name}" in body]
    text = f"{kind} Q{'(' + ', '.join(used) + ')' if used else ''} {body}"
    assume(not validate(SCHEMA, parse(text)))
    values: dict[str, Any] = {"yes": draw(st.booleans())}
    values |= {"no": True} if draw(st.booleans()) else {}
    values |= {"count": draw(st.integers(0, 2)), "kind": "EARN"} if draw(st.booleans()) else {}
    values |= {"id": draw(st.sampled_from(["v", None]))} if draw(st.booleans()) else {}
    return text, values | draw(st.sampled_from([{}, {"filter": {"limit": 1}}, {"text": "t"}]))


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(operations())
async def test_any_valid_operation_answers_as_with_graphql_core(operation: tuple[str, dict[str, Any]]) -> None:
    text, variables = operation
    await compare(text, variables)


async def test_twenty_siblings_are_loaded_at_once() -> None:
    twenty = " ".join(f"a{number}: child {{ loaded {{ id slow }} }}" for number in range(10))
    text = f"{{ thing {{ {twenty} related(count: 20) {{ id loaded {{ id calm }} }} }} }}"
    _, errors, _, loads = await compare(text)
    assert not errors
    assert len(loads) == 1
    assert len(loads[0]) == 2


async def test_siblings_run_together_and_mutations_one_after_another() -> None:
    _, _, calls, _ = await compare("{ a: thing { slow } b: thing { slow } c: required { slow } }")
    assert sum(calls.values()) == 5
    _, _, calls, _ = await compare("mutation { a: add(number: 1) { id } b: add(number: 2) { id } }")
    assert sorted(calls, key=calls.__getitem__) == ["begin 1", "end 1", "begin 2", "end 2"]


async def test_resolvers_run_once_also_when_a_plain_attribute_of_their_object_is_wrong() -> None:
    text = "{ thing { broken slow slowBroken children { number wrong badPoints by: byParent loaded { id } slow } } }"
    _, errors, calls, loads = await compare(text)
    assert len(errors) == 6
    assert set(calls.values()) == {1}
    assert sum(calls.values()) == 10
    assert len(loads) == 1


async def test_a_cancelled_operation_cancels_its_resolvers() -> None:
    """Those of a field that became null meanwhile, too."""
    loop, all_started = asyncio.get_running_loop(), asyncio.Event()
    started: list[str] = []
    ended: list[str] = []
    complaints: list[Any] = []

    async def endless(key: str) -> None:
        started.append(key)
        if len(started) == 2:
            all_started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(key)

    context = new_context()
    context["loader"].load = endless
    before = asyncio.all_tasks()
    loop.set_exception_handler(lambda _loop, what: complaints.append(what))
    operation = compiled("{ thing { slow slowBroken loaded { id } child { loaded { id } slow brokenRequired } } }")
    task = asyncio.create_task(operation.execute(root_value=None, context=context, variables=None))
    async with asyncio.timeout(10):
        await all_started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await settled(before)
    gc.collect()
    loop.set_exception_handler(None)
    assert sorted(ended) == ["root", "root.3"]
    assert complaints == []


async def test_an_event_of_a_subscription_is_completed_without_graphql_core() -> None:
    text = "subscription S($no: Boolean = false) { a: things(count: 1) { id slow missing calm @skip(if: $no) } }"
    document = parse(text)
    assert validate(SCHEMA, document) == []
    operation = compile_event(SCHEMA, document, "S")
    assert operation is not None
    for event in (make_thing("event", 1), None, ValueError("no event")):
        context = new_context()
        executor = StrawberryGraphQLCoreExecutionContext.build(SCHEMA, document, None, context, {"no": True}, "S")
        assert not isinstance(executor, list)
        expecting: Any = execute_subscription_event(executor.build_per_event_executor(event))
        expected = outcome(await expecting if executor.is_awaitable(expecting) else expecting, context)
        context = new_context()
        result = await operation.execute(root_value=event, context=context, variables={"no": True})
        assert outcome(result, context) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{ __schema { queryType { name } } }", None),
        ('{ constant __type(name: "Thing") { name } }', None),
        ("subscription { things { id } }", None),
        ("{ thing { text @shout } }", None),
        ("query A { constant } query B { constant }", None),
        ("query A { constant } query B { constant }", "C"),
        ("fragment F on Query { constant }", None),
        (SIX_CONDITIONS, None),
        ("{ thing " + "{ child " * 45 + "{ id }" + "}" * 46, None),
    ],
)
async def test_what_is_not_compiled_is_left_to_graphql_core(text: str, name: str | None) -> None:
    assert compile_operation(SCHEMA, parse(text), name) is None


async def test_only_subscriptions_are_compiled_as_events_and_only_schemas_of_strawberry_at_all() -> None:
    assert compile_event(SCHEMA, parse("{ constant }"), None) is None
    assert compile_operation(build_schema("type Query { a: Int }"), parse("{ a }"), None) is None


class Items(dict[str, str]):
    name = "an attribute, not an item"


@pytest.mark.parametrize("read", [getitem, dict.get, lambda source, name: source[name]])
async def test_plain_values_are_read_as_the_schema_says(read: Callable[[Any, str], object]) -> None:
    document = parse("{ tag { name } tags { name } calm }")
    operation = compile_operation(schema_of_items(read), document, None)
    assert operation is not None
    source = {"tag": Items(name="a"), "tags": [Items(name="b")]}
    result = await operation.execute(root_value=source, context=None, variables=None)
    assert (result.data, result.errors) == (source | {"calm": "calm"}, None)


async def test_an_operation_runs_many_times_at_once() -> None:
    operation = compiled("query ($id: ID) { thing(id: $id) { id slow children { id calm } } }")
    results = await asyncio.gather(
        *(operation.execute(root_value=None, context=new_context(), variables={"id": str(n)}) for n in range(20))
    )
    assert [result.data["thing"]["id"] for result in results if result.data] == [str(n) for n in range(20)]


async def test_a_healthy_operation_needs_no_generic_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("complete_value", "execute_field", "execute_fields"):
        monkeypatch.delattr(Executor, name)
    operation = compiled(f"{{ thing {{ {EVERYTHING} grid {{ id calm }} named {{ name greeting }} node {{ id }} }} }}")
    result = await operation.execute(root_value=None, context=new_context(), variables=None)
    assert result.errors is None
