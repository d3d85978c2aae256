"""What a process of engage is made of: who carries out what, and its connections to PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

import structlog

from engage.base import db, privileges, sealing
from engage.base.settings import Settings
from engage.domains.ledger import seal
from engage.domains.webhooks import addresses
from engage.migrations import orm_config
from engage.outbox.catalogue import learn_events
from engage.realtime.bell import start_bell, stop_bell

HANDLER_MODULES: tuple[str, ...] = (
    "engage.outbox.jobs",
    "engage.domains.access.jobs",
    "engage.domains.earning.jobs",
    "engage.domains.ledger.jobs",
    "engage.domains.notifications.handlers",
    "engage.domains.webhooks.handlers",
    "engage.domains.webhooks.jobs",
)
"""The `handlers` and `jobs` rooms, in no particular order. A test finds a room that is missing here."""

EVENT_MODULES: tuple[str, ...] = (
    "engage.domains.access.events",
    "engage.domains.earning.bulk.events",
    "engage.domains.ledger.events",
    "engage.domains.ledger.policy.events",
    "engage.domains.members.events",
    "engage.domains.notifications.events",
    "engage.domains.purchases.events",
    "engage.domains.webhooks.events",
)
"""The `events` rooms: what can be subscribed to by name. The same test looks after them."""

logger = structlog.get_logger(__name__)


def register_all() -> None:
    """Register every handler, job and event of engage; again is harmless.

    Gateways need it too: it says what is promised.
    """
    for module in HANDLER_MODULES:
        import_module(module)
    learn_events(import_module(module) for module in EVENT_MODULES)


@asynccontextmanager
async def connected(config: Settings, application: str) -> AsyncIterator[None]:
    """Commands and queries can be called inside: the database is connected and what happens is rung.

    Raises Unavailable when PostgreSQL does not answer; Redis may be away.
    """
    register_all()
    sealing.use(config)
    addresses.use(config)
    await db.connect(config, orm_config(config.database_url), application=application)
    try:
        await seal.number_on()
        await start_bell(config.redis_url, config.redis_prefix, queue_max=config.bell_queue_max)
        try:
            yield
        finally:
            await stop_bell()
    finally:
        await db.disconnect()


async def warn_of_rights(config: Settings) -> None:
    """Say in the log where the role of this process could change history, which it need not; once at its start.

    In development nobody has to be kept from anything.
    """
    if not config.development and await privileges.may_change_history():
        logger.warning(
            "database.history_unprotected",
            hint="The user of ENGAGE_DATABASE_URL may UPDATE transfers: connect as the role in ENGAGE_DATABASE_ROLE.",
            page="docs/operations.md#two-roles",
        )
