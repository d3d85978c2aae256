"""Which events routes carry, as this process knows it, so that workers are woken for those at once too.

Routes are rows that change while processes run, and recording must not ask for them each time: they are read every
few seconds instead. Until then an event of a new route waits for the relay's own round.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engage.base import db
from engage.outbox.loop import Loop

READ_EVERY_S = 2.0

EVERY_EVENT = "*"

_EVENTS = "SELECT DISTINCT event FROM outbox_routes"


class _State:
    """The routes that this process has read last."""

    events: frozenset[str] = frozenset()


def is_routed(event: str) -> bool:
    """Whether a route carries `event`, as far as this process knows."""
    return event in _State.events or EVERY_EVENT in _State.events


@asynccontextmanager
async def routes_known() -> AsyncIterator[None]:
    """Keep reading the routes inside."""
    reading = asyncio.create_task(Loop("routes", read_routes).run(), name="routes")
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        _State.events = frozenset()


async def read_routes() -> float:
    """Read them now; answers how many seconds that is good for."""
    _State.events = frozenset(row["event"] for row in await db.fetch(_EVENTS))
    return READ_EVERY_S
