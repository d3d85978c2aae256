"""Short words for what the tests of bulk points say often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from engage.base import db
from engage.base.actor import SYSTEM, Actor
from engage.domains.earning.bulk import BulkAsked, BulkInstructions, BulkOperation, BulkSummary, bulk_here
from engage.domains.ledger import queries as ledger
from engage.domains.ledger.types import Balance
from engage.domains.members.service import ensure_members
from tests.earning.till import STAFF, a_file, new_card

EARN, ADJUST = BulkOperation.EARN, BulkOperation.ADJUST
HEADER = "row_key,member,amount"
EVERY = "row_key,member,amount,reason,cause_type,cause_id,usable_at,expires_at,note"


async def new_members(count: int) -> list[UUID]:
    """Members who have nothing yet."""
    async with db.transaction():
        made, _ = await ensure_members([new_card() for _ in range(count)])
    return list(made.values())


def points(folder: Path, *rows: str, header: str = HEADER, name: str = "points.csv") -> Path:
    return a_file(folder, *rows, header=header, name=name)


def numbered(members: Sequence[UUID], amount: int = 10) -> list[str]:
    """A row for each of these members."""
    return [f"r{number},{member},{amount}" for number, member in enumerate(members)]


async def asked(
    program: str, file: Path, operation: BulkOperation = EARN, *, actor: Actor = STAFF, **more: Any
) -> BulkSummary | BulkAsked:
    """Post a file: `told`, `stop` and `rejects_path` are of the way, anything else of the instructions."""
    way = {name: more.pop(name) for name in ("told", "stop", "rejects_path") if name in more}
    return await bulk_here(actor, file, BulkInstructions(program=program, operation=operation, **more), **way)


async def post(program: str, file: Path, operation: BulkOperation = EARN, **more: Any) -> BulkSummary:
    """The same where nobody has to approve."""
    done = await asked(program, file, operation, **more)
    assert isinstance(done, BulkSummary), done
    return done


async def balance(member: UUID, program: str) -> Balance:
    return await ledger.get_balance(SYSTEM, member, program)


async def available(members: Sequence[UUID], program: str) -> list[int]:
    return [(await balance(member, program)).available for member in members]


async def transfers(program: str) -> int:
    """How many transfers there are of the points of a program."""
    return int(
        await db.fetch_value("SELECT count(*) FROM transfers WHERE currency_id = engage.ledger_currency($1)", program)
    )


async def results(job_id: UUID) -> list[tuple[int, str, str]]:
    """Line, code and key of each result of a job."""
    found = await db.fetch(
        "SELECT row, code, detail ->> 'row_key' FROM job_results WHERE job_id = $1 ORDER BY row", job_id
    )
    return [tuple(row) for row in found]
