"""The sweep of 1,000,000 lots that have expired at once, and what it does to live commands.

Unpaced, against the same SQL function called by bare asyncpg (the bar: 0.8) and against expiry by hand in SQL
(sweep_reference.sql). Then the p99 of live spends, by the same members in another program, idle and beside a sweep in
a process of its own: the job as it is paced (the bar: within twice the idle one), and one batch after another.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import asyncpg

from bench.harness import SCALE, SETTINGS, Environment, Row, alternate, sized, variables
from bench.people import add_members, give_all, member_id
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.domains.ledger.jobs import SWEEP_BATCH_MAX
from engage.domains.members.service import create_program
from engage.outbox import handlers_json
from engage.wiring import connected

MEMBERS = sized(100_000)
LOTS = 10  # of each member, all due
BATCH_BY_HAND = 500  # suits it best
ROUND = sized(1_500)  # accounts that one side sweeps in a round
BESIDE = {"paced": sized(1_200), "unpaced": sized(4_000)}  # accounts that are swept beside live commands in a round
SPENDS_PER_S = 200
IDLE_S = 6.0
PROGRAM = "expiring"
ACTOR = Actor("bench", Role.SERVICE)

SQL = Path(__file__).parent / "sweep_reference.sql"
SWEEP = "SELECT due, rings FROM engage.ledger_sweep($1, $2, $3)"
TABLES = """
CREATE TEMP TABLE batch (account_id uuid, member_id uuid, transfer_id uuid) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE lapsed (lot_id uuid, account_id uuid, transfer_id uuid, amount bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE posted (transfer_id uuid, account_id uuid, member_id uuid, amount bigint, balance bigint,
  version bigint) ON COMMIT DELETE ROWS;
"""

Sweep = Callable[[], Awaitable[int]]
"""One batch; answers how many accounts it settled."""


async def run(environment: Environment) -> list[Row]:
    """Four rows: two rates of the sweep, two of live spends beside it."""
    config = await environment.settings()
    async with connected(config, "engage-bench"):
        await _prepare(config)
        ours = partial(service.sweep_due, SWEEP_BATCH_MAX)
        connection = await asyncpg.connect(config.database_url, server_settings=SETTINGS)
        rates = [await _rates(ours, _bare(connection)), await _rates(ours, await _by_hand(connection))]
        waits = [await _waits(config, "paced", 5), await _waits(config, "unpaced", 3)]
        left = await connection.fetchval("SELECT count(*) FROM accounts WHERE next_due_at <= now()")
        await connection.close()
    assert left or SCALE < 1, "There were too few lots for all rounds."
    return [
        Row("lots expired by the sweep, to the bare function", "/s", *rates[0], bar=0.8),
        Row("lots expired by the sweep, to SQL by hand", "/s", *rates[1]),
        Row("p99 of a live spend beside the paced sweep, to idle", "ms", *waits[0], bar=0.5, smaller_is_better=True),
        Row("p99 of a live spend beside an unpaced sweep, to idle", "ms", *waits[1], smaller_is_better=True),
    ]


async def _prepare(config: Settings) -> None:
    """Members with points to spend, and in another program many lots that have just expired."""
    await create_program(SYSTEM, code=PROGRAM, name="Expiring", time_zone="UTC", money_currency="USD")
    connection = await asyncpg.connect(config.database_url)
    now = datetime.now(UTC)
    hour, year = timedelta(hours=1), timedelta(days=365)
    await add_members(connection, MEMBERS)
    await give_all(config.database_url, "default", MEMBERS, 1, 1_000_000, now, now + year)
    await give_all(config.database_url, PROGRAM, MEMBERS, LOTS, 10, now - year, now - hour)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _rates(ours: Sweep, reference: Sweep) -> tuple[list[float], list[float]]:
    return await alternate(partial(_lots_per_s, ours), partial(_lots_per_s, reference))


async def _lots_per_s(sweep: Sweep) -> float:
    began, accounts = time.perf_counter(), 0
    while accounts < ROUND and (swept := await sweep()):
        accounts += swept
    return accounts * LOTS / (time.perf_counter() - began)


def _bare(connection: asyncpg.Connection) -> Sweep:
    async def sweep() -> int:
        row = await connection.fetchrow(SWEEP, SWEEP_BATCH_MAX, datetime.now(UTC), handlers_json())
        return int(row["due"])

    return sweep


async def _by_hand(connection: asyncpg.Connection) -> Sweep:
    await connection.execute(TABLES)
    currency = await connection.fetchval("SELECT engage.ledger_open($1, now())", PROGRAM)
    expired = await connection.fetchval("SELECT engage.ledger_house($1, 'EXPIRED')", currency)
    sql = SQL.read_text()
    for name, value in (("currency", currency), ("expired", expired), ("program", PROGRAM), ("limit", BATCH_BY_HAND)):
        sql = sql.replace(f"{{{name}}}", str(value))

    async def sweep() -> int:
        async with connection.transaction():
            await connection.execute(sql)
            return int(await connection.fetchval("SELECT count(*) FROM batch"))

    return sweep


async def _waits(config: Settings, how: str, rounds: int) -> tuple[list[float], list[float]]:
    async def beside() -> float:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.sweeping", how, str(BESIDE[how]),
            stdout=asyncio.subprocess.PIPE, env=variables(config),
        )  # fmt: skip
        assert child.stdout is not None
        await child.stdout.readline()
        ended = asyncio.create_task(child.stdout.readline())
        p99 = await _p99_ms(ended.done)
        assert await child.wait() == 0
        return p99

    async def idle() -> float:
        until = time.perf_counter() + IDLE_S
        return await _p99_ms(lambda: time.perf_counter() > until)

    return await alternate(beside, idle, rounds)


async def _p99_ms(over: Callable[[], bool]) -> float:
    """Of spends that begin at an even pace, however long others take."""
    waits: list[float] = []
    async with asyncio.TaskGroup() as spends:
        due = time.perf_counter()
        while not waits or not over():
            spends.create_task(_spend(waits))
            due += 1 / SPENDS_PER_S
            await asyncio.sleep(due - time.perf_counter())
    return sorted(waits)[int(len(waits) * 0.99)] * 1000


async def _spend(waits: list[float]) -> None:
    began = time.perf_counter()
    member = member_id(random.randint(1, MEMBERS))
    await service.spend_points(ACTOR, member_id=member, program="default", amount=1, idempotency_key=uuid4().hex)
    waits.append(time.perf_counter() - began)
