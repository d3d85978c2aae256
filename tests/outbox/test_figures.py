from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.base.paging import Window
from engage.outbox import lanes, queries
from engage.outbox.queries import figures, listing
from engage.outbox.registry import Registry
from engage.outbox.types import JobFilter, JobState, LaneFigures, Progress, ScheduleRecord
from engage.outbox.watching import watch_job
from tests.outbox.standing import EVENT, JOB, put, put_progress, put_results
from tests.outbox.working import Happened
from tests.walking import walk, walk_both

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
STAFF = Actor("staff", Role.STAFF)
LANES = ((EVENT, ""), (JOB, ""), ("hooks", "a"), ("hooks", "b"))


@pytest.fixture
def kinds(clean: Registry) -> Iterator[Registry]:
    clean.on(Happened, name=EVENT)(nothing_with)
    clean.job(JOB, version=2, upgrade=lambda args, _version: args)(nothing)
    with clock.frozen(NOW):
        yield clean


async def nothing_with(event: object) -> None:
    pass


async def nothing() -> None:
    pass


async def ids_of(wanted: JobFilter, size: int = 100) -> list[UUID]:
    """All pages, read one after another from either end."""
    ask = partial(queries.list_jobs, SYSTEM, wanted)
    found = await walk(ask, size)
    assert await walk(ask, size, backward=True) == found
    assert await (await ask(Window(1))).count() == len(found)
    return [record.id for record in found]


async def lane_of(kind: str, target: str = "") -> LaneFigures:
    [found] = [lane for lane in await queries.list_lanes(SYSTEM) if (lane.kind, lane.target) == (kind, target)]
    return found


async def test_only_admins_look(kinds: Registry) -> None:
    row = await put(EVENT)
    for refused in (
        queries.list_jobs(STAFF, JobFilter(), Window(1)),
        queries.get_job(STAFF, row),
        queries.list_results(STAFF, row, Window(1)),
        queries.list_lanes(STAFF),
        queries.list_running(STAFF),
        queries.list_schedules(STAFF, {}),
    ):
        with pytest.raises(Forbidden):
            await refused
    assert kinds.find(EVENT)


@pytest.mark.usefixtures("kinds")
async def test_who_asked_for_a_job_follows_it() -> None:
    row = await put(JOB, JobState.DONE)
    await put_progress(row, 3, 3)
    await put_results(row, 3)
    for role in Role:
        alice, bob = Actor("alice", role), Actor("bob", role)
        assert (await queries.get_job(alice, row)).asked_by == "alice"
        assert len((await queries.list_results(alice, row, Window(10))).rows) == 3
        assert (await anext(watch_job(alice, row))).id == row
        if role is Role.ADMIN:
            continue
        told = []
        for job_id in (row, new_id()):
            for look in (queries.get_job(bob, job_id), queries.list_results(bob, job_id, Window(10))):
                with pytest.raises(Forbidden) as caught:
                    await look
                told.append(str(caught.value))
            with pytest.raises(Forbidden):
                await anext(watch_job(bob, job_id))
        assert len(set(told)) == 1  # whether there is such a job is nobody else's business


async def test_a_job_is_told_with_all_that_is_known_of_it(kinds: Registry) -> None:
    job_id = await put(JOB, JobState.RUNNING, key="daily", args={"program": "default"})
    await put_progress(job_id, 30, 100, failed=10)
    record = await queries.get_job(SYSTEM, job_id)
    assert (record.kind, record.state, record.key, record.args) == (
        JOB,
        JobState.RUNNING,
        "daily",
        {"program": "default"},
    )
    assert (record.event, record.position, record.asked_by, record.known) == (None, None, "alice", True)
    progress = record.progress
    assert progress is not None
    assert (progress.rows_per_s, progress.remaining_s, progress.fraction) == (20.0, 3.0, 0.4)
    event = await queries.get_job(SYSTEM, await put(EVENT, JobState.DEAD, args={"figure": 1}))
    assert (event.event, event.position, event.args, event.progress) == ("tests.happened.v1", 7, None, None)
    assert (event.last_error, event.attempts, event.dead_at) == ("OSError: full disk", 3, NOW)
    assert await queries.find_records([job_id, new_id()]) == {job_id: record}
    with pytest.raises(NotFound):
        await queries.get_job(SYSTEM, new_id())
    assert kinds.find(JOB)


def test_progress_says_only_what_is_known() -> None:
    begun = Progress(0, 0, 0, None, 0, None, None)
    assert (begun.rows_per_s, begun.remaining_s, begun.fraction) == (None, None, None)
    counting = Progress(1, 10, 0, None, 1000, NOW, NOW)
    assert (counting.rows_per_s, counting.remaining_s, counting.fraction) == (10.0, None, None)
    empty, beyond = Progress(1, 0, 0, 0, 0, NOW, NOW), Progress(1, 20, 0, 10, 1000, NOW, NOW)
    assert (empty.fraction, beyond.fraction, beyond.remaining_s) == (1.0, 1.0, 0.0)


