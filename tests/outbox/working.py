"""What these tests record, and ways to have it carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox import Event, OutboxEvent, record, rows
from engage.outbox.execute import Executor
from engage.outbox.kinds import Handler, Job
from engage.outbox.limits import Limits
from engage.outbox.registry import Registry
from engage.outbox.rows import Claim

LIMITS = Limits(concurrency=4, lease_s=60)
EFFECTS = "CREATE TABLE IF NOT EXISTS effects (event_id uuid, handler text, note text, at bigserial)"

FORGET = """
    TRUNCATE outbox, outbox_lanes, outbox_routes, job_runs, job_results, job_files, job_file_parts, effects,
             schedule_ticks, idempotency_answers
"""


@dataclass(frozen=True, slots=True)
class Happened(Event):
    NAME: ClassVar[str] = "tests.happened.v1"

    subject: UUID
    figure: int = 0

    @property
    def stream(self) -> str:
        return f"test:{self.subject}"


async def happen(count: int = 1, subject: UUID | None = None) -> None:
    """Record events in one transaction: of one subject, or each of its own."""
    async with db.transaction():
        await record(*[Happened(subject or new_id(), figure) for figure in range(count)])


async def forget_all() -> None:
    """Nothing promised, nothing done, no lane in any state."""
    await db.execute(FORGET)


async def leave_effect(event: OutboxEvent, handler: str = "", note: str = "") -> None:
    await db.execute("INSERT INTO effects (event_id, handler, note) VALUES ($1, $2, $3)", event.id, handler, note)


async def effects() -> int:
    return int(await db.fetch_value("SELECT count(*) FROM effects"))


async def effects_twice() -> int:
    """How many effects happened more than once."""
    doubled = "SELECT 1 FROM effects GROUP BY event_id, handler HAVING count(*) > 1"
    return int(await db.fetch_value(f"SELECT count(*) FROM ({doubled}) AS doubled"))  # noqa: S608


async def undone() -> int:
    return int(await db.fetch_value("SELECT count(*) FROM outbox WHERE finished_at IS NULL AND dead_at IS NULL"))


async def only_row() -> dict[str, object]:
    found = await db.fetch("SELECT * FROM outbox")
    assert len(found) == 1
    return dict(found[0])


async def claim(registry: Registry, limit: int = 100) -> list[Claim]:
    now = clock.now()
    until = now + timedelta(seconds=LIMITS.lease_s)
    return await rows.claim(registry.kinds(), now=now, until=until, limit=limit)


def leased(claims: list[Claim]) -> list[tuple[UUID, int]]:
    return [(one.id, one.lease) for one in claims]


def new_executor(registry: Registry, limits: Limits = LIMITS) -> Executor:
    return Executor(registry, limits, lambda: None)


async def take(executor: Executor, registry: Registry, claims: list[Claim]) -> None:
    """Hand rows to an executor as the relay's messages would."""
    jobs = {kind.name for kind in registry.kinds() if isinstance(kind, Job)}
    calls = {kind.name for kind in registry.kinds() if isinstance(kind, Handler) and kind.outside}
    await executor.take_events(leased([one for one in claims if one.handler not in jobs | calls]))
    await executor.take_calls(leased([one for one in claims if one.handler in calls]))
    await executor.take_jobs(leased([one for one in claims if one.handler in jobs]))


async def work_off(registry: Registry) -> int:
    """Claim what is due and run it to its end, without Redis; answers how many rows were claimed."""
    executor, claims = new_executor(registry), await claim(registry)
    await take(executor, registry, claims)
    await executor.drain(30)
    return len(claims)


async def until(check: Callable[[], Awaitable[bool]], what: str, seconds: float = 30) -> None:
    """Wait until `check` answers true. Raises AssertionError when it has not within `seconds`."""
    end = asyncio.get_running_loop().time() + seconds
    while not await check():
        assert asyncio.get_running_loop().time() < end, f"{what} did not happen within {seconds} s"
        await asyncio.sleep(0.02)
