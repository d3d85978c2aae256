"""The tables as a whole: what is in them, to tell whether anything was changed; and holding them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from engage.base import db


async def everything() -> dict[str, tuple[int, str | None]]:
    """How many rows each table has, and a digest of them: equal ones tell that nothing was changed between.

    The audit log is left out: what is refused is recorded there.
    """
    names = await db.fetch(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'audit_log' ORDER BY 1"
    )
    assert len(names) > 10
    found = {}
    for row in names:
        counted = await db.fetch_row(
            f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {row['name']} t"  # noqa: S608
        )
        assert counted is not None
        found[row["name"]] = (counted[0], counted[1])
    return found


@asynccontextmanager
async def standstill(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Nobody else reads or writes a row while the block runs; answers the connection that sees to it."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {', '.join(row['name'] for row in found)} IN ACCESS EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()
