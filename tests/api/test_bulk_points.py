"""Bulk points by the API: asked for, approved by somebody else, done by a worker, told row by row."""

from __future__ import annotations

from typing import Any

import pytest

from engage.api.relay import global_id, local_id
from engage.base import db
from engage.base.actor import SYSTEM, Role
from engage.base.ids import new_id
from engage.domains.ledger.policy.service import publish_points_policy
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms
from engage.outbox import Asked
from engage.outbox.here import run_here
from tests.api.clients import HttpClient, Json
from tests.api.conftest import People, Person, new_key
from tests.api.gateway import Gateway

REQUEST = """mutation ($input: RequestBulkPointsInput!) { requestBulkPoints(input: $input) {
    __typename ... on RequestBulkPointsPayload { jobId waits replayed } ... on Problem { code message path } } }"""
APPROVE = """mutation ($id: ID!) { approveBulkPoints(input: { id: $id }) {
    __typename ... on ApproveBulkPointsPayload { correction { jobId state decidedBy } }
    ... on Problem { code } ... on AdjustmentDecided { adjustmentState } } }"""
REJECT = APPROVE.replace("approve", "reject").replace("Approve", "Reject")
JOB = """query ($id: ID!) { job(id: $id) { state askedBy progress { rowsDone rowsFailed rowsTotal }
    results(first: 10) { edges { node { row code detail { name value } } } } } }"""
WAITING = """{ waitingBulkCorrections(first: 5) { edges { node {
    jobId program reason rows added removed state askedBy decidedBy } } } }"""
BALANCE = "query ($id: ID!) { member(id: $id) { balance { available } } }"


def given(operation: str, *rows: Json, **more: Any) -> Json:
    return {"operation": operation, "rows": list(rows), "idempotencyKey": new_key(), **more}


def row(key: str, member: str, amount: int, **more: Any) -> Json:
    return {"rowKey": key, "memberId": member, "amount": amount, **more}


async def request(http: HttpClient, token: str | None, wanted: Json) -> Json:
    answer: Json = (await http.ask(REQUEST, {"input": wanted}, token=token)).data["requestBulkPoints"]
    return answer


async def available(http: HttpClient, people: People, member: Person) -> int:
    answer = await http.ask(BALANCE, {"id": member.gid}, token=people.staff)
    return int(answer.data["member"]["balance"]["available"])


async def work(job: str) -> None:
    """What a worker would do."""
    await run_here(Asked(local_id("Job", job, path=[]), new=False))  # type: ignore[arg-type]


async def test_rows_are_posted_and_told_one_by_one(http: HttpClient, people: People) -> None:
    one, two = await people.new(), await people.new()
    nobody = global_id("Member", new_id())
    wanted = given("EARN", row("a", one.gid, 10), row("b", nobody, 5), row("c", two.gid, 7, reason="BIRTHDAY"))
    answer = await request(http, people.staff, wanted)
    assert (answer["__typename"], answer["waits"], answer["replayed"]) == ("RequestBulkPointsPayload", False, False)
    again = await request(http, people.staff, wanted)
    assert again == {**answer, "replayed": True}
    await work(answer["jobId"])
    of_another = await http.ask(JOB, {"id": answer["jobId"]}, token=people.service)
    assert of_another.code == "FORBIDDEN"
    told = (await http.ask(JOB, {"id": answer["jobId"]}, token=people.staff)).data["job"]
    assert told == (await http.ask(JOB, {"id": answer["jobId"]}, token=people.admin)).data["job"]
    assert told == {
        "state": "DONE",
        "askedBy": "staff-1",
        "progress": {"rowsDone": 2, "rowsFailed": 1, "rowsTotal": 3},
        "results": {
            "edges": [
                {
                    "node": {
                        "row": 3,  # the third line of the file that the request became, after its header
                        "code": "UNKNOWN_MEMBER",
                        "detail": [
                            {"name": "reason", "value": "member: There is no such member."},
                            {"name": "row_key", "value": "b"},
                        ],
                    }
                }
            ]
        },
    }
    assert (await available(http, people, one), await available(http, people, two)) == (10, 7)
    assert (await request(http, people.staff, wanted))["jobId"] == answer["jobId"]
    other = await request(http, people.service, wanted)
    assert other["jobId"] != answer["jobId"]  # another caller's key is another key


