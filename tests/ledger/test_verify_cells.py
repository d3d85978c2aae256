"""Any single cell that is altered by hand, of any row of any table, is found, or the database itself refuses it.

But for those that nothing else says: only the seal protects them (tests/ledger/test_seal_tampering.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import settings

from engage.base import db
from engage.base.settings import Settings
from engage.domains.ledger import types
from engage.domains.ledger.verify import verify_ledger
from tests.ledger.books import assert_whole
from tests.ledger.breaking import TABLES, unguard
from tests.ledger.every_kind import write_every_kind

STREAMS = ("stream_heads", "events")
CODES: dict[tuple[str, str], type[StrEnum]] = {
    ("transfers", "kind"): types.TransferKind,
    ("entries", "bucket"): types.Bucket,
    ("accounts", "kind"): types.AccountKind,
    ("lots", "state"): types.LotState,
    ("holds", "purpose"): types.HoldPurpose,
    ("holds", "state"): types.HoldState,
    ("gifts", "state"): types.GiftState,
}

NOTHING_ELSE_SAYS = {
    "transfers": {"reason", "cause_type", "cause_id", "actor_id", "posted_at", "tx"},
    "entries": {"id"},
    "allocations": {"id"},
    "lots": {"id", "earned_at", "usable_at", "expires_at", "idle", "fixed_end"},
    "accounts": {"id", "next_due_at", "idle"},  # an id that nothing refers to; looking too early does no harm
    "holds": {"deadline"},
    "debts": set[str](),
    "gifts": {"day"},
    "top_ups": {"channel", "store"},
}
"""Columns that are not told anywhere else in the figures, and moments that commands move on."""


@dataclass(frozen=True)
class Flip:
    """A cell, what it holds and what it is to hold."""

    table: str
    row: UUID | int
    column: str
    old: Any
    new: Any

    async def apply(self) -> None:
        await self._put(self.row, self.new)

    async def undo(self) -> None:
        await self._put(self.new if self.column == "id" else self.row, self.old)

    async def _put(self, row: object, value: object) -> None:
        await db.execute(f"UPDATE {self.table} SET {self.column} = $2 WHERE id = $1", row, value)  # noqa: S608


def nobody_says(flip: Flip, row: asyncpg.Record) -> bool:
    """Whether only the seal can tell that this was otherwise."""
    match flip.table, flip.column:
        case "transfers", "kind":  # a deduction is given back by either
            return {flip.old, flip.new} == {"REVERSE", "RESTORE"}
        case "transfers", ("refers_id" | "reverses_id"):  # a clawback may go back to nothing, and to any earning
            return str(row["kind"]) == "CLAWBACK"
        case "gifts", "recipient_id":  # nothing has gone to them yet
            return row["state"] not in ("GIVEN", "ACCEPTED")
        case _:
            return False


def others(value: Any, column: str, known: list[Any], codes: type[StrEnum] | None) -> Iterator[Any]:
    """What a cell could be made to hold instead."""
    if codes is not None:
        yield from (code.value for code in codes)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, -value)
    elif isinstance(value, datetime):
        yield from (value + timedelta(hours=1), value - timedelta(hours=1))
    elif isinstance(value, list):
        yield from ([], value[1:], [*value, *value])
    elif isinstance(value, UUID) or column.endswith("_id"):
        yield from (uuid4(), *known)
    elif isinstance(value, str):
        yield f"{value}x"
    yield None


async def all_flips() -> list[Flip]:
    """Every flip of every cell that verification has to find."""
    flips = []
    for table in TABLES:
        if table in STREAMS:
            continue
        rows = await db.fetch(f"SELECT * FROM {table}")  # noqa: S608 -- our own names
        for column in set(dict(rows[0])) - NOTHING_ELSE_SAYS[table]:
            known = list({row[column] for row in rows if isinstance(row[column], UUID)})
            for row in rows:
                old = row[column]
                for new in others(old, column, known, CODES.get((table, column))):
                    flip = Flip(table, row["id"], column, old, new)
                    if new != old and not nobody_says(flip, row):
                        flips.append(flip)
    return flips


@pytest.fixture(scope="module")
async def flips(connected: Settings) -> list[Flip]:
    assert connected.database_url
    await write_every_kind()
    await assert_whole()
    await unguard()
    return await all_flips()


def some_of_each(flips: list[Flip], size: int) -> list[Flip]:
    """So many of each column, by chance."""
    dice = random.Random()  # noqa: S311 -- another sample each time
    columns: dict[tuple[str, str], list[Flip]] = {}
    for flip in flips:
        columns.setdefault((flip.table, flip.column), []).append(flip)
    return [flip for group in columns.values() for flip in dice.sample(group, min(size, len(group)))]


async def test_every_cell_is_watched(flips: list[Flip]) -> None:
    for flip in some_of_each(flips, max(settings().max_examples // 10, 1)):
        try:
            await flip.apply()
        except asyncpg.IntegrityConstraintViolationError:
            continue  # a key that is taken, an id that there is not, nothing where there must be something
        found = (await verify_ledger()).first_wrong
        await flip.undo()
        assert found is not None, flip
    await assert_whole()
