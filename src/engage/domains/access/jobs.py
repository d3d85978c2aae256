"""Scheduled work of access."""

from __future__ import annotations

from engage.base import clock
from engage.outbox import job
from engage.outbox.jobs import prune_all

BATCH = 1_000

_FORGOTTEN = """
    WITH gone AS (
      DELETE FROM revocations WHERE id = ANY (ARRAY(
        SELECT id FROM revocations WHERE keep_until < $1 ORDER BY keep_until LIMIT $2 FOR UPDATE SKIP LOCKED))
      RETURNING id
    ) SELECT count(*) FROM gone
"""


@job("access.prune", cron="40 3 * * *")
async def prune() -> None:
    """Forget revocations of tokens that have all expired."""
    await prune_all(_FORGOTTEN, clock.now(), BATCH)
