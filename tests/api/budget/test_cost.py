"""What an operation costs: the objects that it may have to read, whatever shape it is asked for in."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import build_schema as schema_of
from graphql import get_operation_ast, parse

from engage.api.budget.cost import price_of
from engage.api.budget.prices import Price, at
from engage.api.schema import Operation, Schema, build_schema

SCHEMA: Schema = build_schema()
LOTS = "lots(memberId: $id, first: $n) { edges { node { remaining origins { amount } } } pageInfo { endCursor } }"

LOTS_OF_TRANSFERS = """{ me { transactions(first: 5) { edges { node { ...L } } } } }
    fragment L on Transfer { lots(first: 4) { edges { node { amount } } } }"""


def price(query: str, name: str | None = None) -> Price:
    operation = SCHEMA.prepare(query, name, introspection=True)
    assert isinstance(operation, Operation), operation.errors
    return operation.price


def cost(query: str, **variables: Any) -> int:
    return at(price(query), variables)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ __typename }", 1),
        ("{ webhookEvents }", 1),
        ("{ me { id state } }", 1),
        ("{ me { balance { available } } }", 2),
        ("{ a: me { id } b: me { id } }", 2),
        ("{ me { id } me { state } ...F } fragment F on Query { me { balance { debt } } }", 2),
        ("{ channels { code } }", 10),
        ("{ programs { stores { code } } }", 10 * (1 + 10)),
        ("{ me { expirySchedule(first: 3) { total lines { amount } } } }", 1 + 1 + 3),
        ("{ me { expirySchedule { total lines { amount } } } }", 1 + 1 + 12),
        ("{ me { transactions(first: 20) { edges { node { id } } } } }", 1 + 1 + 20),
        ("{ me { transactions(first: 20) { edges { cursor } pageInfo { endCursor } } } }", 1 + 1 + 20),
        ("{ me { transactions(last: 20) { pageInfo { startCursor } } } }", 1 + 1 + 20),
        ("{ me { transactions(first: 1) { totalCount } } }", 1 + 1 + 10),
        ("{ me { transactions(first: 20) { totalCount edges { node { id } } } } }", 1 + 1 + 10 + 20),
        (LOTS_OF_TRANSFERS, 1 + 1 + 5 * (1 + 1 + 4 * 1)),
        ("{ __schema { types { name } } }", 100),
        ("{ me { id @skip(if: true) balance @include(if: false) { debt } } }", 1),
    ],
)  # fmt: skip
def test_of_what_stands_in_the_document(query: str, expected: int) -> None:
    assert price(query) == expected


@pytest.mark.parametrize(
    ("given", "rows"),
    [(1, 1), (100, 100), (101, 100), (0, 100), (-5, 100), (10**9, 100), ("7", 100), (True, 100), (2.5, 100)],
)
def test_a_page_counts_as_asked_for_and_never_less_than_could_be_read(given: object, rows: int) -> None:
    query = f"query ($id: ID!, $n: Int!) {{ {LOTS} }}"
    assert cost(query, id="x", n=given) == 1 + rows * (1 + 10)


def test_defaults_of_variables_and_arguments_count() -> None:
    query = "query ($n: Int! = 7) { me { expirySchedule(first: $n) { lines { amount } } } }"
    assert cost(query) == 2 + 7
    assert cost(query, n=3) == 2 + 3


def test_directives_count_by_their_variables() -> None:
    query = """query ($more: Boolean = false, $less: Boolean!) { me { ...B @include(if: $more) id @skip(if: $less) } }
        fragment B on Member { balance { debt } identities @skip(if: $less) { channel } }"""
    assert cost(query, less=True) == 1
    assert cost(query, less=True, more=True) == 2
    assert cost(query, less=False, more=True) == 2 + 10


SPEND = "spendPoints(input: $input) { ... on SpendPointsPayload { balance { debt } } ... on Problem { code } }"


def test_mutations_and_subscriptions_have_a_price_of_their_own() -> None:
    one = f"mutation ($input: SpendPointsInput!) {{ {SPEND} }}"
    assert price(one) == 10 + 1
    assert price(one.replace(SPEND, f"{SPEND} again: {SPEND}")) == 2 * (10 + 1)
    watch = "subscription ($id: ID!) { pointsChanged(memberId: $id) { position balance { available } } }"
    assert price(watch) == 10 + 1


def test_of_a_union_the_dearest_counts() -> None:
    query = """mutation ($input: FreezeMemberInput!) { freezeMember(input: $input) {
        ... on FreezeMemberPayload { member { balance { debt } storedValue { available { amount } } } }
        ... on MemberNotActive { code } } }"""
    assert price(query) == 10 + 1 + 1 + 2


def test_of_several_operations_the_one_that_runs_counts() -> None:
    document = "query A { me { id } } query B { channels { code } }"
    assert (price(document, "A"), price(document, "B")) == (1, 10)


def test_what_is_asked_for_again_by_fragments_counts_once() -> None:
    page = "transactions(first: 100) { edges { node { lots(first: 100) { edges { node { %s } } } } } }"
    parts = [f"fragment A{n} on Member {{ {page % f'...L{n}'} }}" for n in range(8)]
    parts += [f"fragment L{n} on TransferLot {{ amount }}" for n in range(8)]
    query = "{ me { " + " ".join(f"...A{n}" for n in range(8)) + " } }" + " ".join(parts)
    assert price(query) == 1 + 1 + 100 * (1 + 1 + 100)


ANY = schema_of("""
    interface Node { id: ID! }
    type Leaf implements Node { id: ID! tags: [String!]! }
    type Tree implements Node { id: ID! leaves(first: Int, last: Int): LeafConnection! best: Leaf near: [Leaf!]! }
    type LeafConnection { edges: [LeafEdge!]! nodes: [Leaf!]! pageInfo: PageInfo! total: Total! }
    type LeafEdge { cursor: String! node: Leaf! }
    type PageInfo { hasNextPage: Boolean! }
    type Total { rows: Int! }
    type Query { node(id: ID!): Node nodes(ids: [ID!]!): [Node]! tree: Tree! }
