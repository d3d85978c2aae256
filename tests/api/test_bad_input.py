"""No value of any input field is a fault of ours: it is taken, or refused by name, and then nothing is changed.

Driven by the schema, so that a new field is tried without being named here.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from graphql import GraphQLEnumType

from engage.api.relay import global_id
from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.base.paging import encode_cursor
from engage.domains.members import service as members
from tests.api import hooks, keys
from tests.api.clients import MEDIA_TYPE, Answer, HttpClient, Json, read
from tests.api.conftest import People, Person
from tests.api.corrections import put_corrections
from tests.api.inputs import SCHEMA, VALID, Place, document, leaves, replaced
from tests.api.ledger_inputs import make_ready
from tests.api.previews import put_previews
from tests.api.promised import DONE, job_gid, put_jobs
from tests.api.tables import everything

PLACES = [
    pytest.param(name, place, kind, id=f"{name}.{'.'.join(map(str, place))}")
    for name in VALID
    for place, kind in leaves(name)
]

TEXTS = [
    "",
    " ",
    "a\0b",
    "\0",
    "x" * 10_000,
    "\u202e",
    "\x1b[31m",
    "é",
    "😀" * 150,
    "ß" * 150,
    "ﷺ" * 60,
    "' OR 1=1 --",
]
NUMBERS: list[object] = [
    -1, 0, 1.5, 2**53, 2**63, 2**64, 10**30, 1e300, -1e300, 1e-300, "12", "-0", "1_000", " 12 ", "\uff11\uff12",
    "NaN", "sNaN", "Infinity", "-Infinity", "1e400", "1e-999999", "1e999999999999999999", "9" * 50_000,
    "0." + "0" * 50_000 + "1", "0x10", "", True, [1], {"a": 1}, None,
]  # fmt: skip
MOMENTS: list[object] = [
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "2024-02-30T00:00:00Z",
    "2024-01-01T00:00:00", "2024-01-01", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "junk", "", "\0", 5,
    1e300, "0001-01-01", "9999-12-31", "2024-02-30", "-0001-01-01", None, [],
]  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "String": [*TEXTS, 5, 1.5, True, [], {}, None],
    "ID": [*TEXTS, 5, 2**70, True, [], {}, None, global_id("Purchase", new_id())],
    "Points": NUMBERS,
    "Amount": NUMBERS,
    "Int": NUMBERS,
    "Boolean": [True, False, "", "true", 1, [], {}, None],
    "DateTime": MOMENTS,
    "Date": MOMENTS,
}


def values_of(kind: str) -> list[Any]:
    """Values to try for a type; of an enum each of its own, too."""
    type_ = SCHEMA.type_map[kind]
    return [*type_.values, *TEXTS, 5, True, [], {}, None] if isinstance(type_, GraphQLEnumType) else VALUES[kind]


LENGTH_MAX = 500
"""A message tells what is wrong; it does not send a long value back."""

HASHED = {"idempotencyKey"}
"""Text of which a hash alone is stored: it may hold anything."""


@pytest.fixture(scope="module")
async def member(people: People) -> Person:
    await members.create_store(SYSTEM, program="default", code="corner", name="The corner shop")
    await put_jobs()
    await hooks.put_webhooks()
    await keys.put_keys()
    await put_previews()
    await put_corrections()
    return await people.new(1000)


def check(answer: Answer) -> str:
    """What became of a value: `taken`, `refused` by a problem, or `malformed`. Fails for a fault of ours."""
    if "errors" in answer.body:
        for error in answer.body["errors"]:
            assert error["extensions"]["code"] == "BAD_REQUEST", error
            assert len(error["message"]) > 10
        assert answer.status == 400
        return "malformed"
    [result] = answer.data.values()
    if "code" not in result:
        return "taken"
    assert result["message"].endswith((".", "…")), result
    assert len(result["message"]) <= LENGTH_MAX
    return "refused"


@pytest.mark.parametrize("name", VALID)
async def test_the_valid_input_is_taken(http: HttpClient, people: People, member: Person, name: str) -> None:
    await make_ready(name, member)
    answer = await http.ask(document(name), {"input": VALID[name](member)}, token=people.admin)
    assert check(answer) == "taken", answer.body


@pytest.mark.parametrize(("name", "place", "kind"), PLACES)
async def test_no_value_is_a_fault_of_ours(
    http: HttpClient, people: People, member: Person, name: str, place: Place, kind: str
) -> None:
    await make_ready(name, member)
    before = await everything()
    for value in values_of(kind):
        given = replaced(VALID[name](member), place, value)
        outcome = check(await http.ask(document(name), {"input": given}, token=people.admin))
        if isinstance(value, str) and "\0" in value and place[-1] not in HASHED:
            assert outcome != "taken", value
        if outcome == "taken":
            before = await everything()
    assert await everything() == before


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400, '"\\ud800"', '"\\udfff\\ud800"'])
async def test_what_is_not_json_is_a_bad_request(http: HttpClient, people: People, member: Person, raw: str) -> None:
    before = await everything()
    given = orjson.dumps({"query": document("earnPoints"), "variables": {"input": VALID["earnPoints"](member)}})
    answer = await http.raw.post(
        "/graphql",
        content=given.replace(b'"amount":1', b'"amount":' + raw.encode()),
        headers={"Content-Type": "application/json", "Accept": MEDIA_TYPE, "Authorization": f"Bearer {people.staff}"},
    )
    assert (answer.status_code, read(answer).code) == (400, "BAD_REQUEST")
    assert await everything() == before


@pytest.mark.parametrize(
    "literal", ["1e400", "-1e400", "9" * 5000, "-" + "9" * 5000, "1" * 400, "1e999999999999", "-0"]
)
async def test_a_number_in_the_document_is_refused_by_name(
    http: HttpClient, people: People, member: Person, literal: str
) -> None:
    answer = await http.ask(
        f"""mutation {{ earnPoints(input: {{ memberId: "{member.gid}", amount: {literal}, idempotencyKey: "k" }}) {{
            ... on InvalidInput {{ code path }} }} }}""",
        token=people.staff,
    )
    assert answer.data["earnPoints"] == {"code": "INVALID_INPUT", "path": ["amount"]}


@pytest.mark.parametrize("literal", ["true", '"12"', "null", "ONE", "[1]", "{a: 1}"])
async def test_what_is_no_number_is_a_bad_request(
    http: HttpClient, people: People, member: Person, literal: str
) -> None:
    answer = await http.ask(
        f"""mutation {{ earnPoints(input: {{ memberId: "{member.gid}", amount: {literal}, idempotencyKey: "k" }}) {{
            __typename }} }}""",
        token=people.staff,
    )
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("name", "place", "items"),
    [
        ("registerMember", ("identities",), [{"channel": "card", "identifier": f"X-{n}"} for n in range(21)]),
        ("recordPurchase", ("lines",), [{"item": "TEA", "quantity": 1, "amount": 1}] * 201),
        ("markMessagesRead", ("messageIds",), [global_id("Message", new_id())] * 101),
        ("registerMember", ("identities",), []),
        ("markMessagesRead", ("messageIds",), []),
        ("retryJobs", ("ids",), [job_gid(new_id()) for _ in range(101)]),
        ("retryJobs", ("ids",), []),
        ("requestBulkPoints", ("rows",), []),
        ("createWebhookEndpoint", ("events",), [hooks.EVENT] * 51),
        ("createWebhookEndpoint", ("events",), []),
        ("updateWebhookEndpoint", ("events",), []),
        ("publishPointsPolicy", ("policy", "topUpBonus"), [{"fromAmount": n, "perMille": 1} for n in range(21)]),
        ("publishPointsPolicy", ("policy", "expiryActivities"), []),
    ],
)
async def test_lists_of_another_length_are_refused_by_name(
    http: HttpClient, people: People, member: Person, name: str, place: Place, items: list[object]
) -> None:
    before = await everything()
    given = replaced(VALID[name](member), place, items)
    answer = await http.ask(document(name), {"input": given}, token=people.admin)
    [problem] = answer.data.values()
    assert (problem["code"], problem["path"]) == ("INVALID_INPUT", list(place))
    assert await everything() == before


CURSORS = [
    "junk", "", "\0", "é", "x" * 5000, encode_cursor(2**63), encode_cursor(2**64 - 1), encode_cursor(-5),
    encode_cursor("a"), encode_cursor("\0"), encode_cursor("junk", "x"), encode_cursor("2024-01-01T00:00:00", "x"),
    encode_cursor(1, 2, 3),
    encode_cursor("0001-01-01T00:00:00+14:00", "01890000-0000-7000-8000-000000000000"),
    base64.urlsafe_b64encode(b"[" * 300).decode(), base64.urlsafe_b64encode(b"null").decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(), base64.urlsafe_b64encode(b"[NaN]").decode(),
]  # fmt: skip

OF_A_MEMBER: list[tuple[str, str, list[Any]]] = [
    ("transactions(first: 1, after: $x) { edges { cursor } }", "String", CURSORS),
    ("purchases(first: 1, after: $x) { edges { cursor } }", "String", CURSORS),
    ("messages(first: 1, after: $x) { edges { cursor } }", "String", CURSORS),
    ("messages(first: 1, locale: $x) { edges { cursor } }", "String", TEXTS),
    ("transactions(first: 1, program: $x) { edges { cursor } }", "String!", TEXTS),
    ("balance(program: $x) { available }", "String!", TEXTS),
    ("expirySchedule(program: $x) { total }", "String!", TEXTS),
    ("expirySchedule(first: $x) { total }", "Int!", NUMBERS),
    ("purchases(first: $x) { edges { cursor } }", "Int!", NUMBERS),
]
OF_A_JOB: list[tuple[str, str, list[Any]]] = [
    ("results(first: 1, after: $x) { edges { cursor } }", "String", CURSORS),
    ("results(first: 1, code: $x) { edges { cursor } }", "String", TEXTS),
    ("results(first: $x) { edges { cursor } }", "Int!", NUMBERS),
]
READS = [
    *[
        (f"query ($id: ID!, $x: {kind}) {{ member(id: $id) {{ {field} }} }}", values)
        for field, kind, values in OF_A_MEMBER
    ],
    *[
        (f'query ($x: {kind}) {{ job(id: "{job_gid(DONE)}") {{ {field} }} }}', values)
        for field, kind, values in OF_A_JOB
    ],
    ("query ($x: String) { jobs(first: 1, after: $x) { edges { cursor } } }", CURSORS),
    ("query ($x: Int!) { jobs(first: $x) { edges { cursor } } }", NUMBERS),
    ("query ($x: String) { jobs(first: 1, filter: { kind: $x }) { edges { cursor } } }", TEXTS),
    ("query ($x: String) { jobs(first: 1, filter: { target: $x }) { edges { cursor } } }", TEXTS),
    ("query ($x: ID!) { job(id: $x) { id } }", VALUES["ID"]),
    ("query ($x: String) { webhookEndpoints(first: 1, after: $x) { edges { cursor } } }", CURSORS),
    ("query ($x: Int!) { webhookEndpoints(first: $x) { edges { cursor } } }", NUMBERS),
    ("query ($x: ID!) { webhookEndpoint(id: $x) { id } }", VALUES["ID"]),
    ("query ($x: ID!) { member(id: $x) { id } }", VALUES["ID"]),
    ('query ($x: String!) { member(identity: { channel: $x, identifier: "a" }) { id } }', TEXTS),
    ('query ($x: String!) { member(identity: { channel: "card", identifier: $x }) { id } }', TEXTS),
    ("query ($x: String!) { programTotals(program: $x) { members } }", TEXTS),
    ("query ($x: String!) { pointsPolicy(program: $x) { version } }", TEXTS),
    ("query ($x: DateTime) { pointsPolicy(at: $x) { version } }", MOMENTS),
    ("query ($x: String!) { pointsPolicies(first: 1, program: $x) { edges { cursor } } }", TEXTS),
    ("query ($x: String) { pointsPolicies(first: 1, after: $x) { edges { cursor } } }", CURSORS),
    ("query ($x: Int!) { pointsPolicies(first: $x) { edges { cursor } } }", NUMBERS),
    ("query ($x: String!) { waitingBulkCorrections(first: 1, program: $x) { edges { cursor } } }", TEXTS),
    ("query ($x: String) { waitingBulkCorrections(first: 1, after: $x) { edges { cursor } } }", CURSORS),
    ("query ($x: Int!) { waitingBulkCorrections(first: $x) { edges { cursor } } }", NUMBERS),
]


@pytest.mark.parametrize(("query", "values"), READS)
async def test_no_argument_of_a_query_is_a_fault_of_ours(
    http: HttpClient, people: People, member: Person, query: str, values: list[Any]
) -> None:
    for value in values:
        variables: Json = {"x": value} | ({"id": member.gid} if "$id" in query else {})
        answer = await http.ask(query, variables, token=people.admin)
        for error in answer.body.get("errors", []):
            assert error["extensions"]["code"] in {"INVALID_INPUT", "NOT_FOUND", "BAD_REQUEST"}, (value, error)
            assert len(error["message"]) <= LENGTH_MAX
            if isinstance(value, str) and "$x: String" in query:
                assert error["extensions"]["code"] != "BAD_REQUEST", (value, error)
