"""Large bulk corrections wait for a second person."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, NotFound
from engage.base.ids import new_id
from engage.base.paging import Window
from engage.base.settings import Settings
from engage.domains.earning.bulk import BulkAsked, approve_bulk_points, reject_bulk_points
from engage.domains.earning.bulk.asking import WAITS_MAX
from engage.domains.earning.bulk.queries import list_waiting
from engage.domains.ledger.errors import AdjustmentDecided, SecondPersonNeeded
from engage.domains.ledger.policy.service import publish_points_policy
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms
from engage.domains.ledger.types import AdjustmentState
from engage.outbox import Asked
from engage.outbox.here import HOLD_S, JobSeen, run_here
from engage.outbox.queries import get_job
from engage.outbox.service import cancel_job, retry_jobs
from engage.outbox.types import JobState
from tests.earning.bulk import ADJUST, EARN, asked, available, new_members, numbered, points, post
from tests.earning.till import new_program
from tests.walking import walk_both

ANN, BOB = Actor("ann", Role.STAFF), Actor("bob", Role.STAFF)


@pytest.fixture
async def program(channels: Settings) -> str:
    """One in which nobody moves more than 100 points alone."""
    assert channels.database_url
    code = await new_program()
    terms = PolicyTerms(expiry_kind=ExpiryKind.NEVER, adjust_alone_max=100)
    await publish_points_policy(SYSTEM, program=code, policy=terms, idempotency_key=code)
    return code


async def waiting(program: str, file: Path) -> UUID:
    """The job of a file that Ann has sent and somebody has to approve."""
    answer = await asked(program, file, ADJUST, actor=ANN)
    assert isinstance(answer, BulkAsked)
    assert answer.waits
    return answer.job_id


async def run(job_id: UUID) -> JobSeen:
    """Have a job that is due done, as a worker would."""
    return await run_here(Asked(job_id, new=False), hold_s=HOLD_S)


async def said(program: str) -> list[str]:
    rows = await db.fetch(
        "SELECT name FROM events WHERE stream = $1 AND name LIKE 'earning.%' ORDER BY position", f"program:{program}"
    )
    return [row["name"] for row in rows]


async def test_what_one_person_may_do_alone_is_not_held_up(program: str, tmp_path: Path) -> None:
    members = await new_members(2)
    file = points(tmp_path, f"a,{members[0]},60", f"b,{members[1]},30", f"c,{members[0]},-10")
    assert (await post(program, file, ADJUST, actor=ANN)).rows_new == 3
    large = points(tmp_path, *numbered(members, 5000), name="earnings.csv")
    assert (await post(program, large, EARN, actor=ANN)).rows_new == 2
    assert await said(program) == []


async def test_ups_and_downs_are_added_up_and_wait(program: str, tmp_path: Path) -> None:
    members = await new_members(2)
    await post(program, points(tmp_path, *numbered(members, 100), name="first.csv"))
    file = points(tmp_path, f"a,{members[0]},60", f"b,{members[1]},-41", f"c,{members[1]},bad")
    job_id = await waiting(program, file)
    assert (await get_job(SYSTEM, job_id)).state is JobState.WAITING
    [row] = (await list_waiting(BOB, program, Window(10))).rows
    assert (row.job_id, row.rows, row.added, row.removed, row.asked_by) == (job_id, 3, 60, 41, ANN.id)
    assert await available(members, program) == [100, 100]

    with pytest.raises(SecondPersonNeeded):
        await approve_bulk_points(ANN, job_id=job_id)
    approved = await approve_bulk_points(BOB, job_id=job_id)
    assert (approved.state, approved.decided_by) == (AdjustmentState.APPROVED, BOB.id)
    seen = await run(job_id)
    assert (seen.state, seen.kept["new"], seen.kept["rejected"]) == (JobState.DONE, 2, 1)
    assert await available(members, program) == [160, 59]
    assert await approve_bulk_points(BOB, job_id=job_id) == approved
    with pytest.raises(AdjustmentDecided):
        await reject_bulk_points(BOB, job_id=job_id)
    assert (await list_waiting(BOB, program, Window(10))).rows == []
    assert await said(program) == ["earning.bulk_correction_requested.v1", "earning.bulk_correction_decided.v1"]
    actors = await db.fetch("SELECT DISTINCT actor_id FROM transfers WHERE kind LIKE 'ADJUST%'")
    assert {row["actor_id"] for row in actors} == {ANN.id}


async def test_asked_again_it_is_the_same_that_waits(program: str, tmp_path: Path) -> None:
    file = points(tmp_path, *numbered(await new_members(2), 100))
    job_id = await waiting(program, file)
    assert await waiting(program, file) == job_id
    assert len((await list_waiting(ANN, program, Window(10))).rows) == 1
    assert await db.fetch_value("SELECT count(*) FROM job_files WHERE job_id IS NULL") == 0


async def test_rejected_it_never_begins(program: str, tmp_path: Path) -> None:
    members = await new_members(2)
    file = points(tmp_path, *numbered(members, 100))
    job_id = await waiting(program, file)
    rejected = await reject_bulk_points(BOB, job_id=job_id)
    assert rejected.state is AdjustmentState.REJECTED
    assert await reject_bulk_points(BOB, job_id=job_id) == rejected
    with pytest.raises(AdjustmentDecided):
        await approve_bulk_points(BOB, job_id=job_id)
    assert (await run(job_id)).state is JobState.CANCELLED
    assert await available(members, program) == [0, 0]
    assert await waiting(program, file) != job_id


async def test_nobody_decides_in_its_time(program: str, tmp_path: Path) -> None:
    members = await new_members(2)
    job_id = await waiting(program, points(tmp_path, *numbered(members, 100)))
    with clock.frozen(clock.now() + WAITS_MAX + timedelta(minutes=1)):
        seen = await run(job_id)
    assert seen.state is JobState.DEAD
    assert "Nobody has approved this correction" in (seen.error or "")
    with pytest.raises(AdjustmentDecided):
        await approve_bulk_points(BOB, job_id=job_id)
    assert await available(members, program) == [0, 0]


async def test_retrying_the_job_is_no_way_around(program: str, tmp_path: Path) -> None:
    members = await new_members(2)
    job_id = await waiting(program, points(tmp_path, *numbered(members, 100)))
    await retry_jobs(SYSTEM, [job_id])
    assert (await run(job_id)).state is JobState.DEAD
    await retry_jobs(SYSTEM, [job_id])
    assert (await run(job_id)).state is JobState.DEAD
    assert await available(members, program) == [0, 0]


async def test_a_job_that_was_cancelled_cannot_be_approved(program: str, tmp_path: Path) -> None:
    job_id = await waiting(program, points(tmp_path, *numbered(await new_members(2), 100)))
    await cancel_job(SYSTEM, job_id)
    with pytest.raises(AdjustmentDecided):
        await approve_bulk_points(BOB, job_id=job_id)
    assert (await reject_bulk_points(BOB, job_id=job_id)).state is AdjustmentState.REJECTED


async def test_pages_of_what_waits(program: str, tmp_path: Path) -> None:
    members = await new_members(2)
    jobs = [await waiting(program, points(tmp_path, *numbered(members, 100 + n))) for n in range(3)]
    rows = await walk_both(lambda window: list_waiting(BOB, program, window), 2)
    assert [row.job_id for row in rows] == jobs


async def test_roles_and_unknown_ids(program: str) -> None:
    with pytest.raises(NotFound):
        await approve_bulk_points(BOB, job_id=new_id())
    with pytest.raises(NotFound):
        await list_waiting(BOB, "nowhere", Window(1))
    for role in (Role.MEMBER, Role.MODERATOR):
        actor = Actor("someone", role)
        with pytest.raises(Forbidden):
            await approve_bulk_points(actor, job_id=new_id())
        with pytest.raises(Forbidden):
            await reject_bulk_points(actor, job_id=new_id())
        with pytest.raises(Forbidden):
            await list_waiting(actor, program, Window(1))
