"""The job of a file from a command line: run in this process, its rejected rows written beside the file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engage.domains.earning.csvfiles.rejects import check_place, default_rejects_path, write_rejects
from engage.outbox import Asked
from engage.outbox.here import JobSeen, Told, run_here


async def place_for_rejects(path: Path, wanted: Path | None) -> Path:
    """Where the rejected rows of a file go. Raises InvalidInput for a place that is taken or not to be written to."""
    place = wanted or default_rejects_path(path)
    await asyncio.to_thread(check_place, place, path)
    return place


async def run_file_here(
    asked: Asked, place: Path, *, told: Told | None = None, stop: asyncio.Event | None = None
) -> tuple[JobSeen, Path | None]:
    """Run a job that was asked for with `hold_s` to its end; answers that, and where rejected rows are if there are.

    `told` hears how far it is; `stop` cancels it after the present batch. If this process is killed, a worker ends
    the job. Raises what `run_here` raises.
    """
    await asyncio.to_thread(place.unlink, missing_ok=True)  # what an earlier job of this file left
    seen = await run_here(asked, told, stop=stop)
    if not seen.kept.get("rejected"):
        return seen, None
    await write_rejects(asked.id, place)
    return seen, place
