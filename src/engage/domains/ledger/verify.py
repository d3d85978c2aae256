"""`engage ledger verify`: whether every cached figure follows from the immutable rows, and whether those agree.

Works through the tables in ranges of ids, each judged by one set-based function (`sql/43_verify.sql`), in a single
snapshot: it can run beside live load, and memory does not grow with the ledger. It reads only and repairs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncpg.connection import Connection

from engage.base import db

RANGE_ROWS = 50_000
"""Ids in one range: large enough that a range costs its rows and not its statements."""

_FIRST_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that is wrong: where it is, which rule it breaks, what is stored and what should be."""

    table: str
    id: str
    rule: str
    stored: str | None
    expected: str | None

    def __str__(self) -> str:
        """The finding as a sentence."""
        stored, expected = (value or "nothing" for value in (self.stored, self.expected))
        return f"{self.table} {self.id}: {self.rule} is {stored}, should be {expected}."


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was verified. `rows` counts the tables in the snapshot; all of them agree where `first_wrong` is None."""

    rows: dict[str, int]
    first_wrong: Finding | None

    @property
    def ok(self) -> bool:
        """Whether the ledger is whole."""
        return self.first_wrong is None


@dataclass(frozen=True, slots=True)
class _Section:
    """A table that is walked by id, the functions that judge each range of it, and those for what lies beyond."""

    table: str
    checks: tuple[str, ...]
    start: str = _FIRST_ID
    beyond: tuple[str, ...] = ()


# In this order the row that was changed is named before those that follow from it.
_SECTIONS = (
    _Section("transfers", ("ledger_verify_transfers", "ledger_verify_allocations", "ledger_verify_earnings")),
    _Section("lots", ("ledger_verify_lots",)),
    _Section("accounts", ("ledger_verify_runs", "ledger_verify_accounts")),
    _Section("stream_heads", ("ledger_verify_streams",), start="", beyond=("ledger_verify_headless",)),
)
_TABLES = ("transfers", "entries", "allocations", "lots", "accounts", "stream_heads", "events")


async def verify_ledger(progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Recompute everything that the ledger caches, and name the first row that is wrong.

    `progress` is called after each range with the rows done and their total. Not to be called inside a transaction,
    which would show another snapshot. Raises Unavailable when no database connection is free.
    """
    async with db.transaction() as tx:
        on = tx.connection
        # The ranges are planned by the figures of the tables as they are, and a large account may take its time.
        await on.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await on.execute("SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL work_mem = '64MB'")
        await on.execute("SET LOCAL statement_timeout = 0")
        rows = {table: int(await on.fetchval(f"SELECT count(*) FROM {table}")) for table in _TABLES}  # noqa: S608 -- our names
        total, done = sum(rows[section.table] for section in _SECTIONS), 0
        for section in _SECTIONS:
            after: Any = section.start
            while (page := await _next_range(on, section.table, after)) is not None:
                count, last = page
                if (wrong := await _first_wrong(on, section.checks, after, last)) is not None:
                    return VerifyReport(rows, wrong)
                after, done = last, done + count
                if progress is not None:
                    progress(done, total)
            if (wrong := await _first_wrong(on, section.beyond, after)) is not None:
                return VerifyReport(rows, wrong)
    return VerifyReport(rows, None)


async def _next_range(on: Connection, table: str, after: object) -> tuple[int, Any] | None:
    """How many rows the range after an id has, and the id that it ends with; None where no row is left."""
    row = await on.fetchrow(
        f"WITH page AS (SELECT id FROM {table} WHERE id > $1 ORDER BY id LIMIT $2)"  # noqa: S608 -- our own names
        " SELECT (SELECT count(*) FROM page) AS count, id AS last FROM page ORDER BY id DESC LIMIT 1",
        after,
        RANGE_ROWS,
    )
    return None if row is None else (row["count"], row["last"])


async def _first_wrong(on: Connection, checks: tuple[str, ...], *bounds: object) -> Finding | None:
    given = ", ".join(f"${nth}" for nth in range(1, len(bounds) + 1))
    for check in checks:
        row = await on.fetchrow(f"SELECT * FROM engage.{check}({given})", *bounds)  # noqa: S608 -- our own names
        if row is not None:
            return Finding(row["in_table"], row["id"], row["rule"], row["stored"], row["expected"])
    return None
