"""What became of the rows of a job's input."""

from __future__ import annotations

from uuid import UUID

import orjson

from engage.base import db
from engage.base.actor import Actor
from engage.base.errors import InvalidInput
from engage.base.paging import Page
from engage.outbox.errors import no_such_job
from engage.outbox.queries.following import require_follower
from engage.outbox.types import ResultRecord

RESULTS_MAX = 1000
"""Results in one page: they are small, and a job may have a million of them."""

_PAGE = """
    SELECT row, code, detail FROM job_results
     WHERE job_id = $1 AND row > $2 AND ($3::text IS NULL OR code = $3) ORDER BY row LIMIT $4
"""


async def list_results(
    actor: Actor, job_id: UUID, after: int, first: int, code: str | None = None
) -> Page[ResultRecord]:
    """Results of the rows after number `after` (0 for the beginning), by row; with `code` only those.

    Raises Forbidden, NotFound, InvalidInput outside of 1..RESULTS_MAX results.
    """
    await require_follower(actor, job_id)
    if not 1 <= first <= RESULTS_MAX:
        raise InvalidInput(f"A page has 1 to {RESULTS_MAX:,} results; {first} is outside.", path=["first"])
    if not await db.fetch_value("SELECT EXISTS (SELECT FROM outbox WHERE id = $1)", job_id):
        raise no_such_job(job_id, "id")
    found = await db.fetch(_PAGE, job_id, after, code, first + 1)
    rows = [ResultRecord(row["row"], row["code"], orjson.loads(row["detail"])) for row in found[:first]]
    return Page(rows, len(found) > first)
