"""GraphQL over HTTP, as the draft of the GraphQL Foundation has it: media types, status codes, who calls."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import jwt
import orjson
import pytest

from engage.api.requests import QUERY_LENGTH_MAX
from engage.base import clock
from engage.base.actor import Role
from engage.base.ids import new_id
from tests.api.clients import MEDIA_TYPE, HttpClient, read
from tests.api.conftest import People, new_key
from tests.api.gateway import Gateway
from tests.api.tables import everything

QUERY = "{ channels { code } }"
JSON = "application/json"


async def post(http: HttpClient, body: object, *, token: str | None = None, **headers: str) -> httpx.Response:
    """Post anything: bytes as they are, else as JSON."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    sent = {"Content-Type": JSON, "Accept": MEDIA_TYPE} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return await http.raw.post(
        "/graphql", content=content, headers={key: value for key, value in sent.items() if value}
    )


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (MEDIA_TYPE, MEDIA_TYPE),
        (f"{MEDIA_TYPE}; charset=utf-8", MEDIA_TYPE),
        ("Application/GraphQL-Response+JSON", MEDIA_TYPE),
        (f"{MEDIA_TYPE}, {JSON};q=0.9", MEDIA_TYPE),
        (JSON, JSON),
        ("*/*", JSON),
    ],
)
async def test_the_media_type_is_what_was_asked_for(
    http: HttpClient, people: People, accept: str, answered: str
) -> None:
    answer = await post(http, {"query": QUERY}, token=people.staff, Accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == answered
    assert len(answer.json()["data"]["channels"]) == 8


BAD_DOCUMENTS: dict[str, dict[str, Any]] = {
    "no syntax": {"query": "{"},
    "no such field": {"query": "{ nonsense }"},
    "two operations and no name": {"query": "query A { channels { code } } query B { channels { code } }"},
    "no operation of this name": {"query": f"query A {QUERY}", "operationName": "B"},
    "a variable of another type": {
        "query": "query ($program: String!) { programTotals(program: $program) { members } }",
        "variables": {"program": 7},
    },
    "a variable that is missing": {
        "query": "query ($program: String!) { programTotals(program: $program) { members } }"
    },
}


@pytest.mark.parametrize("fault", BAD_DOCUMENTS)
async def test_a_fault_of_the_document_is_a_request_error(http: HttpClient, people: People, fault: str) -> None:
    params = BAD_DOCUMENTS[fault]
    answer = await post(http, params, token=people.admin)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert "data" not in answer.json()
    assert {error["extensions"]["code"] for error in answer.json()["errors"]} == {"BAD_REQUEST"}
    older = await post(http, params, token=people.admin, Accept=JSON)
    assert older.status_code == 200
    assert older.headers["content-type"] == JSON
    assert older.json()["errors"] == answer.json()["errors"]


BAD_REQUESTS: dict[str, tuple[object, int]] = {
    "no JSON": (b"NONSENSE", 400),
    "half of JSON": (b'{"query":', 400),
    "nothing": (b"", 400),
    "no UTF-8": (b'{"query": "{ channels { code } } # \xff"}', 400),
    "UTF-16": ('{"query": "{ channels { code } }"}'.encode("utf-16"), 400),
    "nested without end": (b"[" * 100_000, 400),
    "a batch": ([{"query": QUERY}, {"query": QUERY}], 400),
    "a string": ("{ channels { code } }", 400),
    "null": (None, 400),
    "no query": ({"qeury": QUERY}, 400),
    "an empty query": ({"query": ""}, 400),
    "a query that is an object": ({"query": {"obj": "ect"}}, 400),
    "a query that is a number": ({"query": 0}, 400),
    "a query that is a list": ({"query": [QUERY]}, 400),
    "a query that is too long": ({"query": QUERY + "#" * QUERY_LENGTH_MAX}, 400),
    "variables that are a list": ({"query": QUERY, "variables": [7]}, 400),
    "variables that are text": ({"query": QUERY, "variables": "{}"}, 400),
    "an operation name that is a number": ({"query": QUERY, "operationName": 7}, 400),
    "extensions that are a list": ({"query": QUERY, "extensions": []}, 400),
    "a body that is too large": (b" " * (256 * 1024) + b"{}", 413),
}


@pytest.mark.parametrize("accept", [MEDIA_TYPE, JSON, ""])
@pytest.mark.parametrize("fault", BAD_REQUESTS)
async def test_what_is_no_request_of_graphql_is_told_so(
    http: HttpClient, people: People, fault: str, accept: str
) -> None:
    body, status = BAD_REQUESTS[fault]
    answer = await post(http, body, token=people.staff, Accept=accept)
    assert answer.status_code == status
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == {400: "BAD_REQUEST", 413: "REQUEST_TOO_LARGE"}[status]
    assert error["message"].endswith(".")


async def test_a_body_of_just_the_largest_size_is_read(gateway: Gateway, http: HttpClient, people: People) -> None:
    body = orjson.dumps({"query": QUERY})
    assert (await post(http, body.ljust(gateway.config.body_size_max), token=people.staff)).status_code == 200
    assert (await post(http, body.ljust(gateway.config.body_size_max + 1), token=people.staff)).status_code == 413
    assert (await post(http, body.ljust(gateway.config.body_size_max + 1))).status_code == 413
    most = gateway.config.service_body_size_max
    assert (await post(http, body.ljust(most), token=people.service)).status_code == 200
    assert (await post(http, body.ljust(most + 1), token=people.service)).status_code == 413


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "x"])
async def test_a_body_is_not_unpacked(http: HttpClient, people: People, encoding: str) -> None:
    """A few bytes could become gigabytes."""
    body = gzip.compress(orjson.dumps({"query": QUERY}))
    answer = await post(http, body, token=people.staff, Content_Encoding=encoding)
    assert (answer.status_code, read(answer).code) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/graphql", "multipart/form-data; boundary=x"])
