"""Promised work over the API: what an admin sees of it, and does about it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.domains.members import service as members
from tests.api.clients import HttpClient
from tests.api.conftest import People, new_key
from tests.api.gateway import Gateway
from tests.api.job_work import JOB, Admin, Work, ask_for, dead_job, working
from tests.api.promised import job_gid
from tests.outbox.working import happen, work_off

JOBS = """query ($filter: JobFilterInput, $first: Int!, $after: String) {
    jobs(filter: $filter, first: $first, after: $after) {
        edges { cursor node { id state } } pageInfo { hasNextPage endCursor } } }"""
KINDS = """kinds { kind target known isJob waiting ready running dead capped donePerMinute pausedAt pausedBy failures
    failingSince notBefore oldestDueAt }"""
PAUSED = f"... on PauseJobKindPayload {{ {KINDS} }}"
RESUMED = f"... on ResumeJobKindPayload {{ {KINDS} }}"
CANCELLED = "... on CancelJobPayload { job { state finishedAt } }"
RETRIED = "... on RetryJobsPayload { jobs { id state attempts deadAt } }"


@pytest.fixture
async def work(gateway: Gateway) -> AsyncIterator[Work]:
    assert gateway.port
    async with working() as made:
        yield made


@pytest.fixture
def admin(http: HttpClient, people: People) -> Admin:
    return Admin(http, people.admin)


async def test_a_job_tells_all_about_itself(admin: Admin, work: Work) -> None:
    made = await ask_for("tests.import", late=True, key="may", file="may.csv", columns=["a", "b"], limit=None)
    job = await admin.job(made)
    assert work.registry.find("tests.import")
    assert job.pop("createdAt") < job.pop("dueAt")
    progress = job.pop("progress")
    assert job == {
        "id": job_gid(made), "kind": "tests.import", "target": "", "state": "WAITING", "known": True, "event": None,
        "stream": f"job:{made}", "position": None, "key": "may", "attempts": 0, "lastError": None,
        "askedBy": "system", "leasedUntil": None, "finishedAt": None, "deadAt": None, "cancelAskedAt": None,
        "args": [{"name": "columns", "value": '["a","b"]'}, {"name": "file", "value": "may.csv"},
                 {"name": "limit", "value": None}],
    }  # fmt: skip
    assert progress["rowsTotal"] is progress["rowsPerSecond"] is progress["fraction"] is progress["beganAt"] is None
    assert progress["rowsDone"] == progress["rowsFailed"] == progress["steps"] == 0


@pytest.mark.usefixtures("work")
async def test_an_event_tells_its_name_and_its_place(admin: Admin) -> None:
    subject = new_id()
    await happen(2, subject)
    edges = (await admin.ask(JOBS, first=5))["jobs"]["edges"]
    told = [(await admin.ask(JOB, id=edge["node"]["id"]))["job"] for edge in edges]
    assert {job["position"] for job in told} == {1, 2}
    for job in told:
        assert (job["kind"], job["event"], job["state"]) == ("tests.happened", "tests.happened.v1", "READY")
        assert (job["stream"], job["args"], job["progress"]) == (f"test:{subject}", [], None)


@pytest.mark.usefixtures("work")
async def test_work_is_listed_newest_first_page_by_page(admin: Admin) -> None:
    made = [await ask_for("tests.import", late=number % 2 == 1) for number in range(5)]
    await happen()
    for wanted, expected in (
        ({"kind": "tests.import"}, made),
        ({"kind": "tests.import", "state": "WAITING"}, made[1::2]),
        ({"kind": "tests.import", "state": "READY", "target": ""}, made[0::2]),
        ({"state": "DEAD"}, []),
        ({"kind": "nothing"}, []),
    ):
        found, after, more = [], None, True
        while more:
            page = (await admin.ask(JOBS, filter=wanted, first=2, after=after))["jobs"]
            found += [edge["node"]["id"] for edge in page["edges"]]
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        assert found == [job_gid(one) for one in reversed(expected)], wanted


@pytest.mark.usefixtures("work")
async def test_what_is_no_job_is_refused_by_name(admin: Admin) -> None:
    gone = job_gid(new_id())
    assert await admin.refused(JOB, id="junk") == {"code": "INVALID_INPUT", "path": ["id"]}
    assert await admin.refused(JOB, id=gone) == {"code": "NOT_FOUND", "path": ["id"]}
    assert await admin.refused(JOBS, first=0) == {"code": "INVALID_INPUT", "path": ["first"]}
    assert await admin.refused(JOBS, first=1, after="junk") == {"code": "INVALID_INPUT", "path": ["after"]}
    assert (await admin.do("retryJobs", {"ids": [gone]}))["code"] == "NOT_FOUND"
    assert (await admin.do("cancelJob", {"id": "junk"}))["path"] == ["id"]


async def test_dead_work_is_retried_and_again_does_nothing_more(admin: Admin, work: Work) -> None:
    dead, done = await dead_job(work), await ask_for("tests.broken")
    job = await admin.job(dead)
    assert (job["state"], job["attempts"]) == ("DEAD", 1)
    assert "no such file" in job["lastError"]
    work.broken = False
    await work_off(work.registry)
    both = {"ids": [job_gid(dead), job_gid(done)]}
    refused = await admin.do("retryJobs", both, "... on JobNotRetryable { state }")
    assert refused == {"__typename": "JobNotRetryable", "code": "JOB_NOT_RETRYABLE", "path": ["ids"], "state": "DONE"}
    assert (await admin.job(dead))["state"] == "DEAD"
    for _ in range(2):
        answer = await admin.do("retryJobs", {"ids": [job_gid(dead)]}, RETRIED)
        assert answer["jobs"] == [{"id": job_gid(dead), "state": "READY", "attempts": 0, "deadAt": None}]
    assert await work_off(work.registry) == 1
    assert (await admin.job(dead))["state"] == "DONE"


async def test_all_dead_work_of_a_kind_is_retried_or_forgotten(admin: Admin, work: Work) -> None:
    for name, figure in (("retryDeadJobs", "retried"), ("discardDeadJobs", "discarded")):
        told = f"... on {name[0].upper()}{name[1:]}Payload {{ {figure} {KINDS} }}"
        before = [await dead_job(work) for _ in range(3)]
        elsewhere = {"kind": "tests.broken", "target": "somebody"}
        assert (await admin.do(name, elsewhere, told))[figure] == 0
        answer = await admin.do(name, {"kind": "tests.broken"}, told)
        [line] = [one for one in answer["kinds"] if one["target"] == ""]
        assert (answer[figure], line["dead"], line["ready"]) == (3, 0, 3 if name == "retryDeadJobs" else 0)
        assert (await admin.do(name, {"kind": "tests.broken"}, told))[figure] == 0
        work.broken = False
        assert await work_off(work.registry) == (3 if name == "retryDeadJobs" else 0)
        work.broken = True
    assert await admin.refused(JOB, id=job_gid(before[0])) == {"code": "NOT_FOUND", "path": ["id"]}


async def test_a_kind_that_is_paused_waits_until_it_is_resumed(admin: Admin, work: Work) -> None:
    work.broken = False
    await ask_for("tests.broken")
    for _ in range(2):
        [line] = (await admin.do("pauseJobKind", {"kind": "tests.broken"}, PAUSED))["kinds"]
        assert (line["pausedBy"], line["pausedAt"] is not None) == ("admin-1", True)
    assert await work_off(work.registry) == 0
    for _ in range(2):
        [line] = (await admin.do("resumeJobKind", {"kind": "tests.broken"}, RESUMED))["kinds"]
        assert (line["pausedBy"], line["pausedAt"], line["failures"]) == (None, None, 0)
    assert await work_off(work.registry) == 1
    assert (await admin.do("pauseJobKind", {"kind": "nothing"})) == {
        "__typename": "NotFound", "code": "NOT_FOUND", "path": ["kind"],
    }  # fmt: skip


async def test_kinds_are_told_in_figures(admin: Admin, work: Work) -> None:
    await happen(3)
    await dead_job(work)  # and carries out the events
    await ask_for("tests.import")
    await ask_for("tests.import", late=True)
    lines = (await admin.ask(f"{{ jobKinds {KINDS.removeprefix('kinds ')} }}"))["jobKinds"]
    by_kind = {line["kind"]: line for line in lines}
    figures = {name: [line[key] for key in ("waiting", "ready", "dead")] for name, line in by_kind.items()}
    assert figures == {
        "tests.broken": [0, 0, 1], "tests.happened": [0, 0, 0], "tests.import": [1, 1, 0], "tests.nightly": [0, 0, 0],
    }  # fmt: skip
    assert by_kind["tests.happened"]["donePerMinute"] == 18
    assert (by_kind["tests.happened"]["isJob"], by_kind["tests.import"]["isJob"]) == (False, True)


@pytest.mark.usefixtures("work")
async def test_schedules_are_told_for_each_program_in_its_zone(admin: Admin) -> None:
    code = new_key()
    await members.create_program(SYSTEM, code=code, name="Tea", time_zone="Asia/Shanghai", money_currency="CNY")
    lines = (await admin.ask("{ jobSchedules { name program cron zone lastAt nextAt late } }"))["jobSchedules"]
    [line] = [one for one in lines if one["program"] == code]
    assert line.pop("nextAt").endswith("T18:30:00+00:00")
    assert line == {
        "name": "tests.nightly", "program": code, "cron": "30 2 * * *", "zone": "Asia/Shanghai", "lastAt": None,
        "late": False,
    }  # fmt: skip


async def test_what_waits_is_cancelled_at_once(admin: Admin, work: Work) -> None:
    made = await ask_for("tests.import")
    cancelled = (await admin.do("cancelJob", {"id": job_gid(made)}, CANCELLED))["job"]
    assert (cancelled["state"], cancelled["finishedAt"] is not None) == ("CANCELLED", True)
    again = await admin.do("cancelJob", {"id": job_gid(made)}, "... on JobNotCancellable { state }")
    assert again == {
        "__typename": "JobNotCancellable", "code": "JOB_NOT_CANCELLABLE", "path": ["id"], "state": "CANCELLED",
    }  # fmt: skip
    assert await work_off(work.registry) == 0
