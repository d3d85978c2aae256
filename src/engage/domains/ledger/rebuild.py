"""`engage ledger rebuild`: derive every figure that the ledger keeps from its immutable rows, compare, and repair.

What is kept besides history is a cache: the figures of accounts, what remains and is held of lots and their states,
what is left of holds and debts. It is derived by the functions that `verify` compares with, in ranges of ids
(`sql/43_derive.sql`, `sql/44_rebuild.sql`). History itself is never touched, and nothing is made to agree with a
history that is wrong.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from asyncpg.connection import Connection

from engage.base import db
from engage.domains.ledger.findings import Finding, below
from engage.domains.ledger.verify import plan_for_ranges, verify_ledger
from engage.domains.members.service import lock_members

RANGE_ROWS = 50_000
"""Ids in one range that is compared."""

BATCH_ROWS = 200
"""Ids among which rows are repaired at once: so many members at the most wait for it, for some milliseconds."""

LISTED_MAX = 100
"""So many differences are listed; all are counted."""

NOUNS = ("lots", "holds", "debts", "accounts")
"""In this order: what accounts have is derived from the others too."""

_PAGE = (
    "WITH page AS (SELECT id FROM {noun} WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3)"
    " SELECT (SELECT count(*) FROM page) AS count, id AS last FROM page ORDER BY id DESC LIMIT 1"
)
_STALE = (
    "WITH stale AS MATERIALIZED (SELECT * FROM engage.ledger_stale_{noun}($1, $2))"
    " SELECT (SELECT count(*) FROM stale) AS count, s.* FROM stale s ORDER BY s.id LIMIT $3"
)
_STALE_ROWS = "SELECT DISTINCT id, member_id FROM engage.ledger_stale_{noun}($1, $2) ORDER BY id"
_BATCH_END = "SELECT id FROM {noun} WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 1 OFFSET $3"
_MEND = "SELECT * FROM engage.ledger_mend_{noun}($1, $2, $3)"

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class RebuildReport:
    """What was compared. `rows` counts it by table, `count` the figures that differed, the first of which are listed.

    After a repair these were repaired, but for `left` rows that could not be, for what else is wrong with them.
    `wrong_history` is why nothing was repaired.
    """

    wrong_history: Finding | None = None
    rows: dict[str, int] = field(default_factory=dict)
    differences: list[Finding] = field(default_factory=list)
    count: int = 0
    left: int = 0

    def add(self, found: list[asyncpg.Record], count: int) -> None:
        """Note that so many differ, of which these can be listed."""
        self.count += count
        for row in found[: LISTED_MAX - len(self.differences)]:
            self.differences.append(
                Finding(row["in_table"], str(row["id"]), row["rule"], row["stored"], row["expected"])
            )


async def check_figures(progress: Progress | None = None) -> RebuildReport:
    """Compare all figures with what they are derived from, in one snapshot beside live load, and change nothing.

    `progress` is called after each range with the rows done and their total. Not to be called inside a transaction,
    which would show another snapshot. Raises Unavailable when no database connection is free.
    """
    report = RebuildReport()
    async with db.transaction() as tx:
        await tx.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await plan_for_ranges(tx.connection)
        ranges = _Ranges(report, progress)
        await ranges.count(tx.connection)
        for noun in NOUNS:
            after = UUID(int=0)
            while (last := await ranges.next(tx.connection, noun, after)) is not None:
                limit = max(LISTED_MAX - len(report.differences), 1)
                found = await tx.connection.fetch(_STALE.format(noun=noun), after, last, limit)
                report.add(found, found[0]["count"] if found else 0)
                after = last
    return report


async def rebuild_figures(progress: Progress | None = None) -> RebuildReport:
    """Repair all figures that are not what they are derived from, a few rows at once under their members' locks.

    Verifies history first, and repairs nothing where that is wrong. It works beside live load and can be repeated:
    what is right is left alone. `progress` is as in `check_figures`. Not to be called inside a transaction, which
    would hold all locks to its end.
    Raises Unavailable when no database connection is free, LockNotAvailableError when a member's lock is not.
    """
    report = RebuildReport(wrong_history=(await verify_ledger(history_only=True)).first_wrong)
    if report.wrong_history is not None:
        return report
    ranges = _Ranges(report, progress)
    async with db.acquired() as on:
        await ranges.count(on)
    for noun in NOUNS:
        after = UUID(int=0)
        while (page := await _stale_rows(ranges, noun, after)) is not None:
            after, stale = page
            async for batch in _batches(noun, stale):
                mended, left = await _mend(noun, batch)
                report.add(mended, len(mended))
                report.left += left
    return report


async def _batches(noun: str, stale: list[asyncpg.Record]) -> AsyncIterator[list[asyncpg.Record]]:
    """These rows in parts that are close together: whatever lies between is derived too while members wait."""
    while stale:
        first, last = stale[0]["id"], stale[-1]["id"]
        beyond = await db.fetch_value(_BATCH_END.format(noun=noun), first, last, BATCH_ROWS)
        batch = [row for row in stale if beyond is None or row["id"] < beyond]
        stale = stale[len(batch) :]
        yield batch


async def _stale_rows(ranges: _Ranges, noun: str, after: UUID) -> tuple[UUID, list[asyncpg.Record]] | None:
    """The end of the next range and its rows that differ; None where no row is left."""
    async with db.transaction() as tx:
        await plan_for_ranges(tx.connection)
        last = await ranges.next(tx.connection, noun, after)
        if last is None:
            return None
        return last, await tx.connection.fetch(_STALE_ROWS.format(noun=noun), after, last)


@db.command
async def _mend(noun: str, rows: list[asyncpg.Record]) -> tuple[list[asyncpg.Record], int]:
    """Repair these rows, as far as they differ under the locks too; answers what was, and how many rows are left."""
    ids = [row["id"] for row in rows]
    after, last = below(ids[0]), ids[-1]
    await lock_members([row["member_id"] for row in rows if row["member_id"] is not None])
    async with db.connection() as on:
        await plan_for_ranges(on)
        mended = await on.fetch(_MEND.format(noun=noun), after, last, ids)
        stale = await on.fetch(_STALE_ROWS.format(noun=noun), after, last)
    return mended, len({row["id"] for row in stale} & set(ids))


class _Ranges:
    """The way through the tables, and how far it is."""

    def __init__(self, report: RebuildReport, progress: Progress | None) -> None:
        self._report = report
        self._progress = progress or (lambda _done, _total: None)
        self._done = self._begun = 0
        self._ends: dict[str, UUID | None] = {}

    async def count(self, on: Connection) -> None:
        """How many rows there are, and where they end: live load goes on beyond that."""
        for noun in NOUNS:
            self._report.rows[noun] = int(await on.fetchval(f"SELECT count(*) FROM {noun}"))  # noqa: S608 -- our names
            self._ends[noun] = await on.fetchval(f"SELECT id FROM {noun} ORDER BY id DESC LIMIT 1")  # noqa: S608 -- our names

    async def next(self, on: Connection, noun: str, after: UUID) -> UUID | None:
        """The id that the next range ends with; None where no row is left. Tells that the one before is done."""
        self._done += self._begun
        if self._begun:
            self._progress(self._done, sum(self._report.rows.values()))
        row = await on.fetchrow(_PAGE.format(noun=noun), after, self._ends[noun], RANGE_ROWS)
        self._begun = 0 if row is None else row["count"]
        return None if row is None else row["last"]
