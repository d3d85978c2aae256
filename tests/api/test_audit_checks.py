"""What GraphQL audit tools look for, each safe in production.

The checks are those of GraphQL Cop: five that overload, and eight that tell or let in too much.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engage.base.settings import Settings
from tests.api.clients import HttpClient, http_client
from tests.api.conftest import People
from tests.api.gateway import Gateway, serving
from tests.api.tables import everything

MAKE = 'mutation { createChannel(input: {code: "audit", name: "x"}) { __typename } }'
CIRCLE = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"


@pytest.fixture(scope="module")
def config(config: Settings) -> Settings:
    return config.model_copy(update={"development": False})


@pytest.fixture(scope="module")
async def gateway(config: Settings) -> AsyncIterator[Gateway]:
    async with serving(config) as started:
        yield started


@pytest.fixture(scope="module")
async def http(gateway: Gateway) -> AsyncIterator[HttpClient]:
    async with http_client(gateway.url) as client:
        yield client


async def codes(http: HttpClient, query: str, token: str) -> set[str]:
    """Those of the errors; the operation was not begun."""
    answer = await http.ask(query, token=token)
    assert answer.status == 400
    assert "data" not in answer.body
    return {error["extensions"]["code"] for error in answer.body["errors"]}


async def test_aliases_do_not_multiply(http: HttpClient, people: People) -> None:
    aliases = " ".join(f"a{number}: __typename" for number in range(101))
    assert "TOO_MANY_ALIASES" in await codes(http, f"{{ {aliases} }}", people.admin)


async def test_batches_are_not_taken(http: HttpClient, people: People) -> None:
    batch = [{"query": "{ __typename }"}] * 10
    answer = await http.raw.post("/graphql", json=batch, headers={"Authorization": f"Bearer {people.admin}"})
    assert answer.status_code == 400
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("directive", ["@aa", "@skip(if: false)"])
async def test_directives_do_not_multiply(http: HttpClient, people: People, directive: str) -> None:
    assert await codes(http, f"query {{ __typename {directive * 60} }}", people.admin) == {"TOO_MANY_DIRECTIVES"}


async def test_a_field_is_not_asked_for_again_and_again(http: HttpClient, people: People) -> None:
    assert "TOO_MANY_ALIASES" in await codes(http, f"{{ channels {{ {'code ' * 300} }} }}", people.admin)
    assert "TOO_MANY_ROOT_FIELDS" in await codes(http, f"{{ {'__typename ' * 500} }}", people.admin)


async def test_introspection_does_not_run_in_circles(http: HttpClient, people: People) -> None:
    assert await codes(http, CIRCLE, people.admin) == {"BAD_REQUEST"}


async def test_introspection_is_off(http: HttpClient, people: People) -> None:
    for query in ("{ __schema { types { name } } }", '{ __type(name: "Query") { name } }'):
        assert await codes(http, query, people.admin) == {"BAD_REQUEST"}


@pytest.mark.parametrize("query", ["{ chanels { code } }", "{ channels { cod } }", "{ channels { code(x: 1) } }"])
async def test_nothing_is_suggested(http: HttpClient, people: People, query: str) -> None:
    answer = await http.ask(query, token=people.admin)
    assert "did you mean" not in str(answer.body).lower()


@pytest.mark.parametrize("path", ["/", "/graphql", "/graphiql", "/playground", "/console", "/graphql/console"])
async def test_there_is_no_page(http: HttpClient, path: str) -> None:
    answer = await http.raw.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "<html" not in answer.text


async def test_nothing_changes_by_get_or_by_a_form(http: HttpClient, people: People) -> None:
    before = await everything()
    headers = {"Authorization": f"Bearer {people.admin}"}
    answers: list[httpx.Response] = [
        await http.raw.get("/graphql", params={"query": MAKE}, headers=headers),
        await http.raw.post("/graphql", data={"query": MAKE}, headers=headers),
        await http.raw.post("/graphql", files={"query": MAKE.encode()}, headers=headers),
        await http.raw.post("/graphql", content=MAKE, headers=headers | {"Content-Type": "text/plain"}),
        await http.raw.post("/graphql", params={"query": MAKE}, headers=headers),
    ]
    assert [one.status_code for one in answers] == [405, 415, 415, 415, 415]
    assert await everything() == before


async def test_what_a_page_could_get_without_a_token_is_nothing(http: HttpClient) -> None:
    """Queries come by GET too; a page in somebody's browser has no token of theirs to send along."""
    answer = await http.raw.get("/graphql", params={"query": "{ channels { code } }"}, headers={"Cookie": "token=x"})
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "access-control-allow-origin" not in answer.headers


async def test_nothing_is_traced(http: HttpClient, people: People) -> None:
    headers = {
        "Authorization": f"Bearer {people.admin}",
        "X-Apollo-Tracing": "1",
        "Apollo-Query-Plan-Experimental": "1",
    }
    answer = await http.raw.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert answer.json()["data"] == {"__typename": "Query"}
    assert set(answer.json()["extensions"]) == {"cost"}


@pytest.mark.parametrize(
    "body",
    [
        {"query": "qwerty { abc }"},
        {"query": "query { member(id: {a: [1]}) { id } }"},
        {"query": "query ($x: Nonsense) { channels { code } }", "variables": {"x": {"a": 1}}},
        {"query": None},
        {"query": '{ member(id: "\\u0000") { id } }'},
    ],
)
async def test_no_error_tells_of_what_is_inside(http: HttpClient, people: People, body: dict[str, Any]) -> None:
    answer = await http.raw.post("/graphql", json=body, headers={"Authorization": f"Bearer {people.admin}"})
    assert answer.status_code < 500
    told = answer.text.lower()
    assert not any(word in told for word in ("traceback", "exception", "stacktrace", ".py", "asyncpg", "strawberry"))