async def test_another_content_type_is_not_read(http: HttpClient, people: People, media_type: str) -> None:
    answer = await post(http, {"query": QUERY}, token=people.staff, Content_Type=media_type)
    assert (answer.status_code, read(answer).code) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;x=1"]
)
async def test_the_content_type_may_have_parameters(http: HttpClient, people: People, media_type: str) -> None:
    assert (await post(http, {"query": QUERY}, token=people.staff, Content_Type=media_type)).status_code == 200


async def test_what_is_null_counts_as_left_out(http: HttpClient, people: People) -> None:
    body = {"query": QUERY, "variables": None, "operationName": None, "extensions": None}
    assert (await post(http, body, token=people.staff)).status_code == 200


async def test_a_query_comes_by_get_too(http: HttpClient, people: People) -> None:
    headers = {"Accept": MEDIA_TYPE, "Authorization": f"Bearer {people.admin}"}
    params = {
        "query": "query A { channels { code } } query B($p: String!) { programTotals(program: $p) { members } }",
        "operationName": "B",
        "variables": '{"p": "default"}',
    }
    answer = await http.raw.get("/graphql", params=params, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"programTotals": {"members": 0}}
    assert (await http.raw.get("/graphql", params={**params, "variables": "{"}, headers=headers)).status_code == 400
    assert (await http.raw.get("/graphql", params={**params, "extensions": "[]"}, headers=headers)).status_code == 400
    assert (await http.raw.get("/graphql", headers=headers)).status_code == 400
    assert (await http.raw.head("/graphql", params=params, headers=headers)).status_code == 200


async def test_a_mutation_does_not_come_by_get(http: HttpClient, people: People) -> None:
    before = await everything()
    query = f'mutation {{ createChannel(input: {{ code: "{new_key()}", name: "x" }}) {{ __typename }} }}'
    answer = await http.raw.get(
        "/graphql", params={"query": query}, headers={"Accept": MEDIA_TYPE, "Authorization": f"Bearer {people.admin}"}
    )
    assert (answer.status_code, read(answer).code) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST"
    assert await everything() == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(http: HttpClient, method: str) -> None:
    answer = await http.raw.request(method, "/graphql")
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


async def test_a_subscription_needs_a_stream(http: HttpClient, people: People) -> None:
    member = await people.new()
    query = f'subscription {{ pointsChanged(memberId: "{member.gid}") {{ position }} }}'
    answer = await post(http, {"query": query}, token=people.staff)
    assert (answer.status_code, read(answer).code) == (400, "BAD_REQUEST")
    assert "graphql-transport-ws" in read(answer).error["message"]


