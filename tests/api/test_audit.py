"""The audit log through the API: what each way of asking leaves there, and how admins read it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.api.relay import global_id, parts_of_id
from engage.base import clock, db
from engage.base.actor import SYSTEM, Role
from engage.base.audit_log import AuditFilter, list_audit
from engage.base.ids import new_id
from engage.base.paging import Window
from tests.api import hooks, keys
from tests.api.audited import recording, told
from tests.api.clients import HttpClient, Json, socket
from tests.api.conftest import People, Person, new_key
from tests.api.gateway import Gateway
from tests.api.test_sse import events

SPEND = """mutation ($input: SpendPointsInput!) { spendPoints(input: $input) {
    __typename ... on Problem { code } ... on SpendPointsPayload { replayed } } }"""
PURCHASE = "mutation ($input: RecordPurchaseInput!) { recordPurchase(input: $input) { __typename } }"
ENDPOINT = {"url": hooks.URL, "events": [hooks.EVENT]}
REGISTER = "mutation ($input: RegisterMemberInput!) { registerMember(input: $input) { __typename } }"
LOG = """query ($first: Int!, $after: String, $actor: String, $role: Role, $command: String, $memberId: ID,
                $result: String, $from: DateTime, $to: DateTime) {
    auditLog(first: $first, after: $after, actor: $actor, role: $role, command: $command, memberId: $memberId,
             result: $result, from: $from, to: $to) {
        edges { node { id at actor role via command subjects { name value } memberId result requestId address
                       credential } }
        pageInfo { hasNextPage endCursor } } }"""


def spending(member: Person, amount: int = 1, key: str | None = None) -> Json:
    return {"input": {"memberId": member.gid, "amount": amount, "idempotencyKey": key or new_key()}}


async def read(http: HttpClient, people: People, **wanted: Any) -> list[Json]:
    """All pages."""
    nodes: list[Json] = []
    page: Json = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        variables = {"first": 2, "after": page["endCursor"]} | wanted
        found = (await http.ask(LOG, variables, token=people.admin)).data["auditLog"]
        nodes += [edge["node"] for edge in found["edges"]]
        page = found["pageInfo"]
    return nodes


async def test_a_spend_and_its_repetition_and_a_refused_one(http: HttpClient, people: People) -> None:
    member, key = await people.new(10), new_key()
    async with recording(via="HTTP") as rows:
        for amount in (1, 1, 2):
            await http.ask(SPEND, spending(member, amount, key), token=people.staff)
        await http.ask(SPEND, spending(member, 999), token=people.staff)
    assert told(rows) == [
        ("spend_points", "OK"),
        ("spend_points", "REPLAYED"),
        ("spend_points", "IDEMPOTENCY_CONFLICT"),
        ("spend_points", "INSUFFICIENT_POINTS"),
    ]
    assert {(row["actor"], row["member_id"]) for row in rows} == {("staff-1", member.id)}
    of_member = {"member_id": str(member.id), "program": "default"}
    transfer = await db.fetch_value("SELECT id FROM transfers WHERE member_id = $1 AND kind = 'SPEND'", member.id)
    done = of_member | {"transfer_id": str(transfer)}
    assert [row["subjects"] for row in rows] == [done, done, of_member, of_member]


async def test_what_a_command_makes_is_told_too(http: HttpClient, people: People) -> None:
    store = {"program": "default", "code": "by-the-lake", "name": "West Lake"}
    given = {"CreateApiKey": keys.NEW, "CreateWebhookEndpoint": ENDPOINT, "CreateStore": store}
    async with recording(via="HTTP") as rows:
        for name, what in given.items():
            field = name[0].lower() + name[1:]
            asked = f"mutation ($input: {name}Input!) {{ {field}(input: $input) {{ __typename }} }}"
            await http.ask(asked, {"input": what}, token=people.admin)
    made = [(row["command"], UUID(row["subjects"]["id"])) for row in rows]
    for (command, made_id), table in zip(made, ("api_keys", "webhook_endpoints", "stores"), strict=True):
        found = await db.fetch_value(f"SELECT id FROM {table} WHERE id = $1", made_id)  # noqa: S608 -- ours
        assert found == made_id, command


async def test_the_code_is_the_one_that_the_caller_was_told(http: HttpClient, people: People) -> None:
    """A member is not told of another who cannot receive; nor does the log tell more than was decided."""
    member, recipient = await people.new(10), await people.new()
    await db.execute("UPDATE members SET state = 'SUSPENDED' WHERE id = $1", recipient.id)
    document = """mutation ($input: GiftPointsInput!) { giftPoints(input: $input) { ... on Problem { code } } }"""
    given = spending(member)["input"] | {"recipientId": recipient.gid}
    for token, code in ((member.token, "NOT_FOUND"), (people.staff, "MEMBER_NOT_ACTIVE")):
        async with recording(via="HTTP") as rows:
            answer = await http.ask(document, {"input": given}, token=token)
        assert answer.data["giftPoints"] == {"code": code}
        assert told(rows) == [("gift_points", code)]


async def test_whom_it_is_about_where_the_input_does_not_say(http: HttpClient, people: People) -> None:
    given: Json = {"identities": [{"channel": "phone", "identifier": new_key()}]}
    async with recording(via="HTTP") as rows:
        await http.ask(REGISTER, {"input": given}, token=people.staff)
    assert rows[0]["member_id"] == await db.fetch_value("SELECT id FROM members ORDER BY id DESC LIMIT 1")

    member = await people.new()
    bought = {
        "orderNo": new_key(), "member": {"channel": "card", "identifier": member.card}, "amount": "12.50",
        "purchasedAt": "2026-01-05T10:00:00Z",
    }  # fmt: skip
    async with recording(via="HTTP") as rows:
        for change in ({}, {}, {"amount": "13.00"}):
            await http.ask(PURCHASE, {"input": bought | change}, token=people.staff)
    assert told(rows) == [
        ("record_purchase", "OK"),
        ("record_purchase", "REPLAYED"),
        ("record_purchase", "ORDER_CONFLICT"),
    ]
    assert [row["member_id"] for row in rows[:2]] == [member.id] * 2


async def test_operations_of_a_socket_and_of_server_sent_events(
    gateway: Gateway, http: HttpClient, people: People
) -> None:
    member = await people.new(10)
    async with recording() as rows:
        async with socket(gateway.ws_url, member.token) as opened:
            for _ in range(2):
                spent = await (await opened.start(SPEND, spending(member))).data()
                assert spent["spendPoints"]["__typename"] == "SpendPointsPayload"
        async with events(http, SPEND, spending(member, 999), token=member.token) as stream:
            assert (await stream.next())[0] == "next"
    assert [(row["via"], row["result"]) for row in rows] == [
        ("WEBSOCKET", "OK"),
        ("WEBSOCKET", "OK"),
        ("SSE", "INSUFFICIENT_POINTS"),
    ]
    assert {(row["actor"], row["address"]) for row in rows} == {(str(member.id), "127.0.0.1")}
    assert rows[0]["request_id"] == rows[1]["request_id"] != rows[2]["request_id"]


async def test_each_filter_and_all_pages(http: HttpClient, people: People) -> None:
    member, other = await people.new(10), await people.new(10)
    began = clock.now()
    await http.ask(SPEND, spending(member), token=member.token)
    await http.ask(SPEND, spending(member, 99), token=people.staff)
    between = clock.now()
    await http.ask(SPEND, spending(other), token=people.service)
    await http.ask(SPEND, spending(other), token=people.moderator)
    await http.ask(REGISTER, {"input": {"identities": []}}, token=people.admin)
    ended = clock.now()

    def found(nodes: list[Json]) -> list[tuple[str, str, str]]:
        return [(one["role"], one["command"], one["result"]) for one in nodes]

    everything = await read(http, people, **{"from": began.isoformat(), "to": ended.isoformat()})
    assert found(everything) == [
        ("ADMIN", "register_member", "INVALID_INPUT"),
        ("MODERATOR", "spend_points", "FORBIDDEN"),
        ("SERVICE", "spend_points", "OK"),
        ("STAFF", "spend_points", "INSUFFICIENT_POINTS"),
        ("MEMBER", "spend_points", "OK"),
    ]
    assert len({one["id"] for one in everything}) == 5
    assert everything[-1]["subjects"] == [
        {"name": "memberId", "value": member.gid},
        {"name": "program", "value": "default"},
        {"name": "transferId", "value": everything[-1]["subjects"][-1]["value"]},
    ]
    assert parts_of_id(everything[-1]["subjects"][-1]["value"]) is not None
    assert everything[-1]["memberId"] == member.gid
    window = {"from": began.isoformat(), "to": ended.isoformat()}
    for wanted, expected in (
        ({"actor": "service-1"}, [2]),
        ({"role": "MODERATOR"}, [1]),
        ({"command": "register_member"}, [0]),
        ({"memberId": other.gid}, [1, 2]),
        ({"result": "OK"}, [2, 4]),
        ({"result": "FORBIDDEN"}, [1]),
        ({"from": between.isoformat()}, [0, 1, 2]),
        ({"to": between.isoformat()}, [3, 4]),
        ({"memberId": member.gid, "result": "OK", "role": "MEMBER"}, [4]),
        ({"actor": "nobody"}, []),
    ):
        nodes = await read(http, people, **window | wanted)
        assert nodes == [everything[place] for place in expected], wanted


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"first": 0}, ["first"]),
        ({"first": 101}, ["first"]),
        ({"after": "no-cursor"}, ["after"]),
        ({"memberId": "no-id"}, ["memberId"]),
        ({"memberId": global_id("Transfer", new_id())}, ["memberId"]),
    ],
)
async def test_what_is_no_right_question(http: HttpClient, people: People, given: Json, path: list[str]) -> None:
    answer = await http.ask(LOG, {"first": 1} | given, token=people.admin)
    [error] = answer.body["errors"]
    assert (error["extensions"]["code"], error["extensions"]["path"]) == ("INVALID_INPUT", path)


FILL = """
    INSERT INTO audit_log (id, at, actor, role, via, command, subjects, member_id, result)
      SELECT engage.uuid7(m.at), m.at, 'till-' || n % 500, CASE n % 997 WHEN 0 THEN 'MODERATOR' ELSE 'STAFF' END,
             'HTTP', CASE n % 991 WHEN 0 THEN 'freeze_member' ELSE 'spend_points' END, '{}', gen_random_uuid(),
             CASE n % 983 WHEN 0 THEN 'FORBIDDEN' ELSE 'OK' END
        FROM generate_series(1, 30000) n
       CROSS JOIN LATERAL (SELECT now() - interval '1 year' + n * interval '1 minute' AS at) m
"""


LOOKED_AT = """
    SELECT (seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
      FROM pg_stat_xact_user_tables WHERE relname = 'audit_log'
"""


async def test_no_filter_reads_the_whole_table(gateway: Gateway) -> None:
    assert gateway.hub is not None
    await db.execute(FILL)
    await db.execute("ANALYZE audit_log")
    at = clock.now() - timedelta(days=365) + timedelta(minutes=20_000)
    member_id = await db.fetch_value("SELECT member_id FROM audit_log WHERE member_id IS NOT NULL LIMIT 1")
    for wanted in (
        AuditFilter(),
        AuditFilter(actor="till-7"),
        AuditFilter(role=Role.MODERATOR),
        AuditFilter(command="freeze_member"),
        AuditFilter(member_id=member_id),
        AuditFilter(result="FORBIDDEN"),
        AuditFilter(result="OK"),
        AuditFilter(since=at, until=at + timedelta(minutes=10)),
        AuditFilter(until=at),
    ):
        async with db.transaction():
            before = await db.fetch_value(LOOKED_AT)
            page = await list_audit(SYSTEM, wanted, Window(5))
            after = await db.fetch_value(LOOKED_AT)
        assert page.rows, wanted
        assert after - before < 100, wanted
