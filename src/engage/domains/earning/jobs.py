"""Jobs of earning."""

from __future__ import annotations

from engage.domains.earning.bulk.run import run_bulk
from engage.domains.earning.bulk.types import JOB as BULK
from engage.domains.earning.importing.run import run_import
from engage.domains.earning.importing.types import JOB
from engage.outbox import Bounds, Run, job
from engage.outbox.kinds import KEEP_ASKED
from engage.outbox.limits import JOB_TIMEOUT_S

IMPORTS_MAX = 2
"""So many files of a kind at once, over all workers: each keeps a connection and a core of the database busy."""


@job(JOB, bounds=Bounds(timeout_s=JOB_TIMEOUT_S, in_flight_max=IMPORTS_MAX, keep=KEEP_ASKED))
async def import_purchases(run: Run) -> None:
    """Import a file of orders: members, purchases and points."""
    await run_import(run)


@job(BULK, bounds=Bounds(timeout_s=JOB_TIMEOUT_S, in_flight_max=IMPORTS_MAX, keep=KEEP_ASKED))
async def bulk_points(run: Run) -> None:
    """Give or correct the points of a file or a request, row by row."""
    await run_bulk(run)
