"""kill -9 of everything in turn, beneath an import and a load of all commands: nothing that was acknowledged is lost.

`engage dev` runs as people run it, with PostgreSQL's own durable settings.
"""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import strawberry

from engage.api.relay import local_id
from tests.e2e.following import Follower
from tests.e2e.moving import MOVER, Moves, assert_each_move_is_there_once, moving
from tests.e2e.programs import DEADLINE_S, ENGAGE, Dev, dev_running, engage, environment
from tests.e2e.spending import EARN, REGISTER, Spends, post, spend_until_stopped
from tests.ledger.soundness import assert_sound
from tests.outbox.working import until

CDNOW = Path(__file__).parents[2] / "data" / "cdnow_purchases.csv.gz"
CLIENTS = 8
MOVERS = 4
MEMBERS = 4
GIVEN = 1_000_000
VICTIMS = ("postgres", "gateway", "worker", "valkey")
LOAD_BETWEEN = 40
"""Spends, and other commands, that are acknowledged between two kills."""

ROUND_S = 10.0
"""How long a round takes at least: `engage dev` gives up servers that end twenty times in a minute."""

SWEEPS = "SELECT count(*) FROM outbox WHERE handler = 'ledger.sweep' AND finished_at IS NOT NULL"
UNDONE = "SELECT count(*) FROM outbox WHERE finished_at IS NULL"

TOTALS = """{
  programTotals(program: "default") { members purchases spend { amount } pointsIssued pointsSpent pointsOutstanding }
}"""


@dataclass
class Load:
    """Clients who go on whatever is killed, and what they were answered."""

    spends: Spends
    moves: Moves
    clients: list[asyncio.Task[None]]

    async def go_on(self) -> None:
        """Until so many more commands are acknowledged, of both kinds. Raises what has ended a client."""
        spent, moved = self.spends.acknowledged, self.moves.acknowledged
        spends, moves = len(spent) + LOAD_BETWEEN, len(moved) + LOAD_BETWEEN

        async def enough() -> bool:
            for client in self.clients:
                if client.done():
                    client.result()
            return len(spent) >= spends and len(moved) >= moves

        await until(enough, f"{LOAD_BETWEEN} spends and other commands", DEADLINE_S)

    async def stop(self) -> None:
        """Once what was begun has been answered."""
        self.spends.stopped.set()
        self.moves.stopped.set()
        await asyncio.wait_for(asyncio.gather(*self.clients), 90)


def write_slice(path: Path, rows: int | None) -> tuple[int, Decimal, int]:
    """The first rows of the CDNOW file (all for None); how many orders, what spend and how many points they are."""
    with gzip.open(CDNOW, "rt") as source, path.open("w") as out:
        out.write(next(source))
        lines = [line for number, line in enumerate(source) if rows is None or number < rows]
        out.writelines(lines)
    amounts = [Decimal(line.rstrip("\n").rsplit(",", 1)[1]) for line in lines]
    return len(lines), sum(amounts, Decimal()), sum(int(amount) for amount in amounts)


async def new_members(info: dict[str, Any]) -> list[str]:
    """Members with plenty of points; their global ids."""
    token = info["tokens"]["staff"]
    made = []
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        for number in range(MEMBERS):
            answer = await post(http, info["url"], token, REGISTER, {"card": f"SPENDER-{number}"})
            made.append(answer["registerMember"]["member"]["id"])
            given = {"memberId": made[-1], "amount": GIVEN, "idempotencyKey": f"given-{number}"}
            earned = await post(http, info["url"], token, EARN, {"input": given})
            assert "transferId" in earned["earnPoints"], earned
    return made


async def kill_in_turn(dev: Dev, load: Load, rounds: int) -> None:
    """SIGKILL each of the four, `rounds` times, with some load between and after."""
    for number in range(rounds):
        began = time.monotonic()
        for name in VICTIMS:
            killed = await asyncio.to_thread(dev.kill_child, name)
            await asyncio.to_thread(dev.wait_for_another, name, killed)
            await asyncio.to_thread(dev.wait_for_api)
            await load.go_on()
        while number + 1 < rounds and time.monotonic() < began + ROUND_S:
            await load.go_on()


