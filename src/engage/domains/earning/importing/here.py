"""An import from a command line: asked for, run in this process, its rejected rows written beside the file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from engage.base.actor import STAFF_ROLES, Actor, require
from engage.domains.earning.importing.asking import request_import
from engage.domains.earning.importing.rejects import check_place, default_rejects_path, write_rejects
from engage.domains.earning.importing.tally import summary_of
from engage.domains.earning.importing.types import ImportSummary, Instructions
from engage.outbox.here import HOLD_S, Told, run_here


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
    require(actor, STAFF_ROLES)
    place = rejects_path or default_rejects_path(path)
    await asyncio.to_thread(check_place, place, path)
    asked = await request_import(actor, path, wanted, hold_s=HOLD_S)
    await asyncio.to_thread(place.unlink, missing_ok=True)  # what an earlier import of this file left
    summary = summary_of(await run_here(asked, told, stop=stop))
    if not summary.rejected:
        return summary
    await write_rejects(asked.id, place)
    return replace(summary, rejects_path=place)
