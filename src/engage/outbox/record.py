"""Recording events: the only way to start work elsewhere. The work exists if and only if its cause commits."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from engage.base import clock, db
from engage.base.ids import id_text
from engage.outbox.events import Event
from engage.outbox.registry import present
from engage.outbox.routed import is_routed
from engage.realtime.bell import knock, ring_after_commit
from engage.realtime.rings import Ring

CHANNEL = "outbox"
"""Knocked on when rows were promised; the relays listen here."""

_RECORD = """
    SELECT stream, position, name FROM engage.record_events($1::text[], $2::text[], $3::jsonb[], $4, $5::jsonb)
"""


async def record(*events: Event) -> list[int]:
    """Write events and what they promise in the present transaction; answers their positions, in order.

    Takes the heads of their streams, so it comes last in a command. Subscribers and workers are told after commit.
    Raises RuntimeError outside a transaction, since the events and their cause must not be parted.
    """
    async with db.connection() as on:
        if not on.is_in_transaction():
            raise RuntimeError("record() needs the transaction of what has happened: call it inside a command.")
    if not events:
        return []
    data = [orjson.dumps(event.data(), default=id_text).decode() for event in events]
    rows = await db.fetch(
        _RECORD,
        [event.stream for event in events],
        [event.NAME for event in events],
        data,
        clock.now(),
        present().handlers_json(),
    )
    # Subscribers get what the log holds, so the data are read back from the JSON that went there.
    ring_after_commit(
        Ring(row["stream"], row["position"], row["name"], orjson.loads(text))
        for row, text in zip(rows, data, strict=True)
    )
    knock_if_promised(row["name"] for row in rows)
    return [row["position"] for row in rows]


def knock_if_promised(names: Iterable[str]) -> None:
    """Wake the workers if any of these events has a handler or a route: after commit, or at once outside of one.

    For commands whose SQL has recorded events by itself, given `handlers_json()`. A lost knock costs a second.
    """
    registry = present()
    if any(registry.is_promised(name) or is_routed(name) for name in names):
        knock(CHANNEL)