def start_import(dev: Dev, file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*ENGAGE, "import", "purchases", str(file), "--batch-size", "100"],
        env=environment(ENGAGE_DATA_DIR=str(dev.folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@asynccontextmanager
async def database(dev: Dev) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dev.info["database_url"])
    try:
        yield connection
    finally:
        await connection.close()


async def assert_each_spend_is_there_once(connection: asyncpg.Connection, spends: Spends) -> None:
    """As many as were asked for, each with the transfer that was acknowledged and its amount."""
    assert set(spends.acknowledged) == set(spends.asked)
    posted = await connection.fetch(
        "SELECT id, amount FROM transfers WHERE kind = 'SPEND' AND actor_id <> $1", MOVER.id
    )
    expected = {
        local_id("Transfer", strawberry.ID(transfer), path=[]): spends.asked[key]
        for key, transfer in spends.acknowledged.items()
    }
    assert len(expected) == len(spends.asked), "two keys were answered with one transfer"
    assert {row["id"]: row["amount"] for row in posted} == expected


@pytest.mark.parametrize(
    ("rows", "rounds"), [(8_000, 1), pytest.param(None, 20, marks=pytest.mark.long)], ids=["once", "twenty times"]
)
async def test_nothing_acknowledged_is_lost(place: Path, tmp_path: Path, rows: int | None, rounds: int) -> None:
    orders, spend, points = write_slice(tmp_path / "orders.csv", rows)
    with dev_running(place / f"faults-{rounds}") as dev:
        info, spends = dev.info, Spends()
        members = await new_members(info)
        async with database(dev) as connection:
            await make_a_tick_late(connection)
        follower = Follower(info, members[0])
        async with moving(info, MOVERS) as (moves, movers):
            importing = start_import(dev, tmp_path / "orders.csv")
            clients = [
                *(
                    asyncio.create_task(spend_until_stopped(info, f"client-{number}", members, spends))
                    for number in range(CLIENTS)
                ),
                *(asyncio.create_task(mover.move_until_stopped()) for mover in movers),
            ]
            following = asyncio.create_task(follower.follow())
            try:
                await _import_has_begun(dev)
                assert importing.poll() is None, "the import was too quick to be disturbed"
                load = Load(spends, moves, clients)
                await kill_in_turn(dev, load, rounds)
                await load.stop()
                output, errors = await asyncio.to_thread(importing.communicate, timeout=300)
                assert importing.returncode == 0, errors + output
                await _assert_moves_are_right(moves)
                await _assert_all_is_right(dev, spends, follower, members, (orders, spend, points))
            finally:
                for task in (*clients, following):
                    task.cancel()
                await asyncio.gather(*clients, following, return_exceptions=True)
                importing.kill()
                importing.communicate()


async def _assert_moves_are_right(moves: Moves) -> None:
    assert moves.repeated, "no command was disturbed"
    await assert_each_move_is_there_once(moves)
    await assert_sound()


async def _import_has_begun(dev: Dev) -> None:
    async with database(dev) as connection:

        async def begun() -> bool:
            return bool(await connection.fetchval("SELECT count(*) > 100 FROM purchases"))

        await until(begun, "the first batches", DEADLINE_S)


async def _assert_all_is_right(
    dev: Dev, spends: Spends, follower: Follower, members: list[str], imported: tuple[int, Decimal, int]
) -> None:
    orders, spend, points = imported
    spent = sum(spends.asked.values())
    totals = (await asyncio.to_thread(dev.ask, TOTALS, "admin"))["programTotals"]
    assert totals["purchases"] == orders
    assert Decimal(totals["spend"]["amount"]) == spend
    assert totals["pointsIssued"] == points + MEMBERS * GIVEN
    assert totals["pointsSpent"] == spent
    assert totals["pointsOutstanding"] == points + MEMBERS * GIVEN - spent
    assert spends.repeated, "no client noticed anything"

    async with database(dev) as connection:
        await assert_each_spend_is_there_once(connection, spends)
        member_id = local_id("Member", strawberry.ID(members[0]), path=[])
        head = await connection.fetchval("SELECT position FROM stream_heads WHERE id = $1", f"member:{member_id}")
        await until(lambda: follower.is_at(head), f"a frame of position {head}", DEADLINE_S)
        follower.assert_gapless(head)
        assert follower.breaks >= 1
        await _assert_jobs_go_on(connection)
    verified = await asyncio.to_thread(engage, "ledger", "verify", ENGAGE_DATA_DIR=str(dev.folder))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "The ledger is right." in verified.stdout


async def make_a_tick_late(connection: asyncpg.Connection) -> None:
    """As if no worker had run for five minutes. A worker that starts catches up."""
    await connection.execute("DELETE FROM schedule_ticks WHERE name = 'ledger.sweep'")
    await connection.execute(
        "INSERT INTO schedule_ticks (id, name, tick, created_at) VALUES (gen_random_uuid(), 'ledger.sweep',"
        " date_trunc('minute', now()) - interval '5 minutes', now())"
    )


async def _assert_jobs_go_on(connection: asyncpg.Connection) -> None:
    """The late tick was promised and carried out by a worker after the kills, and so is one that is due now."""
    await connection.execute(
        "INSERT INTO outbox (id, handler, stream, payload, created_at, due_at)"
        " SELECT gen_random_uuid(), handler, stream, payload, now(), now() FROM outbox"
        " WHERE handler = 'ledger.sweep' ORDER BY created_at LIMIT 1"
    )

    async def both_ran() -> bool:
        return bool(await connection.fetchval(UNDONE) == 0 and await connection.fetchval(SWEEPS) >= 2)

    await until(both_ran, "the sweeps", DEADLINE_S)