async def test_what_this_release_cannot_carry_out_is_told(kinds: Registry) -> None:
    rows = {
        await put("gone.handler"): False,
        await put("gone.job", is_job=True): False,
        await put(EVENT, is_job=True): False,
        await put(JOB, is_job=False): False,
        await put(JOB, version=3): False,
        await put(JOB, version=1): True,
        await put(EVENT): True,
    }
    assert {row: (await queries.get_job(SYSTEM, row)).known for row in rows} == rows
    kinds.job("without.upgrade", version=2)(nothing)
    assert not (await queries.get_job(SYSTEM, await put("without.upgrade", is_job=True))).known


async def test_every_filter_finds_its_rows_newest_first(kinds: Registry) -> None:
    rows = {
        await put(kind, state, target=target): (state, kind, target)
        for _ in range(2)
        for state in JobState
        for kind, target in LANES
    }
    for wanted in [
        JobFilter(state, kind, target)
        for state in (None, *JobState)
        for kind in (None, EVENT, JOB, "hooks", "nobody")
        for target in (None, "", "a", "nobody")
    ]:
        expected = [
            row
            for row, (state, kind, target) in sorted(rows.items(), reverse=True)
            if wanted.state in (None, state) and wanted.kind in (None, kind) and wanted.target in (None, target)
        ]
        assert await ids_of(wanted) == expected, wanted
    for wanted in (JobFilter(), JobFilter(JobState.DEAD), JobFilter(kind="hooks"), JobFilter(JobState.READY)):
        assert await ids_of(wanted, size=3) == await ids_of(wanted)
    assert kinds.find(EVENT)


async def one_more() -> None:
    await put(EVENT)


async def test_pages_have_no_gaps_and_no_repeats_while_rows_are_added(kinds: Registry) -> None:
    for wanted in (JobFilter(), JobFilter(JobState.READY), JobFilter(kind=EVENT)):
        rows = [await put(EVENT) for _ in range(10)]
        for backward in (False, True):
            ask = partial(queries.list_jobs, SYSTEM, wanted)
            found = [record.id for record in await walk(ask, 3, backward=backward, between=one_more)]
            assert [one for one in found if one in rows] == rows[::-1]
            assert len(set(found)) == len(found)
    assert kinds.find(EVENT)


@pytest.mark.parametrize("first", [0, 101])
async def test_a_page_is_bounded(kinds: Registry, first: int) -> None:
    with pytest.raises(InvalidInput):
        await queries.list_jobs(SYSTEM, JobFilter(), Window(first))
    assert kinds.find(EVENT)


async def test_a_long_backlog_is_looked_into_as_far_as_its_front(
    kinds: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "UNDONE_MAX", 2)
    due_first = []
    for minutes in range(3):
        with clock.frozen(NOW - timedelta(minutes=3 - minutes)):
            due_first.append(await put(EVENT))
    assert await ids_of(JobFilter(JobState.READY)) == [due_first[1], due_first[0]]
    assert kinds.find(EVENT)


