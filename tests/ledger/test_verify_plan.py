"""Tables that are too new to have statistics: each row costs the same, however many there are.

A database that was filled a minute ago is such a one, and `verify` or `rebuild` may well come next.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest

from engage.base import db
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.domains.ledger.rebuild import NOUNS
from engage.domains.ledger.verify import _FIRST_ID, _SECTIONS, plan_for_ranges
from tests.e2e.moving import CHANNEL, MOVER, Mover, Moves
from tests.ledger.books import new_member, new_program
from tests.ledger.words import open_channel

CLIENTS, ROUNDS = 4, 10
READ_EACH_MAX = 60
"""Pages that are looked at, for each transfer: some probes of indexes."""

COMPARED_EACH_MAX = 15
"""Rows that are looked at in vain, for each transfer: the rules that it keeps are some."""

CHECKS = [(section.table, check) for section in _SECTIONS for check in section.checks if section.start == _FIRST_ID]
REPAIRS = [(noun, f"ledger_stale_{noun}") for noun in NOUNS]


@pytest.fixture(scope="module")
async def transfers(connected: Settings) -> int:
    """The ledger after some rounds of everything, without statistics; answers how many transfers there are."""
    assert connected.database_url
    for row in await db.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    ):
        await db.execute(f"ALTER TABLE {row[0]} SET (autovacuum_enabled = off)")
    await open_channel(CHANNEL)
    moves = Moves(await new_program(), await new_program())
    await service.publish_exchange_rate(
        MOVER, from_program=moves.program, to_program=moves.target, numerator=1, denominator=1
    )
    members = [await new_member() for _ in range(CLIENTS)]
    movers = [Mover(f"mover-{nth}", moves, member, members[nth - 1]) for nth, member in enumerate(members)]
    for _ in range(ROUNDS):
        await asyncio.gather(*(mover.round() for mover in movers))
    return int(await db.fetch_value("SELECT count(*) FROM transfers"))


def compared(plan: dict[str, Any]) -> int:
    """Rows that the parts of a plan have looked at and dropped."""
    here = sum(plan.get(name, 0) for name in ("Rows Removed by Join Filter", "Rows Removed by Filter"))
    return int(here * plan["Actual Loops"]) + sum(compared(part) for part in plan.get("Plans", []))


def read_whole(plan: dict[str, Any]) -> set[str]:
    """Tables that are read from one end to the other, by no key."""
    here = set()
    if plan["Node Type"] in {"Seq Scan", "Index Scan", "Index Only Scan"} and "Index Cond" not in plan:
        here = {plan["Relation Name"]}
    return here.union(*(read_whole(part) for part in plan.get("Plans", [])))


@pytest.mark.parametrize(("table", "function"), CHECKS + REPAIRS)
async def test_each_row_costs_the_same(transfers: int, table: str, function: str) -> None:
    last = await db.fetch_value(f"SELECT max(id::text) FROM {table}")  # noqa: S608 -- our own names
    query = f"SELECT * FROM engage.{function}('{UUID(int=0)}', '{last or UUID(int=1)}')"  # noqa: S608 -- the same
    async with db.transaction() as tx:
        await plan_for_ranges(tx.connection)
        await tx.connection.execute(
            "SET LOCAL enable_seqscan = off"
        )  # small as they are here, that would be no worse
        text = await tx.connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")
    plan = json.loads(text)[0]["Plan"]
    assert read_whole(plan) <= {"currencies"}
    assert compared(plan) <= COMPARED_EACH_MAX * transfers
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= READ_EACH_MAX * transfers
