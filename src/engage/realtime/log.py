"""The event log and the heads of its streams: reading, and pruning what is old.

Each read is one statement, so that what it answers belongs together: a state and the head it is a state of, or
events and how far the log reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from engage.base import db
from engage.base.errors import Unavailable
from engage.base.readings import Fetch
from engage.realtime.deliveries import S, StateAt
from engage.realtime.rings import Ring

OUTAGES = (
    OSError,
    Unavailable,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's last word came just as a statement was to be sent
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
)
"""What a statement raises while the database is away, restarting or full up."""

_EVENTS = """
    SELECT position, name, data::text FROM events WHERE stream = $1 AND position > $2 ORDER BY position LIMIT $3
"""

_MISSED = f"""
    WITH epoch AS MATERIALIZED (SELECT engage.epoch() AS token)
    SELECT epoch.token, coalesce(h.position, 0), coalesce(h.kept_from, 1), e.position, e.name, e.data
      FROM epoch LEFT JOIN stream_heads h ON h.id = $1 LEFT JOIN ({_EVENTS}) AS e ON true
     ORDER BY e.position
"""  # noqa: S608 -- no value is pasted in

_HEADS = """
    WITH epoch AS MATERIALIZED (SELECT engage.epoch() AS token)
    SELECT epoch.token, h.id, h.position, h.kept_from FROM epoch LEFT JOIN stream_heads h ON h.id = ANY ($1)
"""

# Heads are locked as commands lock them, but never waited for: a stream that is busy is left for the next batch.
_PRUNE = """
    WITH old AS MATERIALIZED (
      SELECT id, stream FROM events WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2
    ), held AS MATERIALIZED (
      SELECT id FROM stream_heads WHERE id IN (SELECT stream FROM old) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
    ), gone AS (
      DELETE FROM events e USING old WHERE e.id = old.id AND old.stream IN (SELECT id FROM held)
        RETURNING e.stream, e.position
    ), upto AS (
      SELECT stream, max(position) AS position FROM gone GROUP BY stream
    ), raised AS (
      UPDATE stream_heads h SET kept_from = upto.position + 1
        FROM upto WHERE h.id = upto.stream AND h.kept_from <= upto.position
    )
    SELECT count(*) FROM gone
"""


@dataclass(frozen=True, slots=True)
class Missed:
    """Events above a position, with the stream's head, its lowest kept position, and the epoch."""

    epoch: str
    head: int
    kept_from: int
    rings: list[Ring]
    limit: int

    @property
    def complete(self) -> bool:
        """Whether the events reach up to the head."""
        return len(self.rings) < self.limit

    def follows(self, above: int) -> bool:
        """Whether nothing is missing after `above`: neither pruned nor, after a restore, not there yet."""
        if not self.kept_from - 1 <= above <= self.head:
            return False
        last = above + len(self.rings)
        if [ring.position for ring in self.rings] != list(range(above + 1, last + 1)):
            return False
        return last == self.head or not self.complete


async def read_events(stream: str, above: int, limit: int) -> list[Ring]:
    """The first `limit` events of a stream above a position, in order."""
    rows = await db.fetch(_EVENTS, stream, above, limit)
    return [Ring(stream, position, name, orjson.loads(data)) for position, name, data in rows]


async def read_missed(stream: str, above: int, limit: int) -> Missed:
    """The same with all that is needed to judge whether they are whole."""
    rows = await db.fetch(_MISSED, stream, above, limit)
    rings = [
        Ring(stream, position, name, orjson.loads(data)) for *_, position, name, data in rows if position is not None
    ]
    epoch, head, kept_from, *_ = rows[0]
    return Missed(epoch, head, kept_from, rings, limit)


async def read_heads(streams: Sequence[str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """The epoch, and (head, lowest kept position) of each stream; (0, 1) of one that has no event yet."""
    rows = await db.fetch(_HEADS, streams)
    heads = dict.fromkeys(streams, (0, 1))
    heads.update({stream: (head, kept_from) for _, stream, head, kept_from in rows if stream is not None})
    return rows[0][0], heads


async def read_state(stream: str, state: Fetch[S]) -> StateAt[S]:
    """What a reading of one member answers, together with the stream's head, by one statement.

    What it calls must be STABLE, as reading functions are: a VOLATILE one would see more than the head was read with.
    Raises ValueError for a reading of several members.
    """
    if len(state.members) != 1:
        raise ValueError("A stream's state is read of one member.")
    values = [list(state.members), *state.args, stream]
    [row] = await db.fetch(
        f"""SELECT (SELECT s.value::text FROM ({state.reading.sql}) AS s (key, value)),
                   coalesce((SELECT position FROM stream_heads WHERE id = ${len(values)}), 0), engage.epoch()""",  # noqa: S608 -- our own SQL
        *values,
    )
    value, position, epoch = row
    decoded = state.reading.absent if value is None else state.reading.decode(orjson.loads(value))
    return StateAt(decoded, position, epoch)


async def prune_events(before: datetime, limit: int) -> int:
    """Remove up to `limit` events recorded before a moment; answers how many went.

    Call again while it answers `limit`. Subscribers whose cursor is below what is kept get a reset.
    """
    return int(await db.fetch_value(_PRUNE, before, limit))
