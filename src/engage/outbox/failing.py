"""What becomes of a row that has failed: due again later, or dead."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from engage.base import clock
from engage.base.errors import Refusal
from engage.outbox import lanes, rows
from engage.outbox.faults import LENGTH_MAX, Hopeless, TargetDown, backoff, describe
from engage.outbox.kinds import Bounds, Job, Kind
from engage.outbox.registry import Registry
from engage.outbox.rows import Undone
from engage.realtime.log import OUTAGES

logger = structlog.get_logger(__name__)


async def write_failure(registry: Registry, row_id: UUID, lease: int, error: BaseException) -> None:
    """Write a failure on the row, if it is still ours. Never raises: what cannot be written ends with its lease."""
    words = told = describe(error)
    try:
        row = await rows.find_undone(row_id, lease)
        if row is None:
            return
        kind = registry.find(row.handler)
        if isinstance(error, Refusal) and isinstance(kind, Job):
            told = error.message[:LENGTH_MAX]  # for who asked; it may quote what was asked for, so it is not logged
        about = {"row": str(row_id), "handler": row.handler, "attempts": row.attempts, "error": words}
        if is_dead(row, kind, error, clock.now()):
            await rows.bury(row_id, lease, told, clock.now())
            logger.error("outbox.dead", **about)
        else:
            await _later(row, row_id, lease, kind, error, words)
            logger.warning("outbox.failed", **about)
    except (*OUTAGES, asyncpg.PostgresError) as outage:
        logger.warning("outbox.failure_not_written", row=str(row_id), error=type(outage).__name__)


def is_dead(row: Undone, kind: Kind | None, error: BaseException, now: datetime) -> bool:
    """Whether a row is given up: trying again cannot help, or it was tried often and long enough."""
    if isinstance(error, Hopeless) or (isinstance(error, Refusal) and isinstance(kind, Job)):
        return True
    bounds = Bounds() if kind is None else kind.bounds
    tried_long = bounds.retry_for is None or now - row.created_at >= bounds.retry_for
    return row.attempts >= bounds.attempts_max and tried_long


async def _later(row: Undone, row_id: UUID, lease: int, kind: Kind | None, error: BaseException, words: str) -> None:
    now, pause = clock.now(), backoff(row.attempts)
    if isinstance(error, TargetDown):
        lane = await lanes.find(row.handler, row.target)
        rest = max(error.retry_after or timedelta(), backoff((lane.failures if lane else 0) + 1))
        await lanes.slow_down(row.handler, row.target, now + rest)
        pause = max(pause, rest)  # a row that alone brings the target down is tried ever more seldom, too
    await rows.fail(row_id, lease, words, now + pause, ordered=kind is not None and kind.ordered)
