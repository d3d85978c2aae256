"""How far jobs are: asked for, watched, their results, and a job that is cancelled while it is at work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from uuid import UUID

import pytest

from engage.base import db
from engage.base.ids import new_id
from engage.outbox import watching
from tests.api.clients import HttpClient, Json, Operation, socket
from tests.api.conftest import People
from tests.api.gateway import Gateway
from tests.api.job_work import WHOLE, Admin, Work, ask_for, dead_job, working
from tests.api.promised import job_gid
from tests.outbox.working import claim, forget_all, new_executor, take, until, work_off

RESULTS = """query ($id: ID!, $first: Int!, $after: String, $code: String) { job(id: $id) {
    results(first: $first, after: $after, code: $code) {
        edges { node { row code detail { name value } } } pageInfo { hasNextPage endCursor } } } }"""
CANCELLED = "... on CancelJobPayload { job { state cancelAskedAt } }"
WATCH = f"subscription ($id: ID!) {{ jobChanged(id: $id) {WHOLE} }}"


@pytest.fixture
async def work(gateway: Gateway) -> AsyncIterator[Work]:
    assert gateway.port
    async with working() as made:
        yield made


@pytest.fixture
def admin(http: HttpClient, people: People) -> Admin:
    return Admin(http, people.admin)


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.02)
    yield
    assert len(watching.present) == 0


@asynccontextmanager
async def at_work(work: Work) -> AsyncIterator[None]:
    """What is due has begun, and is ended after the block."""
    executor = new_executor(work.registry)
    await take(executor, work.registry, await claim(work.registry))
    yield
    await executor.drain(30)


async def steps(admin: Admin, job: UUID, count: int) -> Json:
    """The job once so many of its steps are committed."""

    async def are_done() -> bool:
        return bool((await admin.job(job))["progress"]["steps"] == count)

    await until(are_done, f"step {count}")
    return await admin.job(job)


async def test_a_long_job_shows_how_far_it_is(admin: Admin, work: Work) -> None:
    made = await ask_for("tests.import")
    asked = await ask_for("tests.import", late=True)
    async with at_work(work):
        work.permit()
        job = await steps(admin, made, 1)
        assert (job["state"], job["attempts"], job["leasedUntil"] is not None) == ("RUNNING", 1, True)
        progress = job["progress"]
        assert [progress[key] for key in ("rowsDone", "rowsFailed", "rowsTotal", "fraction")] == [4, 0, 10, "0.4000"]
        assert float(progress["rowsPerSecond"]) > 0
        assert progress["remainingSeconds"] >= 0
        running = (await admin.ask("{ runningJobs { id state } }"))["runningJobs"]
        assert running == [
            {"id": job_gid(made), "state": "RUNNING"},
            {"id": job_gid(asked), "state": "WAITING"},
        ]
        work.permit(2)
    job = await admin.job(made)
    assert (job["state"], job["progress"]["rowsDone"], job["progress"]["rowsFailed"]) == ("DONE", 8, 2)
    assert (job["progress"]["fraction"], job["progress"]["remainingSeconds"]) == ("1.0000", 0)


async def test_results_are_paged_and_chosen_by_code(admin: Admin, work: Work) -> None:
    made = await ask_for("tests.import")
    work.permit(3)
    await work_off(work.registry)
    first = (await admin.ask(RESULTS, id=job_gid(made), first=1))["job"]["results"]
    assert first["edges"][0]["node"] == {
        "row": 5, "code": "BAD_ROW", "detail": [{"name": "at", "value": "5"}, {"name": "column", "value": "amount"}],
    }  # fmt: skip
    assert first["pageInfo"]["hasNextPage"]
    after = first["pageInfo"]["endCursor"]
    last = (await admin.ask(RESULTS, id=job_gid(made), first=1, after=after))["job"]["results"]
    assert ([edge["node"]["row"] for edge in last["edges"]], last["pageInfo"]["hasNextPage"]) == ([10], False)
    for code, count in (("BAD_ROW", 2), ("OTHER", 0)):
        found = (await admin.ask(RESULTS, id=job_gid(made), first=100, code=code))["job"]["results"]
        assert len(found["edges"]) == count
    refused = await admin.refused(RESULTS, id=job_gid(made), first=101)
    assert refused == {"code": "INVALID_INPUT", "path": ["first"]}


@pytest.mark.usefixtures("quick_looks")
async def test_a_job_at_work_is_watched_and_cancelled_at_its_next_step(
    gateway: Gateway, people: People, admin: Admin, work: Work
) -> None:
    made = await ask_for("tests.import")
    async with socket(gateway.ws_url, people.admin) as opened:
        one, two = [await opened.start(WATCH, {"id": job_gid(made)}) for _ in range(2)]
        assert [frame["state"] for frame in (await frame_of(one), await frame_of(two))] == ["READY", "READY"]
        async with at_work(work):
            work.permit()
            seen = await until_frame(one, "rowsDone", 4)
            assert seen[-1]["state"] == "RUNNING"
            for _ in range(2):
                asked = (await admin.do("cancelJob", {"id": job_gid(made)}, CANCELLED))["job"]
                assert (asked["state"], asked["cancelAskedAt"] is not None) == ("RUNNING", True)
            work.permit()
        for operation in (one, two):
            frames = await rest(operation)
            assert frames[-1]["state"] == "CANCELLED"
            assert frames[-1] == await admin.job(made)
    assert frames[-1]["progress"]["rowsDone"] == 7
    assert all(older != newer for older, newer in pairwise(frames))


async def frame_of(operation: Operation) -> Json:
    frame: Json = (await operation.data())["jobChanged"]
    return frame


async def until_frame(operation: Operation, figure: str, value: int) -> list[Json]:
    """The frames up to the first that says so."""
    frames = [await frame_of(operation)]
    while frames[-1]["progress"][figure] != value:
        frames.append(await frame_of(operation))
    return frames


async def rest(operation: Operation) -> list[Json]:
    """All frames that come, to the end."""
    frames = []
    try:
        while True:
            frames.append(await frame_of(operation))
    except StopAsyncIteration:
        return frames


@pytest.mark.usefixtures("quick_looks")
async def test_watching_ends_where_there_is_nothing_to_wait_for(gateway: Gateway, people: People, work: Work) -> None:
    dead = await dead_job(work)
    async with socket(gateway.ws_url, people.admin) as opened:
        frames = await rest(await opened.start(WATCH, {"id": job_gid(dead)}))
        assert [frame["state"] for frame in frames] == ["DEAD"]
        for id_, told in (
            (job_gid(new_id()), {"code": "NOT_FOUND", "path": ["id"]}),
            ("junk", {"code": "INVALID_INPUT", "path": ["id"]}),
        ):
            operation = await opened.start(WATCH, {"id": id_})
            [error] = (await operation.next())["errors"]
            assert error["extensions"] == told
            await operation.completion()


@pytest.mark.usefixtures("work", "quick_looks")
async def test_a_process_has_so_many_watchers_and_no_more(
    gateway: Gateway, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "WATCHERS_MAX", 1)
    made = job_gid(await ask_for("tests.import"))

    async def is_free() -> bool:
        return len(watching.present) == 0

    async with socket(gateway.ws_url, people.admin) as opened:
        first = await opened.start(WATCH, {"id": made})
        await frame_of(first)
        [error] = (await (await opened.start(WATCH, {"id": made})).next())["errors"]
        assert error["extensions"]["code"] == "TOO_MANY_SUBSCRIBERS"
        await first.stop()
        await until(is_free, "the end of the first")
        assert (await frame_of(await opened.start(WATCH, {"id": made})))["state"] == "READY"
    await until(is_free, "the end of all")


@pytest.mark.usefixtures("quick_looks")
async def test_one_who_watches_sees_through_an_outage_and_learns_that_a_job_is_gone(
    gateway: Gateway, people: People, work: Work
) -> None:
    assert work.registry.names()
    made = await ask_for("tests.import")

    async def is_forgotten() -> bool:
        try:
            await forget_all()
        except db.OUTAGES:
            return False
        return True

    async with socket(gateway.ws_url, people.admin) as opened:
        operation = await opened.start(WATCH, {"id": job_gid(made)})
        await frame_of(operation)
        await db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                         " AND datname = current_database()")  # fmt: skip
        await until(is_forgotten, "the end of the outage")
        [error] = (await operation.next())["errors"]
        assert error["extensions"] == {"code": "NOT_FOUND", "path": ["id"]}
        await operation.completion()
