"""No command and no reading of one member reads a whole table, whatever the tables' sizes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

from engage.base import clock, db
from engage.domains.ledger.service import sweep_due
from tests.ledger.books import NOON, balance, earn, schedule, spend, statement

DAY = timedelta(days=1)


async def whole_tables_read() -> Counter[str]:
    """How often each table was read from end to end on this connection, since the server last took its counts."""
    rows = await db.fetch(
        "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE schemaname = 'public' AND seq_scan > 0"
    )
    return Counter({row["relname"]: row["seq_scan"] for row in rows})


async def test_each_way_to_a_members_rows_has_its_index(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 10)  # opens the books, once for each program
    async with db.transaction():
        # Small tables are read whole for good reason; without that reason only what has no index still is.
        await db.execute("DISCARD PLANS")
        await db.execute("SET LOCAL enable_seqscan = off")
        before = await whole_tables_read()
        with clock.frozen(NOON):
            await earn(member, program, 20, usable_at=NOON + DAY)
            await earn(member, program, 30, expires_at=NOON + DAY)
            await spend(member, program, 5)
        with clock.frozen(NOON + 2 * DAY):
            assert (await balance(member, program)).available == 30
            assert (await schedule(member, program)).total == 30
            await spend(member, program, 1)
            await earn(member, program, 7, expires_at=NOON + 3 * DAY)
            assert len(await statement(member, program)) == 8
        with clock.frozen(NOON + 4 * DAY):
            assert await sweep_due(10) == 1
        read = await whole_tables_read() - before
    assert set(read) <= {"programs", "currencies"}, read
