"""`engage ledger verify`: whether every cached figure follows from the immutable rows, and whether those agree.

Works through the tables in ranges of ids, each judged by set-based functions (`sql/43_verify.sql` and those beside
it), in a single snapshot: it can run beside live load, and memory does not grow with the ledger. Then it compares the
immutable rows with what was sealed of them (`engage.domains.ledger.seal`). It reads only and repairs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg.connection import Connection

from engage.base import db
from engage.domains.ledger import seal
from engage.domains.ledger.findings import Finding, below, first_wrong, first_wrong_of
from engage.domains.ledger.seal import Head, Sealed

RANGE_ROWS = 50_000
"""Ids in one range: large enough that a range costs its rows and not its statements."""

_FIRST_ID = "00000000-0000-0000-0000-000000000000"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was verified. `rows` counts what was looked at, by table; all of it agrees where there are no `findings`.

    There are two of them at the most: the first row whose figures are wrong, and the first that is not as sealed.
    """

    rows: dict[str, int]
    findings: tuple[Finding, ...]
    sealed: Sealed

    @property
    def first_wrong(self) -> Finding | None:
        """The finding that tells most."""
        return self.findings[0] if self.findings else None

    @property
    def ok(self) -> bool:
        """Whether the ledger is whole."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class _Section:
    """A table that is walked by id, the functions that judge each range of it, and those for what lies beyond."""

    table: str
    checks: tuple[str, ...]
    start: str = _FIRST_ID
    beyond: tuple[str, ...] = ()


# In this order the row that was changed is named before those that follow from it.
_TRANSFERS = _Section(
    "transfers",
    (
        "ledger_verify_transfers",
        "ledger_verify_references",
        "ledger_verify_counterparts",
        "ledger_verify_sources",
        "ledger_verify_earnings",
        "ledger_verify_allocations",
        "ledger_verify_returns",
    ),
)
_LOTS = _Section("lots", ("ledger_verify_lots",))
_HOLDS = _Section("holds", ("ledger_verify_holds",))
_DEBTS = _Section("debts", ("ledger_verify_debts",))
_GIFTS = _Section("gifts", ("ledger_verify_gifts",))
_TOP_UPS = _Section("top_ups", ("ledger_verify_top_ups",))
_ACCOUNTS = _Section("accounts", ("ledger_verify_runs", "ledger_verify_accounts"))
_STREAMS = _Section("stream_heads", ("ledger_verify_streams",), start="", beyond=("ledger_verify_headless",))
_SECTIONS = (_TRANSFERS, _LOTS, _HOLDS, _DEBTS, _GIFTS, _TOP_UPS, _ACCOUNTS, _STREAMS)
_TABLES = (
    "transfers", "entries", "allocations", "lots", "holds", "debts", "gifts", "top_ups", "accounts", "stream_heads",
    "events",
)  # fmt: skip

# What the transfers of a range have touched.
_LOTS_TOUCHED = """
    SELECT lot_id AS id FROM allocations WHERE transfer_id > $1 AND transfer_id <= $2
    UNION SELECT id FROM lots WHERE source_id > $1 AND source_id <= $2 ORDER BY id
"""
_ACCOUNTS_TOUCHED = """
    SELECT DISTINCT account_id AS id FROM entries WHERE transfer_id > $1 AND transfer_id <= $2 ORDER BY id
"""
# Holds, debts, gifts and top-ups have the id of a transfer: one of these, or one that these refer to or reverse.
_BESIDE_TOUCHED = """
    SELECT x.id FROM transfers t CROSS JOIN LATERAL (VALUES (t.id), (t.refers_id), (t.reverses_id)) AS x (id)
     CROSS JOIN LATERAL (SELECT FROM {table} y WHERE y.id = x.id OFFSET 0) b
     WHERE t.id > $1 AND t.id <= $2 GROUP BY x.id ORDER BY x.id
"""
_TOUCHED = (
    (_LOTS, _LOTS_TOUCHED),
    *((section, _BESIDE_TOUCHED.format(table=section.table)) for section in (_HOLDS, _DEBTS, _GIFTS, _TOP_UPS)),
    (_ACCOUNTS, _ACCOUNTS_TOUCHED),
)

# Ids are made in the order of time, so that few that are not meant come after the lowest that is.
_LOWEST_AFTER = """
    WITH later AS MATERIALIZED (
      SELECT t.id FROM engage.ledger_block_end($1) e, transfers t WHERE (t.tx, t.id) > (e.tx, e.id)
    ) SELECT id FROM later ORDER BY id LIMIT 1
