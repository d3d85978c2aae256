"""Bulk earning in batches of 1,000 under the members' locks, against the same work by hand in SQL (the bar: 0.5).

Both take the same lines into databases of their own, so that the tables of both grow alike. The reference has the
server read the lines (COPY), checks nothing, rings nobody and answers nothing (bulk_earn_reference.sql).
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from bench.harness import ROUNDS, Environment, Row, alternate, sized
from bench.import_purchases import SETTINGS, same_totals
from bench.people import MEMBERS, make_members, member_id
from engage.base import db
from engage.base.actor import Actor, Role
from engage.base.ids import new_id
from engage.domains.ledger import service
from engage.domains.ledger.types import Cause, Earning
from engage.domains.members.service import lock_members
from engage.wiring import connected

BATCH = 1_000
BATCHES = sized(20)  # in one round
ACTOR = Actor("bench", Role.SERVICE)
SQL = Path(__file__).parent / "bulk_earn_reference.sql"

TABLES = """
CREATE TEMP TABLE incoming (ord int, transfer_id uuid, member_id uuid, amount bigint, earned_at timestamptz,
  cause_id text) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE postings (ord int, member_id uuid, account_id uuid, transfer_id uuid, amount bigint,
  earned_at timestamptz, cause_id text, version bigint, balance bigint)
  ON COMMIT DELETE ROWS;
"""

Lines = Sequence[Earning]


@db.command
async def post(lines: Lines) -> None:
    """One batch, in the way of `record_purchases`: set-based plans, the members' locks, the earnings."""
    await db.execute("SET LOCAL plan_cache_mode = auto")
    await lock_members([line.member_id for line in lines])
    await service.post_earnings(ACTOR, "default", lines)


async def post_all(batches: Sequence[Lines]) -> float:
    """Earnings a second."""
    began = time.perf_counter()
    for lines in batches:
        await post(lines)
    return len(batches) * BATCH / (time.perf_counter() - began)


class Reference:
    """One connection that posts by hand into the program `default` of one database."""

    def __init__(self, connection: asyncpg.Connection, sql: str) -> None:
        self._connection = connection
        self._sql = sql

    @classmethod
    async def open(cls, database_url: str) -> Reference:
        """Connect, and make the temporary tables."""
        connection = await asyncpg.connect(database_url, server_settings=SETTINGS)
        currency = await connection.fetchval("SELECT engage.ledger_open('default', now())")
        issued = await connection.fetchval("SELECT engage.ledger_house($1, 'ISSUED')", currency)
        await connection.execute(TABLES)
        sql = SQL.read_text().replace("{currency}", str(currency)).replace("{issued}", str(issued))
        return cls(connection, sql)

    async def post_all(self, batches: Sequence[Lines]) -> float:
        """Earnings a second."""
        began = time.perf_counter()
        for lines in batches:
            records = [
                (nth, new_id(), line.member_id, line.amount, line.earned_at, line.cause.id)
                for nth, line in enumerate(lines)
            ]
            async with self._connection.transaction():
                await self._connection.copy_records_to_table("incoming", records=records)
                await self._connection.execute(self._sql)
        return len(batches) * BATCH / (time.perf_counter() - began)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()


async def run(environment: Environment) -> list[Row]:
    """One row: members who have points already, some of them more than once in a batch."""
    ours_config, reference_config = await environment.settings(), await environment.settings()
    for config in (ours_config, reference_config):
        await make_members(config.database_url)
    rounds = [[_lines() for _ in range(BATCHES)] for _ in range(ROUNDS + 1)]
    mine, theirs = iter(rounds), iter(rounds)
    reference = await Reference.open(reference_config.database_url)
    try:
        async with connected(ours_config, "engage-bench"):
            rates = await alternate(lambda: post_all(next(mine)), lambda: reference.post_all(next(theirs)))
    finally:
        await reference.close()
    await same_totals(ours_config, reference_config)
    return [Row("earnings in batches of 1,000", "/s", *rates, bar=0.5)]


def _lines() -> Lines:
    earned_at = datetime.now(UTC) - timedelta(days=1)
    return [
        Earning(
            member_id(random.randint(1, MEMBERS)), random.randint(1, 500), Cause("purchase", str(new_id())), earned_at
        )
        for _ in range(BATCH)
    ]
