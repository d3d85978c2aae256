"""Workers and Valkey are killed, paused and flushed at random, while jobs come in: each effect happens once."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.outbox import Event, ask, record
from engage.outbox.jobs import prune
from engage.outbox.registry import Registry
from tests.outbox.fault_process import LONG, ORDERED, PLAIN
from tests.outbox.faulty import Cluster
from tests.outbox.working import Happened, effects, undone, until

WORKERS = 3
STREAMS = 40
BATCH = 100
LONG_ROWS = 1_000
GROWTH_MAX = 60 * 2**20  # bytes that a worker may hold more than a fresh one
TABLE_MAX = 4 * 2**20  # bytes of an outbox that is empty again, its indexes included


@dataclass(frozen=True, slots=True)
class InOrder(Event):
    NAME: ClassVar[str] = "tests.in_order.v1"

    subject: UUID

    @property
    def stream(self) -> str:
        return f"test:{self.subject}"


@pytest.fixture
async def cluster(clean: Registry, connected: Settings) -> AsyncIterator[Cluster]:
    for name, event in ((PLAIN, Happened), (ORDERED, InOrder)):
        clean.on(event, name=name)(_elsewhere)
    clean.job(LONG)(_elsewhere)
    cluster = await asyncio.to_thread(Cluster, connected, WORKERS, seed=time.time_ns())
    try:
        yield cluster
    finally:
        await asyncio.to_thread(cluster.stop)


async def _elsewhere(_work: object) -> None:
    raise AssertionError("the workers are other processes")


async def come_in(jobs: int, seconds: float) -> None:
    """Record events and ask for long jobs, evenly over a time."""
    subjects, began = [new_id() for _ in range(STREAMS)], time.monotonic()
    for done in range(0, jobs, BATCH):
        async with db.transaction():
            plain = [Happened(new_id()) for _ in range(BATCH - STREAMS)]
            await record(*plain, *[InOrder(subject) for subject in subjects])
        if done % LONG_ROWS == 0:
            await ask(SYSTEM, LONG, {"rows": LONG_ROWS})
        await asyncio.sleep(max(0.0, began + seconds * done / jobs - time.monotonic()))


async def go_wrong(cluster: Cluster) -> None:
    """One fault after another until cancelled, which waits for the end of the present one."""
    while True:
        await asyncio.shield(asyncio.ensure_future(cluster.misfortune()))


async def outbox_bytes() -> int:
    await db.execute("VACUUM (ANALYZE) outbox")
    await db.execute("REINDEX TABLE outbox")
    return int(await db.fetch_value("SELECT pg_total_relation_size('outbox')"))


@pytest.mark.parametrize(
    ("jobs", "seconds"), [(2_000, 10), pytest.param(100_000, 300, marks=pytest.mark.long)], ids=["short", "long"]
)
async def test_each_effect_happens_once_and_nothing_stays_behind(cluster: Cluster, jobs: int, seconds: int) -> None:
    faulthandler.cancel_dump_traceback_later()  # the long one takes its time
    fresh = max(cluster.memory())
    wrong = asyncio.create_task(go_wrong(cluster))
    await come_in(jobs, seconds)
    wrong.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await wrong
    await until(_all_is_done, f"the end of it all after {cluster.faults}", seconds=120 + seconds)

    longs = -(-jobs // LONG_ROWS)
    counts = {
        row["handler"]: row["n"] for row in await db.fetch("SELECT handler, count(*) AS n FROM effects GROUP BY 1")
    }
    assert counts == {
        PLAIN: jobs // BATCH * (BATCH - STREAMS),
        ORDERED: jobs // BATCH * STREAMS,
        LONG: longs * LONG_ROWS,
    }
    assert await db.fetch("SELECT FROM effects GROUP BY event_id, handler, note HAVING count(*) > 1") == []
    assert await db.fetch_value("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL") == 0
    assert await _out_of_order() == []
    counted = "SELECT DISTINCT rows_done, rows_total FROM job_runs r JOIN outbox o ON o.id = r.id WHERE handler = $1"
    ended = await db.fetch(counted, LONG)
    assert [tuple(row) for row in ended] == [(LONG_ROWS, LONG_ROWS)]

    await until(_nothing_in(cluster), "an empty Valkey", seconds=120)
    assert max(cluster.memory()) < max(fresh, 80 * 2**20) + GROWTH_MAX
    with clock.frozen(clock.now() + timedelta(days=40)):
        await prune()
    assert await db.fetch_value("SELECT count(*) FROM outbox") == 0
    assert await outbox_bytes() < TABLE_MAX


@pytest.mark.parametrize("seconds", [5, pytest.param(600, marks=pytest.mark.long)], ids=["short", "ten minutes"])
async def test_valkey_is_away_and_nothing_is_lost_or_done_twice(cluster: Cluster, seconds: int) -> None:
    faulthandler.cancel_dump_traceback_later()
    await come_in(BATCH, 1)
    away = asyncio.create_task(cluster.without_valkey(seconds))
    await come_in(5 * BATCH, seconds)
    await away
    await until(_all_is_done, "the end of it all", seconds=120)
    assert await db.fetch_value("SELECT count(DISTINCT (event_id, handler, note)) FROM effects") == await effects()
    assert await effects() == 6 * BATCH + 2 * LONG_ROWS


async def _all_is_done() -> bool:
    return await undone() == 0


def _nothing_in(cluster: Cluster) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return not await cluster.keys()

    return check


async def _out_of_order() -> list[object]:
    """Effects of a stream that came before an earlier one's."""
    return list(
        await db.fetch(
            """
            SELECT FROM (SELECT e.at, lag(e.at) OVER (PARTITION BY o.stream ORDER BY e.note::bigint) AS before
                           FROM effects e JOIN outbox o ON o.event_id = e.event_id AND o.handler = e.handler
                          WHERE e.handler = $1) AS pairs
             WHERE at < before
            """,
            ORDERED,
        )
    )
