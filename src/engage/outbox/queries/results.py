"""What became of the rows of a job's input."""

from __future__ import annotations

from uuid import UUID

import orjson

from engage.base import db
from engage.base.actor import Actor
from engage.base.listings import Listing
from engage.base.paging import Order, Page, Window
from engage.outbox.errors import no_such_job
from engage.outbox.queries.following import require_follower
from engage.outbox.types import ResultRecord

RESULTS_MAX = 1000
"""Results in one page: they are small, and a job may have a million of them."""

_RESULTS = Listing(
    Order((0,), (2**62,)),
    """
    SELECT row, code, detail FROM job_results
     WHERE job_id = $3 AND row {past} $2 AND ($4::text IS NULL OR code = $4) ORDER BY row {sort} LIMIT $1
    """,
    row=lambda row: ResultRecord(row["row"], row["code"], orjson.loads(row["detail"])),
    key=lambda result: (result.row,),
    size_max=RESULTS_MAX,
)


async def list_results(actor: Actor, job_id: UUID, window: Window, code: str | None = None) -> Page[ResultRecord]:
    """Results of a job's rows, by row; with `code` only those.

    Raises Forbidden, NotFound, InvalidInput outside of 1..RESULTS_MAX results.
    """
    await require_follower(actor, job_id)
    if not await db.fetch_value("SELECT EXISTS (SELECT FROM outbox WHERE id = $1)", job_id):
        raise no_such_job(job_id, "id")
    return await _RESULTS.page(window, job_id, code)
