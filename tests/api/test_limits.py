"""What a document may ask for at most: just so much passes, one more is refused by name, and costs nothing much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engage.api.limits import LIST_MAX
from engage.api.schema import ERRORS_MAX
from engage.base.metrics import REGISTRY
from tests.api.clients import MEDIA_TYPE, Answer, HttpClient
from tests.api.conftest import People
from tests.api.gateway import Gateway

REGISTER = """mutation ($input: RegisterMemberInput!) { registerMember(input: $input) {
    __typename ... on Problem { code path } } }"""
CALLED_OUT = "{ ...a0 } " + " ".join(f"fragment a{n} on Query {{ ...a{n + 1} ...a{n + 1} }}" for n in range(60))


def document(limit: str, count: int) -> str:
    """One that has so much of what is limited; it need not fit the schema, as that is looked at afterwards."""
    match limit:
        case "TOO_MANY_TOKENS":
            return "query { " + "a " * (count - 3) + "}"
        case "TOO_DEEP":
            return "{ a " * count + "}" * count
        case "TOO_MANY_ROOT_FIELDS":
            return f"{{ ...F f0 }} fragment F on Query {{ {' '.join(f'f{n}' for n in range(1, count))} }}"
        case "TOO_MANY_FIELDS":
            parts = " ".join(f"r{n} {{ ...F }}" for n in range(10))
            return f"{{ {parts} }} fragment F on X {{ {' '.join(f'f{n}' for n in range(count // 10 - 1))} }}"
        case "TOO_MANY_ALIASES":
            return f"{{ a {{ {' '.join(f'x{n}: y' for n in range(count - 1))} z z }} }}"
        case "TOO_MANY_DIRECTIVES":
            return "query { a " + "@skip(if: false) " * count + "}"
    raise AssertionError(limit)


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        ("TOO_MANY_TOKENS", 1000),
        ("TOO_DEEP", 12),
        ("TOO_MANY_ROOT_FIELDS", 10),
        ("TOO_MANY_FIELDS", 500),
        ("TOO_MANY_ALIASES", 15),
        ("TOO_MANY_DIRECTIVES", 50),
    ],
)
async def test_so_much_and_no_more(http: HttpClient, limit: str, most: int) -> None:
    def told(body: dict[str, Any]) -> set[str]:
        return {error["extensions"]["code"] for error in body["errors"]}

    just = await http.ask(document(limit, most))
    assert limit not in told(just.body)
    step = 10 if limit == "TOO_MANY_FIELDS" else 1
    beyond = await http.ask(document(limit, most + step))
    assert beyond.status == 400
    [error] = [one for one in beyond.body["errors"] if one["extensions"]["code"] == limit]
    assert error["extensions"]["limit"] == most
    assert str(most) in error["message"]
    assert "data" not in beyond.body


@pytest.mark.parametrize(
    "query",
    [
        CALLED_OUT + " fragment a60 on Query { channels { code } }",
        "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
        "{ ...a } fragment a on Query { channels { code } ...a }",
        "{ " + "[" * 300,
        "query (" + "$a: Int = 1 " * 100 + ") { __typename }",
        "{ channels { ...a ...a ...a } } fragment a on Channel { " + "code " * 200 + "}",
    ],
    ids=["two to the sixtieth", "a circle", "within itself", "open brackets", "variables", "the same again"],
)
async def test_what_would_grow_without_end_is_refused(http: HttpClient, people: People, query: str) -> None:
    answer = await http.ask(query, token=people.staff)
    assert answer.status == 400
    assert all(error["message"].count("\n") == 0 for error in answer.body["errors"])
    assert (await http.ask("{ channels { code } }", token=people.staff)).data["channels"]


async def test_a_list_of_the_variables_is_not_endless(http: HttpClient, people: People) -> None:
    async def told(count: int) -> Answer:
        identities = [{"channel": "card", "identifier": f"L-{number}"} for number in range(count)]
        return await http.ask(REGISTER, {"input": {"identities": identities}}, token=people.service)

    assert (await told(LIST_MAX)).data["registerMember"]["code"] == "INVALID_INPUT"  # of the command: fewer
    beyond = await told(LIST_MAX + 1)
    assert (beyond.status, beyond.code) == (400, "LIST_TOO_LONG")
    assert beyond.error["extensions"] == {"code": "LIST_TOO_LONG", "limit": 1000, "path": ["input", "identities"]}


async def test_a_list_is_found_wherever_it_is(http: HttpClient, people: People) -> None:
    deep: object = [0] * (LIST_MAX + 1)
    for _ in range(3):
        deep = [7, {"a": deep}]
    answer = await http.ask(REGISTER, {"input": {"identities": deep}}, token=people.admin)
    assert (answer.status, answer.code) == (400, "LIST_TOO_LONG")
    assert answer.error["extensions"]["path"] == ["input", "identities", *["1", "a"] * 3]


async def test_variables_may_be_nested_as_deeply_as_json_may(http: HttpClient, people: People) -> None:
    query = json.dumps(REGISTER)
    for depth in (100, 500, 900, 1010, 5000):
        deep = "[" * depth + "]" * depth
        answer = await http.raw.post(
            "/graphql",
            content=f'{{"query": {query}, "variables": {{"input": {{"identities": {deep}}}}}}}',
            headers={
                "Content-Type": "application/json",
                "Accept": MEDIA_TYPE,
                "Authorization": f"Bearer {people.admin}",
            },
        )
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


async def test_production_suggests_nothing(
    gateway: Gateway, http: HttpClient, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ("{ chanels { code } }", {}),
        ("{ channels { cod } }", {}),
        ("{ channels { code(ofx: 1) } }", {}),
        ("query ($x: Chanel) { channels { code } }", {}),
        ("{ member(idd: 1) { id } }", {}),
        (REGISTER, {"input": {"identites": []}}),
    ]
    for closed in (False, True):
        monkeypatch.setattr(gateway.config, "development", not closed)
        answers = [(await http.ask(query, variables, token=people.admin)).body for query, variables in asked]
        told = [" ".join(error["message"] for error in body["errors"]) for body in answers]
        assert any("Did you mean" in one for one in told) == (not closed)


async def test_only_so_many_faults_are_told(http: HttpClient) -> None:
    answer = await http.ask("{ channels { " + " ".join(f"x{n}" for n in range(300)) + " } }")
    assert (answer.status, len(answer.body["errors"])) == (400, ERRORS_MAX + 1)  # and that there are more


async def test_a_document_is_validated_once(http: HttpClient, people: People) -> None:
    query = "query Once { channels { code name } }"
    before = validated()
    for _ in range(5):
        assert (await http.ask(query, token=people.staff)).data
    assert validated() == before + 1
    for _ in range(2):
        assert (await http.ask("query Once { nonsense }")).status == 400
    assert validated() == before + 3  # what is faulty takes no place


def validated() -> float:
    """How many documents this process has validated."""
    return REGISTRY.get_sample_value("engage_documents_validated_total") or 0.0
