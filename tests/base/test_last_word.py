"""A server that ends says a last word; a connection that has heard it is of no use, though not closed yet."""

from __future__ import annotations

import asyncio

import asyncpg

from engage.base import db
from engage.base.settings import Settings
from engage.migrations import orm_config
from tests.api.clients import DEADLINE_S
from tests.outbox.working import until
from tests.realtime.wire import Wire

GONE = (*db.OUTAGES, asyncpg.OperatorInterventionError)


class Lingering(Wire):
    """A wire whose end is never heard; `ends` counts what has come to it."""

    ends = 0

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        self.ends += 1
        await asyncio.Event().wait()


async def test_after_the_last_word_a_statement_fails_as_in_any_outage(config: Settings, database_url: str) -> None:
    wire = Lingering(database_url, 5432)
    await wire.mend()
    through = config.model_copy(update={"database_url": wire.url, "pool_size_max": 1})
    direct = await asyncpg.connect(database_url)
    await db.connect(through, orm_config(through.database_url))
    try:
        for _ in range(5):
            pid = await db.fetch_value("SELECT pg_backend_pid()")
            before = wire.ends
            await direct.execute("SELECT pg_terminate_backend($1)", pid)

            async def said(before: int = before) -> bool:
                return wire.ends > before

            await until(said, "the last word was said")
            for _ in range(3):  # and heard: each turn of the loop reads what there is
                await asyncio.sleep(0)
            async with asyncio.timeout(DEADLINE_S):
                failure = await failure_of_a_statement()
            assert isinstance(failure, GONE), repr(failure)
        assert await db.fetch_value("SELECT 1") == 1
    finally:
        await wire.drop()
        await db.disconnect()
        await direct.close()


async def failure_of_a_statement() -> Exception | None:
    try:
        await db.fetch_value("SELECT 1")
    except Exception as error:  # noqa: BLE001 -- what it is is the question
        return error
    return None