async def test_results_by_page_and_code(kinds: Registry) -> None:
    job_id = await put(JOB, JobState.DONE)
    await put_results(job_id, 7)
    rows = await walk_both(lambda window: queries.list_results(SYSTEM, job_id, window), 4)
    assert [one.row for one in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert (rows[2].code, rows[2].detail) == ("REFUSED", {"order": "A-3"})
    refused = await walk_both(lambda window: queries.list_results(SYSTEM, job_id, window, "REFUSED"), 1)
    assert [one.row for one in refused] == [3, 6]
    assert (await queries.list_results(SYSTEM, await put(JOB), Window(1))).rows == []
    with pytest.raises(NotFound):
        await queries.list_results(SYSTEM, new_id(), Window(1))
    for size in (0, queries.RESULTS_MAX + 1):
        with pytest.raises(InvalidInput):
            await queries.list_results(SYSTEM, job_id, Window(size))
    assert kinds.find(EVENT)


async def test_each_lane_has_its_figures(kinds: Registry) -> None:
    with clock.frozen(NOW - timedelta(minutes=2)):
        await put(EVENT)
    for state, count in ((JobState.WAITING, 1), (JobState.READY, 1), (JobState.RUNNING, 3), (JobState.DEAD, 4)):
        for _ in range(count):
            await put(EVENT, state)
    for ago_s in (1, 9, 11):
        with clock.frozen(NOW - timedelta(seconds=ago_s)):
            await put(EVENT, JobState.DONE)
    await put(EVENT, JobState.CANCELLED)
    lane = await lane_of(EVENT)
    assert (lane.waiting, lane.ready, lane.running, lane.dead) == (1, 2, 3, 4)
    assert (lane.done_per_minute, lane.oldest_due_at, lane.capped) == (12.0, NOW - timedelta(minutes=2), False)
    assert (lane.known, lane.is_job) == (True, False)
    idle = await lane_of(JOB)
    assert (idle.waiting, idle.ready, idle.running, idle.dead, idle.oldest_due_at) == (0, 0, 0, 0, None)
    assert (idle.known, idle.is_job, idle.capped, idle.done_per_minute) == (True, True, False, 0.0)
    assert kinds.find(EVENT)


async def test_lanes_of_other_releases_and_all_targets_are_found(kinds: Registry) -> None:
    for target in ("a", "b"):
        await put("hooks", target=target)
        await put("hooks", JobState.DEAD, target=target)
    await put("dead.job", JobState.DEAD, is_job=True)
    await put("done.lately", JobState.DONE)
    with clock.frozen(NOW - timedelta(minutes=1)):
        await put("done.long.ago", JobState.DONE)
    await lanes.pause("paused", by="alice")
    await lanes.route("failing", "c", ["*"])
    await lanes.slow_down("failing", "c", NOW + timedelta(minutes=1))
    await lanes.ensure(kinds.kinds())
    found = {(lane.kind, lane.target): lane for lane in await queries.list_lanes(SYSTEM)}
    others = [("dead.job", ""), ("done.lately", ""), ("failing", "c"), ("hooks", "a"), ("hooks", "b"), ("paused", "")]
    assert list(found) == sorted([*others, (EVENT, ""), (JOB, "")])
    assert {lane for lane, figure in found.items() if figure.known} == {(EVENT, ""), (JOB, "")}
    assert {lane for lane, figure in found.items() if figure.is_job} == {("dead.job", ""), (JOB, "")}
    assert (found["paused", ""].paused_at, found["paused", ""].paused_by) == (NOW, "alice")
    failing = found["failing", "c"]
    assert (failing.failures, failing.failing_since, failing.not_before) == (1, NOW, NOW + timedelta(minutes=1))


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.READY, JobState.DEAD])
async def test_figures_are_capped(kinds: Registry, monkeypatch: pytest.MonkeyPatch, state: JobState) -> None:
    monkeypatch.setattr(figures, "FIGURES_MAX", 5)
    for count, capped in ((4, False), (1, True), (1, True)):
        for _ in range(count):
            await put(EVENT, state)
        assert (await lane_of(EVENT)).capped is capped
    lane = await lane_of(EVENT)
    assert lane.waiting + lane.ready + lane.dead == 5
    monkeypatch.setattr(figures, "COUNTED_MAX", 6)  # over two lanes
    lane = await lane_of(EVENT)
    assert lane.waiting + lane.ready + lane.dead == 3
    assert kinds.find(EVENT)


async def test_jobs_not_done_are_listed_those_at_work_first(kinds: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with clock.frozen(NOW - timedelta(minutes=1)):
        early = await put(JOB)
    running, waiting = await put("other.job", JobState.RUNNING, is_job=True), await put(JOB, JobState.WAITING)
    for state in JobState:
        await put(EVENT, state)
    for state in (JobState.DONE, JobState.DEAD, JobState.CANCELLED):
        await put(JOB, state)
    await put_progress(running, 5, 10)
    found = await queries.list_running(SYSTEM)
    assert [record.id for record in found] == [running, early, waiting]
    assert found[0].progress is not None
    monkeypatch.setattr(listing, "RUNNING_MAX", 2)
    assert [record.id for record in await queries.list_running(SYSTEM)] == [running, early]
    assert kinds.find(EVENT)


async def tick(name: str, at: datetime) -> None:
    await db.execute(
        "INSERT INTO schedule_ticks (id, name, tick, created_at, offset_s) VALUES ($1, $2, $3, $3, 0)",
        new_id(),
        name,
        at,
    )


async def test_schedules_say_when_they_were_due_last_and_are_due_next(kinds: Registry) -> None:
    kinds.job("hourly", cron="0 * * * *")(nothing)
    kinds.job("nightly", cron="30 2 * * *", each_program=True)(nothing)
    await tick("hourly", NOW - timedelta(hours=1))
    await tick("hourly", NOW - timedelta(hours=2))
    await tick("nightly/asia", datetime(2026, 5, 31, 18, 30, tzinfo=UTC))
    zones = {"europe": "Europe/Berlin", "asia": "Asia/Shanghai", "nowhere": "Nowhere/Nothing"}

    found = await queries.list_schedules(SYSTEM, zones)
    assert found == [
        ScheduleRecord("hourly", None, "0 * * * *", "UTC", NOW - timedelta(hours=1), NOW, late=False),
        ScheduleRecord(
            "nightly",
            "asia",
            "30 2 * * *",
            "Asia/Shanghai",
            datetime(2026, 5, 31, 18, 30, tzinfo=UTC),
            datetime(2026, 6, 1, 18, 30, tzinfo=UTC),
            late=False,
        ),
        ScheduleRecord(
            "nightly",
            "europe",
            "30 2 * * *",
            "Europe/Berlin",
            None,
            datetime(2026, 6, 2, 0, 30, tzinfo=UTC),
            late=False,
        ),
    ]
    for after, late in ((queries.LATE_AFTER, False), (queries.LATE_AFTER + timedelta(seconds=1), True)):
        with clock.frozen(NOW + after):
            assert [one.late for one in await queries.list_schedules(SYSTEM, {})] == [late]