""")
LEAVES = "leaves(first: $n, last: $m) { nodes { id } pageInfo { hasNextPage } total { rows } }"


def cost_in(query: str, **variables: Any) -> int:
    document = parse(query)
    operation = get_operation_ast(document)
    assert operation is not None
    return at(price_of(ANY, document, operation), variables)


def test_a_list_by_ids_counts_the_ids() -> None:
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Tree { best { id } } ... on Leaf { tags } } }"
    assert cost_in(query, ids=["1", "2", "3"]) == 3 * 2
    assert cost_in(query, ids="1") == 2
    assert cost_in(query, ids=[]) == 1
    assert cost_in("query ($a: ID!) { nodes(ids: [$a, $a, 3]) { id } }", a="1") == 3
    assert cost_in('{ nodes(ids: "1") { ... on Node { id } } }') == 1


def test_a_page_may_be_asked_for_from_either_end() -> None:
    query = f"query ($n: Int, $m: Int) {{ tree {{ {LEAVES} }} }}"
    assert cost_in(query, n=5) == 1 + 1 + 5 + 1
    assert cost_in(query, m=7) == 1 + 1 + 7 + 1
    assert cost_in(query, n=5, m=None) == 1 + 1 + 5 + 1


def test_of_an_interface_the_dearest_type_counts_with_these_variables() -> None:
    query = f"""query ($n: Int, $m: Int) {{ node(id: 1) {{
        ... on Tree {{ {LEAVES} }} ... on Leaf {{ id }} ... on Node {{ ... on Tree {{ near {{ id }} }} }} }} }}"""
    assert cost_in(query, n=30) == 1 + 1 + 30 + 1 + 10
