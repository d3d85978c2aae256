"""Members with points for measurements, with ids that a pgbench script can compute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from bench.harness import SETTINGS

MEMBERS = 5000
LOTS = 4
BATCH = 10_000

# The places where the kernel is called by SQL: `:n` is the number of a member, as pgbench writes it.
MEMBER_SQL = "('00000000-0000-7000-8000-' || lpad(:n::text, 12, '0'))::uuid"
_CALL = r"ROW(gen_random_uuid(), '\x00', now() + interval '30 days', 'bench', now(), '{}')::engage.ledger_call"
_MEMO = "ROW(engage.uuid7(now()), 'BENCH', NULL, NULL)::engage.ledger_memo"
SPEND = f"SELECT engage.ledger_spend({_CALL}, {_MEMO}, {MEMBER_SQL}, 'default', 1)"
EARN = f"SELECT engage.ledger_earn({_CALL}, {_MEMO}, {MEMBER_SQL}, 'default', 1, NULL, NULL, false)"

_MEMBERS = f"""
INSERT INTO members (id, state, locale, created_at)
  SELECT {MEMBER_SQL.replace(":n", "n")}, 'ACTIVE', 'en', now() FROM generate_series(1, $1::int) n
"""  # noqa: S608 -- our own words
_IDENTITIES = """
INSERT INTO identities (id, member_id, channel, identifier, created_at)
  SELECT gen_random_uuid(), id, 'card', id::text, now() FROM members
"""

# The kernel itself makes the books, so that they are whole: a lot for each of the members $2 to $3.
_GIVE = f"""
WITH lines AS (
  SELECT array_agg({MEMBER_SQL.replace(":n", "n")}) AS members, array_agg(engage.uuid7($5)) AS transfers,
         ARRAY[count(*)::int] AS size
    FROM generate_series($2::int, $3::int) n
)
SELECT count(*) FROM lines, engage.ledger_post_earnings(
  $1, members, transfers, array_fill($4::bigint, size), array_fill($5::timestamptz, size),
  array_fill($5::timestamptz, size), array_fill($6::timestamptz, size), array_fill('BENCH'::text, size),
  array_fill('bench'::text, size), array_fill('1'::text, size), 'bench', $5, '{{}}')
"""  # noqa: S608 -- our own words

_SPEND = f"{SPEND.replace(':n', 'n')} FROM generate_series($1::int, $2::int) n"

Work = Callable[[asyncpg.Connection, range], Awaitable[None]]


def member_id(number: int) -> UUID:
    """The id of one of them, counted from 1."""
    return UUID(f"00000000-0000-7000-8000-{number:012d}")


async def add_members(connection: asyncpg.Connection, count: int) -> None:
    """Members 1 to `count`, without points."""
    await connection.execute(_MEMBERS, count)
    await connection.execute(_IDENTITIES)


async def give(
    connection: asyncpg.Connection,
    program: str,
    members: range,
    lots: int,
    amount: int,
    at: datetime,
    until: datetime,
) -> None:
    """Lots of `amount` points for each of these members, posted `at` a moment and usable `until` another."""
    for _ in range(lots):
        for first in range(members.start, members.stop, BATCH):
            last = min(members.stop, first + BATCH) - 1
            await connection.execute(_GIVE, program, first, last, amount, at, until)


async def spend(connection: asyncpg.Connection, members: range, times: int) -> None:
    """Spends of a point, `times` by each of these members, in few transactions."""
    for _ in range(times):
        for first in range(members.start, members.stop, BATCH):
            await connection.execute(_SPEND, first, min(members.stop, first + BATCH) - 1)


async def halves(database_url: str, members: int, work: Work) -> None:
    """Do something for members 1 to `members` over two connections at once."""
    middle = members // 2 + 1
    async with asyncpg.create_pool(database_url, min_size=2, max_size=2, server_settings=SETTINGS) as pool:

        async def half(numbers: range) -> None:
            async with pool.acquire() as connection:
                await work(connection, numbers)

        await asyncio.gather(half(range(1, middle)), half(range(middle, members + 1)))


async def give_all(
    database_url: str, program: str, members: int, lots: int, amount: int, at: datetime, until: datetime
) -> None:
    """What `give` does, for members 1 to `members`."""
    await halves(database_url, members, lambda on, numbers: give(on, program, numbers, lots, amount, at, until))


async def make_members(database_url: str) -> None:
    """Members with LOTS lots of a million points each, so that nobody runs out."""
    connection = await asyncpg.connect(database_url)
    now = datetime.now(UTC)
    await add_members(connection, MEMBERS)
    await give(connection, "default", range(1, MEMBERS + 1), LOTS, 1_000_000, now, now + timedelta(days=365))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