async def test_a_thousand_rows_fit_and_no_more(http: HttpClient, people: People) -> None:
    member = await people.new()
    rows = [row(f"row-{number:04}", member.gid, 1) for number in range(1000)]
    answer = await request(http, people.staff, given("EARN", *rows))
    await work(answer["jobId"])
    assert await available(http, people, member) == 1000
    refused = await http.ask(REQUEST, {"input": given("EARN", *rows, row("more", member.gid, 1))}, token=people.staff)
    assert (refused.code, refused.error["extensions"]["path"]) == ("LIST_TOO_LONG", ["input", "rows"])


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"amount": 0}, ["amount"]),
        ({"amount": -1}, ["amount"]),
        ({"amount": 1.5}, ["amount"]),
        ({"amount": 2**53}, ["amount"]),
        ({"rowKey": " "}, ["rowKey"]),
        ({"rowKey": "x" * 81}, ["rowKey"]),
        ({"memberId": "nobody"}, ["memberId"]),
        ({"reason": "why not"}, ["reason"]),
        ({"cause": {"type": "", "id": "7"}}, ["cause", "type"]),
        ({"cause": {"type": "order", "id": "a\nb"}}, ["cause", "id"]),
        ({"note": "two\nlines"}, ["note"]),
        ({"usableAt": "2999-01-01T00:00:00Z"}, ["usableAt"]),
        ({"expiresAt": "2026-01-01T00:00:00"}, ["expiresAt"]),
    ],
)
async def test_what_can_never_be_is_refused_at_once(
    http: HttpClient, people: People, change: Json, path: list[str]
) -> None:
    member = await people.new()
    before = await db.fetch_value("SELECT count(*) FROM outbox")
    wrong = row("b", member.gid, 5) | change
    refused = await request(http, people.staff, given("EARN", row("a", member.gid, 5), wrong))
    assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["rows", "1", *path])
    assert await db.fetch_value("SELECT count(*) FROM outbox") == before
    assert await db.fetch_value("SELECT count(*) FROM job_files WHERE job_id IS NULL") == 0


async def test_a_second_person_approves(http: HttpClient, gateway: Gateway, people: People) -> None:
    terms = PolicyTerms(expiry_kind=ExpiryKind.NEVER, adjust_alone_max=50)
    await publish_points_policy(SYSTEM, program="default", policy=terms, idempotency_key=new_key())
    one, two = await people.new(100), await people.new(100)
    wanted = given("ADJUST", row("a", one.gid, 40), row("b", two.gid, -11), row("c", two.gid, -200), reason="RECOUNT")
    answer = await request(http, people.staff, wanted)
    assert answer["waits"]
    id_ = answer["jobId"]
    [edge] = (await http.ask(WAITING, token=people.staff)).data["waitingBulkCorrections"]["edges"]
    assert edge["node"] == {
        "jobId": id_, "program": "default", "reason": "RECOUNT", "rows": 3, "added": 40, "removed": 211,
        "state": "WAITING", "askedBy": "staff-1", "decidedBy": None,
    }  # fmt: skip
    own = (await http.ask(APPROVE, {"id": id_}, token=people.staff)).data["approveBulkPoints"]
    assert own == {"__typename": "SecondPersonNeeded", "code": "SECOND_PERSON_NEEDED"}
    colleague = gateway.token(Role.SERVICE)
    done = (await http.ask(APPROVE, {"id": id_}, token=colleague)).data["approveBulkPoints"]["correction"]
    assert done == {"jobId": id_, "state": "APPROVED", "decidedBy": "service-1"}
    await work(id_)
    assert (await available(http, people, one), await available(http, people, two)) == (140, 89)
    told = (await http.ask(JOB, {"id": id_}, token=people.admin)).data["job"]
    assert told["progress"] == {"rowsDone": 2, "rowsFailed": 1, "rowsTotal": 3}
    [result] = told["results"]["edges"]
    assert result["node"]["code"] == "INSUFFICIENT_POINTS"
    assert {"name": "available", "value": "89"} in result["node"]["detail"]
    late = (await http.ask(REJECT, {"id": id_}, token=colleague)).data["rejectBulkPoints"]
    assert late == {"__typename": "AdjustmentDecided", "code": "ADJUSTMENT_DECIDED", "adjustmentState": "APPROVED"}
    assert not (await request(http, people.staff, wanted))["waits"]
