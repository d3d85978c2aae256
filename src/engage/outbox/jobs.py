"""Forgetting: finished rows, old ticks, answers and events, in bounded batches that nobody has to wait for."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from engage.base import clock, db
from engage.base.settings import settings
from engage.outbox.registry import job
from engage.realtime.log import prune_events

KEEP_DONE = timedelta(days=3)
"""Finished rows stay this long, to be looked at. Dead ones stay until somebody decides."""

KEEP_TICKS = timedelta(days=30)
"""The latest tick of a schedule stays for ever: the next one counts from it."""

BATCH = 2_000

_PRUNED = {
    "rows": """
        DELETE FROM outbox WHERE id = ANY (ARRAY(
          SELECT id FROM outbox WHERE finished_at < $1 ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))
    """,
    "ticks": """
        DELETE FROM schedule_ticks WHERE id = ANY (ARRAY(
          SELECT id FROM schedule_ticks t
           WHERE tick < $1 AND EXISTS (SELECT FROM schedule_ticks n WHERE n.name = t.name AND n.tick > t.tick)
           LIMIT $2 FOR UPDATE SKIP LOCKED))
    """,
    "answers": """
        DELETE FROM idempotency_answers WHERE id = ANY (ARRAY(
          SELECT id FROM idempotency_answers WHERE keep_until < $1 ORDER BY keep_until LIMIT $2
             FOR UPDATE SKIP LOCKED))
    """,
}

logger = structlog.get_logger(__name__)


@job("outbox.prune", every_minutes=10)
async def prune() -> None:
    """Remove what is past its time, each batch in a transaction of its own."""
    now = clock.now()
    before = {"rows": now - KEEP_DONE, "ticks": now - KEEP_TICKS, "answers": now}
    gone = {what: await prune_all(sql, before[what], BATCH) for what, sql in _PRUNED.items()}
    gone["events"] = await _prune_log(now - timedelta(days=settings().event_keep_days))
    if any(gone.values()):
        logger.info("outbox.pruned", **gone)


async def _prune_log(before: datetime) -> int:
    """Forget old events; subscribers who come back from before that get a reset."""
    total = 0
    while True:
        gone = await prune_events(before, BATCH)
        total += gone
        if gone < BATCH:
            return total


async def prune_all(sql: str, before: datetime, batch: int) -> int:
    """Repeat one bounded DELETE until it finds less than a batch; answers how many rows went."""
    total = 0
    while True:
        gone = db.rows_affected(await db.execute(sql, before, batch))
        total += gone
        if gone < batch:
            return total
