"""An import from a command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.domains.earning.csvfiles.here import place_for_rejects, run_file_here
from engage.domains.earning.importing.asking import request_import
from engage.domains.earning.importing.tally import summary_of
from engage.domains.earning.importing.types import ImportSummary, Instructions
from engage.outbox.here import HOLD_S, Told


async def import_here(
    actor: Actor,
    path: Path,
    wanted: Instructions,
    *,
    rejects_path: Path | None = None,
    told: Told | None = None,
    stop: asyncio.Event | None = None,
) -> ImportSummary:
    """Import a CSV file and answer when that has ended; without a worker and without Redis.

    `told` hears how far it is; `stop` cancels it after the present batch. Rejected rows go to `rejects_path`. If this
    process is killed, a worker ends the import. Raises what `request_import` and `run_here` raise.
    """
    require(actor, STAFF_ROLES, Scope.PURCHASES_WRITE)
    place = await place_for_rejects(path, rejects_path)
    asked = await request_import(actor, path, wanted, hold_s=HOLD_S)
    return summary_of(*await run_file_here(asked, place, told=told, stop=stop))
