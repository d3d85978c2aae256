"""What the scopes of a token open: every operation of the schema takes those that its description names."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta

import jwt
import pytest
from graphql import GraphQLObjectType

from engage.api.schema import build_schema
from engage.base.actor import Role, Scope
from engage.base.crypto import issue_token
from tests.api.clients import HttpClient, Json, socket
from tests.api.conftest import People
from tests.api.gateway import Gateway
from tests.api.ledger_inputs import make_ready
from tests.api.operations import OTHER, OWN, TABLE, WATCHED, Scene, make_scene, put_all, refusal
from tests.api.tables import everything

SCHEMA = build_schema()._schema

SCOPELESS = {
    "Query.channels",
    "Query.exchangeRates",
    "Query.node",
    "Query.nodes",
    "Query.pointsPolicies",
    "Query.pointsPolicy",
    "Query.programs",
    "Query.rateLimit",
    "Query.webhookEvents",
}
"""What is no secret to anyone who is signed in, and what takes the scopes of what it finds."""

BESIDE: dict[str, set[Scope]] = {
    "Mutation.createApiKey": {Scope.POINTS_READ},
    "Query.member": {Scope.POINTS_READ, Scope.PURCHASES_READ},
    "Query.member by identity": {Scope.POINTS_READ},
}
"""What is selected in the table of a thing and takes another scope itself."""

INSTEAD = {"Query.expiryPreview": {Scope.REPORTS_READ}}
"""Which of two scopes it takes as the table asks for it."""


@pytest.fixture(scope="module")
async def scene(people: People) -> Scene:
    return await make_scene(people)


def scopes_told(name: str) -> set[Scope]:
    """The scopes that the description of a root field names."""
    root, field = name.split(" ", maxsplit=1)[0].split(".")
    type_ = SCHEMA.type_map[root]
    assert isinstance(type_, GraphQLObjectType)
    told = re.findall(r"Scope: ([a-z:]+)", type_.fields[field].description or "")
    return {Scope(one) for one in told}


def test_who_needs_no_scope_takes_any_role() -> None:
    assert {name.split(" ")[0] for name in (*TABLE, *WATCHED) if not scopes_told(name)} == SCOPELESS


@pytest.mark.parametrize("name", [name for name in (*TABLE, *WATCHED) if scopes_told(name)])
async def test_each_operation_takes_the_scope_that_it_tells(
    gateway: Gateway, http: HttpClient, scene: Scene, name: str
) -> None:
    """With all others it is refused, and changes nothing; with these alone it is done."""
    operation = (TABLE | WATCHED)[name]
    needed = INSTEAD.get(name, scopes_told(name)) | BESIDE.get(name, set())
    for scope in sorted(needed):
        refused = await _as_confined(
            gateway, http, scene, name, frozenset(Scope) - {scope, scope.replace(":read", ":write")}
        )
        assert refused is not None, scope
        assert refused["code"] == "FORBIDDEN"
        assert f"the scope {scope}" in refused["message"]
    assert await _as_confined(gateway, http, scene, name, needed) is None
    assert operation.allowed


async def _as_confined(
    gateway: Gateway, http: HttpClient, scene: Scene, name: str, scopes: Collection[Scope]
) -> Json | None:
    """What is refused to one who may do all, confined to some scopes."""
    own = (TABLE | WATCHED)[name].allowed <= {OWN, OTHER}
    token = issue_token(
        gateway.config,
        Role.MEMBER if own else Role.ADMIN,
        subject="confined",
        member_id=scene.member.id if own else None,
        scopes=scopes,
        valid_for=timedelta(hours=1),
    )
    if name in WATCHED:
        async with socket(gateway.ws_url, token) as opened:
            operation = WATCHED[name]
            payload = await (await opened.start(operation.document, operation.variables(scene))).next()
            return refusal(payload)
    operation = TABLE[name]
    await put_all()
    await make_ready(name.removeprefix("Mutation."), scene.member)
    before = await everything()
    refused = refusal((await http.ask(operation.document, operation.variables(scene), token=token)).body)
    if refused is not None:
        assert await everything() == before
    return refused


PROFILE = """query ($id: ID!) { member(id: $id) { masked displayName birthday identities { channel identifier } } }"""


async def test_what_is_personal_takes_its_scope(gateway: Gateway, http: HttpClient, people: People) -> None:
    given = {
        "identities": [{"channel": "phone", "identifier": "13812345678"}, {"channel": "card", "identifier": "C-9"}],
        "displayName": "Lin",
        "birthday": "1990-02-28",
    }
    register = """mutation ($input: RegisterMemberInput!) { registerMember(input: $input) {
        ... on RegisterMemberPayload { member { id displayName } } } }"""
    answer = await http.ask(register, {"input": given}, token=people.staff)
    gid = answer.data["registerMember"]["member"]["id"]
    shown = {
        "masked": False,
        "displayName": "Lin",
        "birthday": "1990-02-28",
        "identities": [{"channel": "card", "identifier": "C-9"}, {"channel": "phone", "identifier": "13812345678"}],
    }
    hidden = {
        "masked": True,
        "displayName": None,
        "birthday": None,
        "identities": [{"channel": "card", "identifier": "***"}, {"channel": "phone", "identifier": "***5678"}],
    }

    def token(role: Role, *scopes: Scope) -> str:
        return issue_token(gateway.config, role, subject="one", scopes=scopes or None, valid_for=timedelta(hours=1))

    for bearer, expected in (
        (token(Role.STAFF), shown),
        (token(Role.STAFF, Scope.MEMBERS_READ), hidden),
        (token(Role.MODERATOR), hidden),
        (token(Role.MODERATOR, Scope.MEMBERS_READ, Scope.PERSONAL_READ), shown),
        (token(Role.SERVICE, Scope.MEMBERS_READ, Scope.PERSONAL_READ), shown),
    ):
        assert (await http.ask(PROFILE, {"id": gid}, token=bearer)).data["member"] == expected
        node = PROFILE.replace("member(id: $id) {", "node(id: $id) { ... on Member {").replace("} } }", "} } } }")
        assert (await http.ask(node, {"id": gid}, token=bearer)).data["node"] == expected


@pytest.mark.parametrize("claim", ["", "openid profile", "POINTS_READ", "points:read,members:read"])
async def test_words_that_are_no_scope_open_nothing(
    gateway: Gateway, http: HttpClient, people: People, claim: str
) -> None:
    member = await people.new()
    token = issue_token(
        gateway.config,
        Role.STAFF,
        subject="one",
        scopes=[claim],
        valid_for=timedelta(hours=1),
    )
    assert (await http.ask(PROFILE, {"id": member.gid}, token=token)).code == "FORBIDDEN"
    assert (await http.ask("{ channels { code } }", token=token)).data


async def test_scopes_come_as_a_list_too(gateway: Gateway, http: HttpClient, people: People) -> None:
    member = await people.new()
    made = issue_token(gateway.config, Role.STAFF, subject="one", valid_for=timedelta(hours=1))
    claims = jwt.decode(made, options={"verify_signature": False}) | {"scope": ["members:read", "openid"]}
    token = jwt.encode(claims, gateway.config.jwt_secret.get_secret_value(), algorithm="HS256")
    assert (await http.ask(PROFILE, {"id": member.gid}, token=token)).data["member"]["masked"]
    refused = await http.ask(
        "query ($id: ID!) { holds(memberId: $id, first: 1) { totalCount } }", {"id": member.gid}, token=token
    )
    assert refused.code == "FORBIDDEN"
