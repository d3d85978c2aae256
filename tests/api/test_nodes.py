"""`node` and `nodes`: everything that has a global id is found by it, by those who may look at it elsewhere."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints
from uuid import UUID

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument
from strawberry.types import get_object_definition

import engage.api
from engage.api.context import Context
from engage.api.node_kinds import KINDS, by_id
from engage.api.relay import global_id
from engage.api.schema import Faulty, build_schema
from engage.base import clock
from engage.base.actor import Actor, Role
from engage.base.grants import Grant
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.clients import HttpClient, Json
from tests.api.conftest import People, Person, new_key
from tests.api.counting import Statements
from tests.api.gateway import Gateway, serving
from tests.api.ledger_inputs import OFFERS, gift_to
from tests.api.things import MADE, make_things

SCHEMA = build_schema()
NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
WITHOUT_LOOK_UP = {"ExpiryPreview"}
"""Ids that only a command takes: there is no type of these."""


@dataclass(frozen=True)
class Scene:
    """One of each kind, whose it is, and who asks."""

    member: Person
    other: Person
    things: dict[str, str]
    tokens: dict[str, str | None]


@pytest.fixture(scope="module")
def statements() -> Statements:
    return Statements()


@pytest.fixture(scope="module")
async def gateway(config: Settings, statements: Statements) -> AsyncIterator[Gateway]:
    with statements.of_connections():
        async with serving(config) as started:
            await seed_basics()
            yield started


@pytest.fixture(scope="module")
async def scene(people: People) -> Scene:
    member, other = await people.new(100), await people.new(100)
    tokens = {
        "anonymous": None, "the member": member.token, "another member": other.token, "staff": people.staff,
        "moderator": people.moderator, "admin": people.admin, "service": people.service,
    }  # fmt: skip
    return Scene(member, other, await make_things(member), tokens)


READERS = frozenset({"staff", "moderator", "admin", "service"})
THEIRS = READERS | {"the member"}
SIGNED_IN = THEIRS | {"another member"}
ALLOWED = {
    "Adjustment": READERS,
    "ApiKey": {"admin"},
    "AuditEntry": {"admin"},
    "Revocation": {"admin"},
    "Channel": SIGNED_IN,
    "ExchangeRate": SIGNED_IN,
    "Gift": THEIRS,
    "Hold": THEIRS,
    "Job": {"admin"},
    "Lot": THEIRS,
    "Member": THEIRS,
    "Message": THEIRS,
    "Program": SIGNED_IN,
    "Purchase": THEIRS,
    "Store": READERS,
    "TopUp": THEIRS,
    "Transfer": THEIRS,
    "WebhookEndpoint": {"admin"},
}
"""Who may look at things of a kind."""

CALLERS = ("anonymous", "the member", "another member", *sorted(READERS))

ELSEWHERE = {
    "Adjustment": "adjustments(first: 100) { edges { node { ...F } } }",
    "ApiKey": "apiKeys(first: 100) { edges { node { ...F } } }",
    "AuditEntry": "auditLog(first: 100) { edges { node { ...F } } }",
    "Revocation": "revocations(first: 100) { edges { node { ...F } } }",
    "Channel": "channels { ...F }",
    "ExchangeRate": f'exchangeRates(from: "default", to: "{OFFERS}", first: 100) {{ edges {{ node {{ ...F }} }} }}',
    "Gift": "gifts(memberId: $member, direction: SENT, first: 100) { edges { node { ...F } } }",
    "Hold": "holds(memberId: $member, first: 100) { edges { node { ...F } } }",
    "Job": "job(id: $id) { ...F }",
    "Lot": "lots(memberId: $member, first: 100) { edges { node { ...F } } }",
    "Member": "member(id: $id) { ...F }",
    "Message": "member(id: $member) { messages(first: 100) { edges { node { ...F } } } }",
    "Program": "programs { ...F }",
    "Purchase": "member(id: $member) { purchases(first: 100) { edges { node { ...F } } } }",
    "Store": "programs { stores { ...F } }",
    "TopUp": "topUps(memberId: $member, first: 100) { edges { node { ...F } } }",
    "Transfer": "member(id: $member) { transactions(first: 100) { edges { node { ...F } } } }",
    "WebhookEndpoint": "webhookEndpoints(first: 100) { edges { node { ...F } } }",
}
"""Where else things of a kind are shown."""


def type_of(kind: str) -> GraphQLObjectType:
    """The type that ids of a kind are answered with."""
    definition = get_object_definition(get_type_hints(KINDS[kind])["return"], strict=True)
    type_ = SCHEMA._schema.type_map[definition.name]
    assert isinstance(type_, GraphQLObjectType)
    return type_


def leaves(type_: GraphQLObjectType, depth: int) -> str:
    """All that can be asked of a type without arguments."""
    chosen = ["__typename"]
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        if any(is_required_argument(one) for one in field.args.values()) or inner.name.endswith("Connection"):
            continue
        if is_leaf_type(inner):
            chosen.append(name)
        elif isinstance(inner, GraphQLObjectType) and depth:
            chosen.append(f"{name} {{ {leaves(inner, depth - 1)} }}")
    return " ".join(chosen)


def with_id(found: Any, gid: str) -> Iterator[Json]:
    """Whatever in an answer has this id."""
    inner = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
    if isinstance(found, dict) and found.get("id") == gid:
        yield found
    for one in inner:
        yield from with_id(one, gid)


def test_all_that_has_a_global_id_is_found_by_it() -> None:
    node = SCHEMA._schema.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    assert {type_of(kind).name for kind in KINDS} == {one.name for one in SCHEMA._schema.get_possible_types(node)}
    assert set(MADE) == set(ALLOWED) == set(ELSEWHERE) == set(KINDS)


def test_all_kinds_of_ids_that_are_given_out_are_taken() -> None:
    kinds: set[object] = set()
    for file in Path(engage.api.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "global_id":
                kinds.update(one.value for one in node.args[:1] if isinstance(one, ast.Constant))
    assert kinds <= set(KINDS) | WITHOUT_LOOK_UP
    assert kinds >= WITHOUT_LOOK_UP


def test_a_kind_is_read_in_one_way() -> None:
    with pytest.raises(ValueError, match="Lot"):
        by_id("Lot")(KINDS["Lot"])


@pytest.mark.parametrize("kind", MADE)
async def test_a_node_is_what_is_shown_elsewhere(http: HttpClient, scene: Scene, kind: str) -> None:
    gid, type_ = scene.things[kind], type_of(kind)
    fragment = f"fragment F on {type_.name} {{ {leaves(type_, 2)} }}"
    asked = {"id": gid, "member": scene.member.gid}
    answers = []
    for fields in ("node(id: $id) { ...F } nodes(ids: [$id]) { id ... { ...F } }", ELSEWHERE[kind]):
        given = {name: value for name, value in asked.items() if f"${name}" in fields}
        variables = "".join(f" ${name}: ID!" for name in given)
        text = f"query{f' ({variables})' if given else ''} {{ {fields} }} {fragment}"
        answers.append((await http.ask(text, given, token=scene.tokens["admin"])).data)
    found, shown = answers
    assert (found["node"]["__typename"], found["node"]["id"]) == (type_.name, gid)
    assert found["nodes"] == [found["node"]]
    assert next(with_id(shown, gid)) == found["node"]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("kind", MADE)
async def test_who_may_look(http: HttpClient, scene: Scene, kind: str, caller: str) -> None:
    gid, token = scene.things[kind], scene.tokens[caller]
    one, many = await http.ask(NODE, {"id": gid}, token=token), await http.ask(NODES, {"ids": [gid]}, token=token)
    if caller in ALLOWED[kind]:
        assert one.data["node"] == {"__typename": type_of(kind).name, "id": gid}
        assert many.data["nodes"] == [one.data["node"]]
    elif caller == "anonymous":
        assert (one.code, many.code) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    else:
        assert (one.code, one.error["path"], one.body["data"]) == ("FORBIDDEN", ["node"], {"node": None})
        assert (many.code, many.error["path"], many.body["data"]) == ("FORBIDDEN", ["nodes", 0], {"nodes": [None]})


@pytest.mark.parametrize("kind", MADE)
async def test_what_is_not_there_is_not_found(http: HttpClient, scene: Scene, kind: str) -> None:
    answer = await http.ask(NODE, {"id": global_id(kind, new_id())}, token=scene.tokens["admin"])
    assert answer.body["data"] == {"node": None}
    assert answer.error["extensions"] == {"code": "NOT_FOUND", "path": ["id"]}


@pytest.mark.parametrize("kind", [kind for kind in MADE if "another member" not in ALLOWED[kind]])
async def test_a_member_cannot_tell_whether_it_exists(http: HttpClient, scene: Scene, kind: str) -> None:
    there, nothing = scene.things[kind], global_id(kind, new_id())
    for document, key in ((NODE, "id"), (NODES, "ids")):
        answers = [
            await http.ask(document, {key: one if key == "id" else [one]}, token=scene.tokens["another member"])
            for one in (there, nothing)
        ]
        assert answers[0].body == answers[1].body
        assert answers[0].code == "FORBIDDEN"


async def test_both_sides_of_a_gift_find_it(http: HttpClient, scene: Scene) -> None:
    gift = global_id("Gift", await gift_to(scene.member))
    text = "query ($id: ID!) { node(id: $id) { ... on Gift { state recipientId } } }"
    answer = await http.ask(text, {"id": gift}, token=scene.member.token)
    assert answer.data["node"] == {"state": "OFFERED", "recipientId": scene.member.gid}
    assert (await http.ask(NODE, {"id": gift}, token=scene.other.token)).code == "FORBIDDEN"


RIGHT = global_id("Member", UUID(int=7))
MALFORMED = ["", "junk", "\0", "é", "7", RIGHT + "=", RIGHT[:-1], RIGHT + RIGHT, global_id("Cow", UUID(int=7)),
             *(global_id(kind, UUID(int=7)) for kind in sorted(WITHOUT_LOOK_UP))]  # fmt: skip


@pytest.mark.parametrize("given", MALFORMED)
async def test_what_is_no_id_is_invalid(http: HttpClient, scene: Scene, given: str) -> None:
    for name in ("node", "lot", "transfer", "member", "job", "webhookEndpoint"):
        text = f"query ($id: ID!) {{ {name}(id: $id) {{ id }} }}"
        for caller in ("admin", "another member"):
            answer = await http.ask(text, {"id": given}, token=scene.tokens[caller])
            assert answer.error["extensions"] == {"code": "INVALID_INPUT", "path": ["id"]}
            assert answer.body["data"] == {name: None}
        assert (await http.ask(text, {"id": given})).code == "UNAUTHENTICATED"


async def test_each_of_many_stands_or_falls_by_itself(http: HttpClient, scene: Scene) -> None:
    lot, member = scene.things["Lot"], scene.member.gid
    ids = [lot, "junk", member, global_id("Lot", new_id()), scene.other.gid, lot, global_id("Hold", new_id()), lot]
    answer = await http.ask(NODES, {"ids": ids}, token=scene.tokens["staff"])
    shown = [one and one["id"] for one in answer.body["data"]["nodes"]]
    assert shown == [lot, None, member, None, scene.other.gid, lot, None, lot]
    told = {
        tuple(error["path"]): (error["extensions"]["code"], error["extensions"]["path"])
        for error in answer.body["errors"]
    }
    assert told == {
        ("nodes", 1): ("INVALID_INPUT", ["ids", "1"]),
        ("nodes", 3): ("NOT_FOUND", ["ids", "3"]),
        ("nodes", 6): ("NOT_FOUND", ["ids", "6"]),
    }
    own = await http.ask(NODES, {"ids": ids}, token=scene.member.token)
    codes = {tuple(error["path"]): error["extensions"]["code"] for error in own.body["errors"]}
    assert codes == {("nodes", 1): "INVALID_INPUT", **{("nodes", number): "FORBIDDEN" for number in (3, 4, 6)}}


async def test_a_hundred_at_once_and_no_more(http: HttpClient, scene: Scene) -> None:
    text = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } me { id } }"
    answer = await http.ask(text, {"ids": [scene.member.gid] * 100}, token=scene.member.token)
    assert answer.data["nodes"] == [{"id": scene.member.gid}] * 100
    for ids in ([], [scene.member.gid] * 101):
        refused = await http.ask(text, {"ids": ids}, token=scene.member.token)
        assert refused.error["extensions"] == {"code": "INVALID_INPUT", "path": ["ids"]}
        assert "1 to 100" in refused.error["message"]


@pytest.mark.parametrize("kind", MADE)
async def test_a_hundred_of_a_kind_are_one_statement(
    http: HttpClient, statements: Statements, scene: Scene, kind: str
) -> None:
    ids = [scene.things[kind], *(global_id(kind, new_id()) for _ in range(99))]
    for token in {scene.tokens["admin"], scene.tokens[min(ALLOWED[kind])]}:
        async with statements.counted(lambda sent: sent == 1):
            answer = await http.ask(NODES, {"ids": ids}, token=token)
        assert answer.body["data"]["nodes"][0]["id"] == scene.things[kind]
        assert len(answer.body["errors"]) == 99


async def test_all_kinds_are_one_statement(http: HttpClient, statements: Statements, scene: Scene) -> None:
    ids = list(scene.things.values())
    async with statements.counted(lambda sent: sent == 1):
        answer = await http.ask(NODES, {"ids": ids}, token=scene.tokens["admin"])
    assert [one["id"] for one in answer.data["nodes"]] == ids


async def test_what_is_not_allowed_to_a_role_is_not_even_read(
    http: HttpClient, statements: Statements, scene: Scene
) -> None:
    ids = [scene.things[kind] for kind in ("Adjustment", "Store", "WebhookEndpoint")] + [scene.other.gid]
    async with statements.counted(lambda sent: sent == 0):
        answer = await http.ask(NODES, {"ids": ids}, token=scene.member.token)
    assert {error["extensions"]["code"] for error in answer.body["errors"]} == {"FORBIDDEN"}


async def test_who_asked_for_a_job_finds_it(http: HttpClient, statements: Statements, scene: Scene) -> None:
    text = """mutation ($input: RequestBulkPointsInput!) { requestBulkPoints(input: $input) {
        ... on RequestBulkPointsPayload { jobId } } }"""
    given = {"operation": "ADJUST", "idempotencyKey": new_key(), "rows": [
        {"rowKey": "1", "memberId": scene.member.gid, "amount": 5}]}  # fmt: skip
    asked = await http.ask(text, {"input": given}, token=scene.tokens["staff"])
    job = asked.data["requestBulkPoints"]["jobId"]
    for caller, codes in (("staff", []), ("admin", []), ("service", ["FORBIDDEN"]), ("the member", ["FORBIDDEN"])):
        async with statements.counted(lambda sent: sent == 1):
            answer = await http.ask(NODE, {"id": job}, token=scene.tokens[caller])
        assert [error["extensions"]["code"] for error in answer.body.get("errors", [])] == codes, caller


DOCUMENTS = [
    "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id again: id } }",
    "query ($id: ID!) { node(id: $id) { __typename ... on Member { state balance { available } } } }",
    "query ($bad: ID!) { node(id: $bad) { __typename ... on Member { state } } }",
    """query ($ids: [ID!]!) { nodes(ids: $ids) { ...N ... on Member { ...M } ... on Lot { held origins { amount } }
        ... on Transfer { entries { amount } hold { id } } ... on Place { code } ... on Job { results(first: 1)
        { edges { cursor } } } ... on Program { stores { id ... on Node { __typename } } }
        ... on WebhookEndpoint { url } } }
        fragment N on Node { id ... on Hold { deadline } ... on Gift { message } ... on Node { __typename } }
        fragment M on Member { id transactions(first: 2) { edges { node { id ...N } } } unreadCount }""",
    """query ($ids: [ID!]!, $yes: Boolean!) { nodes(ids: $ids) { id @skip(if: $yes)
        ... @include(if: $yes) { ... on Member { locale } ... on Message { title } } } }""",
    "query ($ids: [ID!]!, $id: ID!) { nodes(ids: $ids) { ... on Purchase { total { amount } } } node(id: $id) {id} }",
]


def surroundings(gateway: Gateway, actor: Actor | None) -> Context:
    grant = None if actor is None else Grant(actor, clock.now(), clock.now(), None, ())
    return Context(grant, gateway.hub, gateway.config, gateway.sockets.limiter, "here", request_id="one")


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_compiled_or_not_they_answer_alike(gateway: Gateway, scene: Scene, document: str) -> None:
    operation = SCHEMA.prepare(document, None, introspection=True)
    assert not isinstance(operation, Faulty), operation.errors
    assert operation.compiled is not None
    bad = global_id("Lot", new_id())
    asked = {"id": scene.member.gid, "ids": [*scene.things.values(), bad, "junk"], "bad": bad, "yes": True}
    given = {name: value for name, value in asked.items() if f"${name}:" in document}
    for caller in (Actor("admin-1", Role.ADMIN), Actor("m", Role.MEMBER, scene.member.id), None):
        answers = [
            await SCHEMA.run(one, given, surroundings(gateway, caller))
            for one in (operation, replace(operation, compiled=None))
        ]
        for answer in answers:
            answer.get("errors", []).sort(key=str)
        assert answers[0] == answers[1]
