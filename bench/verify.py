"""`engage ledger verify` over 1,000,000 transfers (the bar: 60 seconds), with the peak memory of its process.

The ratio is to one statement by hand that only sums: entries of each transfer, and allocations of each lot. The books
are made by the kernel itself, set-based: earnings, spends and expiries.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import psutil

from bench.harness import SETTINGS, Environment, Row, console, sized, variables
from bench.people import add_members, give_all, halves, spend
from engage.base.settings import Settings

MEMBERS = sized(50_000)
LOTS = 15  # of each member, one of which has expired
SPENDS = 4  # of each member
BAR_S = 60.0
LOOK_S = 0.02

SUMS = """
SELECT (SELECT count(*) FROM (
          SELECT FROM entries GROUP BY transfer_id HAVING sum(amount) <> 0) unequal),
       (SELECT count(*) FROM lots l LEFT JOIN (
          SELECT lot_id, sum(amount) AS taken FROM allocations GROUP BY lot_id) a ON a.lot_id = l.id
         WHERE l.remaining <> l.amount + coalesce(a.taken, 0))
"""
SWEEP = "SELECT due FROM engage.ledger_sweep(10000, now(), '{}')"


async def run(environment: Environment) -> list[Row]:
    """One row, of one round; memory is printed beside it."""
    config = await environment.settings()
    transfers = await _make_books(config)
    reference = await _summed(config)
    seconds, memory = await _verified(config)
    console.print(
        f"verified {transfers:,} transfers in {seconds:.1f} s (bar: {BAR_S:.0f} s for 1,000,000),"
        f" peak memory {memory / 2**20:.0f} MiB"
    )
    return [Row("ledger verify, to sums by hand", "s", [seconds], [reference], smaller_is_better=True)]


async def _make_books(config: Settings) -> int:
    """Earnings, spends and expiries; answers how many transfers there are."""
    url, now, year = config.database_url, datetime.now(UTC), timedelta(days=365)
    connection = await asyncpg.connect(url, server_settings=SETTINGS)
    await add_members(connection, MEMBERS)
    await give_all(url, "default", MEMBERS, 1, 10, now - year, now - timedelta(hours=1))
    await give_all(url, "default", MEMBERS, LOTS - 1, 10, now - year, now + year)
    while await connection.fetchval(SWEEP):
        pass
    await halves(url, MEMBERS, lambda on, numbers: spend(on, numbers, SPENDS))
    await connection.execute("VACUUM ANALYZE")
    transfers: int = await connection.fetchval("SELECT count(*) FROM transfers")
    await connection.close()
    return transfers


async def _summed(config: Settings) -> float:
    connection = await asyncpg.connect(config.database_url, server_settings={"jit": "off", "work_mem": "64MB"})
    began = time.perf_counter()
    assert await connection.fetchrow(SUMS) == (0, 0)
    seconds = time.perf_counter() - began
    await connection.close()
    return seconds


async def _verified(config: Settings) -> tuple[float, int]:
    """Seconds of the command, and the most bytes that its process held."""
    began, most = time.perf_counter(), 0
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engage.cli", "ledger", "verify",
        stdout=asyncio.subprocess.DEVNULL, env=variables(config),
    )  # fmt: skip
    ended = asyncio.create_task(child.wait())
    process = psutil.Process(child.pid)
    while not ended.done():
        with suppress(psutil.NoSuchProcess):
            most = max(most, process.memory_info().rss)
        await asyncio.wait([ended], timeout=LOOK_S)
    assert child.returncode == 0
    return time.perf_counter() - began, most
