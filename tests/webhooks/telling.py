"""What these tests have happen, and ways to have it told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.domains.members.events import MemberRegistered
from engage.domains.webhooks import service
from engage.domains.webhooks.service import WithSecret
from engage.outbox import record
from engage.outbox.registry import present
from engage.outbox.scheduler import Scheduler
from engage.worker import program_zones
from tests.outbox.working import work_off
from tests.webhooks.receivers import Receiver

REGISTERED = MemberRegistered.NAME
ROUNDS_MAX = 50
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


async def subscribe(receiver: Receiver, *events: str) -> WithSecret:
    return await service.create_endpoint(SYSTEM, url=receiver.url, events=events or (REGISTERED,))


async def happen(count: int = 1, member: UUID | None = None) -> str:
    """So many events of one member, each in a transaction of its own; answers the member's stream."""
    one = member or new_id()
    for _ in range(count):
        async with db.transaction():
            await record(MemberRegistered(one, clock.now()))
    return f"member:{one}"


async def carry_out() -> None:
    """What workers do with what is due now, until nothing is."""
    for _ in range(ROUNDS_MAX):
        if not await work_off(present()):
            return
    raise AssertionError(f"There was still something due after {ROUNDS_MAX} rounds.")


async def tick() -> None:
    await Scheduler(present(), lambda: None, program_zones).tick()


async def rows(target: UUID | None = None) -> list[dict[str, Any]]:
    """What is promised to endpoints, or to one, in the order of its streams."""
    found = await db.fetch(
        "SELECT *, (payload ->> 'position')::int AS position FROM outbox WHERE handler = 'webhooks.deliver'"
        " AND ($1::text IS NULL OR target = $1) ORDER BY stream, position",
        None if target is None else str(target),
    )
    return [dict(row) for row in found]


async def states(target: UUID | None = None) -> Sequence[str]:
    """done, dead or waiting, of each row."""
    return ["done" if row["finished_at"] else "dead" if row["dead_at"] else "waiting" for row in await rows(target)]