"""


async def verify_ledger(
    progress: Progress | None = None,
    *,
    since: int | datetime | None = None,
    head: Head | None = None,
    history_only: bool = False,
) -> VerifyReport:
    """Recompute everything that the ledger caches, compare it with the seal, and name the first row that is wrong.

    `since`, the height of a block or a moment, leaves out the transfers that were sealed before; what later ones
    have touched is looked at whole. `head` is compared with the chain. `history_only` leaves out all that is derived
    from history. `progress` is called after each range with the rows done and their total. Not to be called inside a
    transaction, which would show another snapshot.
    Raises InvalidInput for a block that is not there; Unavailable when no database connection is free.
    """
    async with db.transaction() as tx:
        on = tx.connection
        await on.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await plan_for_ranges(on)
        height = 1 if since is None else await seal.height_since(on, since)
        walk = _Walk(on, progress or (lambda _done, _total: None), await seal.count_sealed(on, height))
        sections = (_TRANSFERS,) if history_only else _SECTIONS
        wrong = await (walk.everything(sections) if since is None else walk.after_block(height - 1))
        unlike_the_seal = await seal.verify_chain(on, height, head, walk.count)
        findings = tuple(found for found in (wrong, unlike_the_seal) if found is not None)
        return VerifyReport(walk.rows, findings, await seal.sealed_on(on))


async def plan_for_ranges(on: Connection) -> None:
    """Have ranges hashed in this transaction, whatever statistics say (`sql/43_verify.sql`), and take their time."""
    await on.execute("SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL work_mem = '64MB'")
    await on.execute("SET LOCAL enable_nestloop = off; SET LOCAL statement_timeout = 0")


class _Walk:
    """One way through the tables, and how far it is."""

    def __init__(self, on: Connection, progress: Progress, total: int) -> None:
        self._on = on
        self._progress = progress
        self._done = 0
        self._total = total
        self.rows: dict[str, int] = {}

    def count(self, rows: int) -> None:
        """Tell that so many rows more are done."""
        self._done += rows
        self._progress(self._done, self._total)

    async def everything(self, sections: tuple[_Section, ...]) -> Finding | None:
        """All of these sections, each from its start."""
        for table in _TABLES:
            self.rows[table] = int(await self._on.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 -- our names
        self._total += sum(self.rows[section.table] for section in sections)
        for section in sections:
            after: Any = section.start
            while (page := await _next_range(self._on, section.table, after)) is not None:
                count, last = page
                if (wrong := await first_wrong(self._on, section.checks, after, last)) is not None:
                    return wrong
                after = last
                self.count(count)
            if (wrong := await first_wrong(self._on, section.beyond, after)) is not None:
                return wrong
        return None

    async def after_block(self, height: int) -> Finding | None:
        """The transfers that come after a block, and what they have touched."""
        await self._on.execute("SET LOCAL enable_seqscan = off")  # else a small part would read the whole
        lowest: UUID | None = await self._on.fetchval(_LOWEST_AFTER, height)
        if lowest is None:
            return None
        after: Any = below(lowest)
        self._total += int(await self._on.fetchval("SELECT count(*) FROM transfers WHERE id > $1", after))
        while (page := await _next_range(self._on, "transfers", after)) is not None:
            count, last = page
            self.rows["transfers"] = self.rows.get("transfers", 0) + count
            if (wrong := await self._range_of_transfers(after, last)) is not None:
                return wrong
            after = last
            self.count(count)
        return None

    async def _range_of_transfers(self, after: UUID, last: UUID) -> Finding | None:
        if (wrong := await first_wrong(self._on, _TRANSFERS.checks, after, last)) is not None:
            return wrong
        for section, touched in _TOUCHED:
            ids = [row["id"] for row in await self._on.fetch(touched, after, last)]
            if (wrong := await first_wrong_of(self._on, section.checks, ids)) is not None:
                return wrong
            self.rows[section.table] = self.rows.get(section.table, 0) + len(ids)
        return None


async def _next_range(on: Connection, table: str, after: object) -> tuple[int, Any] | None:
    """How many rows the range after an id has, and the id that it ends with; None where no row is left."""
    row = await on.fetchrow(
        f"WITH page AS (SELECT id FROM {table} WHERE id > $1 ORDER BY id LIMIT $2)"  # noqa: S608 -- our own names
        " SELECT (SELECT count(*) FROM page) AS count, id AS last FROM page ORDER BY id DESC LIMIT 1",
        after,
        RANGE_ROWS,
    )
    return None if row is None else (row["count"], row["last"])