def bad_tokens(gateway: Gateway) -> Iterator[tuple[str, str]]:
    config, now = gateway.config, int(clock.now().timestamp())
    claims: dict[str, object] = {
        "iss": config.jwt_issuer,
        "aud": config.jwt_audience,
        "sub": "staff-1",
        "role": "STAFF",
    }
    claims |= {"iat": now, "exp": now + 600}
    secret = config.jwt_secret.get_secret_value()

    def signed(key: str = secret, algorithm: str = "HS256", **changed: object) -> str:
        kept = {name: value for name, value in (claims | changed).items() if value is not None}
        return jwt.encode(kept, key, algorithm=algorithm)

    yield "expired", gateway.token(Role.STAFF, valid_for=timedelta(seconds=-config.jwt_leeway_s - 1))
    yield "another key", signed("x" * 48)
    yield "no signature", jwt.encode(claims, "", algorithm="none")
    yield "another algorithm", signed(secret * 2, "HS512")
    yield "another audience", signed(aud="elsewhere")
    yield "another issuer", signed(iss="elsewhere")
    yield "no expiry", signed(exp=None)
    yield "no subject", signed(sub=None)
    yield "an unknown role", signed(role="EMPEROR")
    yield "a member that is no id", signed(role="MEMBER", member="x")
    yield "a member without id", signed(role="MEMBER")
    yield "staff with a member", signed(member=str(new_id()))
    yield "a member that is a number", signed(role="MEMBER", member=7)
    yield "a member that is a list", signed(role="MEMBER", member=[str(new_id())])
    yield "a role that is a list", signed(role=["STAFF"])
    yield "a scope that is a number", signed(scope=7)
    yield "scopes that are an object", signed(scope={"points:read": True})
    yield "scopes that are numbers", signed(scope=[1, 2])
    yield "a subject that is a number", signed(sub=7)
    yield "an id that is a list", signed(jti=["a"])
    yield "an id that is too long", signed(jti="i" * 81)
    yield "an end that is no moment", signed(exp=10**18)
    yield "a beginning that is text", signed(iat="yesterday")
    yield "issued tomorrow", signed(iat=now + 86_400, exp=now + 90_000)
    yield "a payload changed", ".".join([*signed(role="ADMIN").split(".")[:2], signed().split(".")[2]])
    yield "no token", "x"
    yield "text that is not ASCII", "é"


async def test_a_token_that_does_not_hold_opens_nothing(gateway: Gateway, http: HttpClient) -> None:
    for fault, token in bad_tokens(gateway):
        answer = await http.raw.post(
            "/graphql",
            json={"query": QUERY},
            headers={b"Accept": MEDIA_TYPE.encode(), b"Authorization": f"Bearer {token}".encode()},
        )
        assert (answer.status_code, read(answer).code) == (401, "UNAUTHENTICATED"), fault
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "data" not in answer.json()
        expired = "expired" in read(answer).error["message"]
        assert expired == (fault == "expired"), fault


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "token", "Bearer\tx"])
async def test_only_bearer_tokens_are_taken(http: HttpClient, header: str) -> None:
    answer = await http.raw.post("/graphql", json={"query": QUERY}, headers={"Authorization": header})
    assert (answer.status_code, read(answer).code) == (401, "UNAUTHENTICATED")


async def test_a_clock_that_is_a_little_behind_is_forgiven(gateway: Gateway, http: HttpClient) -> None:
    token = gateway.token(Role.STAFF, valid_for=timedelta(seconds=-1))
    assert (await http.ask(QUERY, token=token)).data["channels"]


async def test_without_a_token_the_operation_says_how_to_send_one(http: HttpClient) -> None:
    answer = await http.ask(QUERY)
    assert answer.code == "UNAUTHENTICATED"
    assert "Authorization: Bearer" in answer.error["message"]


async def test_introspection_and_graphiql_are_for_development(
    gateway: Gateway, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("{ __schema { types { name } } }", '{ __type(name: "Query") { name } }')
    for query in asked:
        assert (await http.ask(query)).status == 200
    page = await http.raw.get("/graphql", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    monkeypatch.setattr(gateway.config, "development", False)
    for query in asked:
        answer = await http.ask(query)
        assert answer.status == 400
        assert {error["extensions"]["code"] for error in answer.body["errors"]} == {"BAD_REQUEST"}
    assert (await http.ask("{ __typename }")).data == {"__typename": "Query"}
    assert (await http.raw.get("/graphql", headers={"Accept": "text/html"})).status_code == 404


async def test_introspection_nested_deeply_is_answered_or_refused(http: HttpClient) -> None:
    for depth in (10, 45, 60, 190):
        query = "{ __schema { types { fields { type " + "{ ofType " * depth + "{ name }" + " }" * depth + " } } } }"
        answer = await http.ask(query)
        assert answer.status in {200, 400}
        assert all(error["extensions"]["code"] == "BAD_REQUEST" for error in answer.body.get("errors", []))


async def test_errors_have_the_alias_as_path_and_the_place_in_the_document(http: HttpClient, people: People) -> None:
    answer = await http.ask('{ one: member(id: "x") { id } two: channels { code } }', token=people.staff)
    [error] = answer.body["errors"]
    assert (error["path"], error["locations"]) == (["one"], [{"line": 1, "column": 3}])
    assert error["extensions"] == {"code": "INVALID_INPUT", "path": ["id"]}
    assert answer.body["data"]["one"] is None
    assert answer.body["data"]["two"]
