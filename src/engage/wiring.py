"""What a process of engage is made of: who carries out what, and its connections to PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from engage.base import db
from engage.base.settings import Settings
from engage.migrations import orm_config
from engage.realtime.bell import start_bell, stop_bell

HANDLER_MODULES: tuple[str, ...] = (
    "engage.outbox.jobs",
    "engage.domains.ledger.jobs",
    "engage.domains.notifications.handlers",
)
"""The `handlers` and `jobs` rooms, in no particular order. A test finds a room that is missing here."""


def register_all() -> None:
    """Register every handler and job of engage; again is harmless. Gateways need it too: it says what is promised."""
    for module in HANDLER_MODULES:
        import_module(module)


@asynccontextmanager
async def connected(config: Settings, application: str) -> AsyncIterator[None]:
    """Commands and queries can be called inside: the database is connected and what happens is rung.

    Raises Unavailable when PostgreSQL does not answer; Redis may be away.
    """
    register_all()
    await db.connect(config, orm_config(config.database_url), application=application)
    try:
        await start_bell(config.redis_url, config.redis_prefix, queue_max=config.bell_queue_max)
        try:
            yield
        finally:
            await stop_bell()
    finally:
        await db.disconnect()
