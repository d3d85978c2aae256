"""Asking for a job: it exists if and only if the transaction that asks for it commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import Actor
from engage.base.errors import InvalidInput
from engage.base.ids import new_id
from engage.outbox.kinds import Job
from engage.outbox.record import CHANNEL
from engage.outbox.registry import present
from engage.realtime.bell import knock

ARGS_BYTES_MAX = 64 * 1024
"""Arguments of a job; what is longer belongs into a file."""

KEY_LENGTH_MAX = 120

# A key that is taken makes no second row: the job that has it is the answer.
_ASK = """
    WITH made AS (
      INSERT INTO outbox (id, handler, stream, key, payload, created_at, due_at, leased_until, lease, attempts)
        VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8::timestamptz, ($8 IS NOT NULL)::int, ($8 IS NOT NULL)::int)
        ON CONFLICT (handler, key) WHERE key IS NOT NULL AND finished_at IS NULL AND dead_at IS NULL DO NOTHING
      RETURNING id
    ), run AS (
      INSERT INTO job_runs (id, asked_by) SELECT id, $9 FROM made
    )
    SELECT id FROM made
"""

_UNDONE = "SELECT id FROM outbox WHERE handler = $1 AND key = $2 AND finished_at IS NULL AND dead_at IS NULL"


@dataclass(frozen=True, slots=True)
class Asked:
    """The job that was asked for. `new` is False when one with the same key had been asked for and is not done."""

    id: UUID
    new: bool


@db.command
async def ask(
    actor: Actor,
    kind: str,
    args: Mapping[str, object] | None = None,
    *,
    key: str | None = None,
    due_at: datetime | None = None,
    hold_s: float | None = None,
) -> Asked:
    """Promise a job of this kind, in the caller's transaction if there is one; workers begin after commit.

    Whether `actor` may is the calling command's to check. With a `key` there is one undone job of the kind at a
    time: asking again answers that one. `hold_s` leases the row to the caller from the start, who runs it itself
    (`engage.outbox.here`); a worker takes over when the lease has ended.
    Raises InvalidInput for arguments or a key that are too long, ValueError for a kind that there is not.
    """
    job = present().find(kind)
    if not isinstance(job, Job):
        raise ValueError(f"There is no job {kind!r}.")  # noqa: TRY004 -- the name is wrong, whatever goes by it
    if key is not None and not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise InvalidInput(f"A job's key has 1 to {KEY_LENGTH_MAX} characters.", path=["key"])
    payload = {"name": kind, "version": job.version, "position": 0, "data": dict(args or {})}
    text = orjson.dumps(payload)
    if len(text) > ARGS_BYTES_MAX:
        raise InvalidInput(f"A job's arguments take at most {ARGS_BYTES_MAX:,} bytes; put more into a file.")
    now, job_id = clock.now(), new_id()
    held = None if hold_s is None else now + timedelta(seconds=hold_s)
    while True:
        made: UUID | None = await db.fetch_value(
            _ASK, job_id, kind, f"job:{job_id}", key, text.decode(), now, due_at or now, held, actor.id
        )
        if made is not None:
            knock(CHANNEL)
            return Asked(made, new=True)
        found: UUID | None = await db.fetch_value(_UNDONE, kind, key)
        if found is not None:  # else it ended just now
            return Asked(found, new=False)
