"""Bulk points from a command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.domains.earning.bulk.asking import request_file
from engage.domains.earning.bulk.tally import summary_of
from engage.domains.earning.bulk.types import BulkAsked, BulkInstructions, BulkSummary
from engage.domains.earning.csvfiles.here import place_for_rejects, run_file_here
from engage.outbox import Asked
from engage.outbox.here import HOLD_S, Told


async def bulk_here(
    actor: Actor,
    path: Path,
    wanted: BulkInstructions,
    *,
    rejects_path: Path | None = None,
    told: Told | None = None,
    stop: asyncio.Event | None = None,
) -> BulkSummary | BulkAsked:
    """Post the rows of a CSV file and answer when that has ended; without a worker and without Redis.

    A correction that waits for a second person is not begun: its request is answered, and a worker does it once it is
    approved. `told` hears how far it is; `stop` cancels it after the present batch. Rejected rows go to
    `rejects_path`. Raises what `request_file` and `run_here` raise.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    place = await place_for_rejects(path, rejects_path)
    asked = await request_file(actor, path, wanted, hold_s=HOLD_S)
    if asked.waits:
        return asked
    return summary_of(*await run_file_here(Asked(asked.job_id, asked.new), place, told=told, stop=stop))
