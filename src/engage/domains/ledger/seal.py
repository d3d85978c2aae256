"""The seal of history: blocks of transfers, each bound to the one before by its hash (`sql/47_seal.sql`).

What was sealed cannot be altered, removed or added to without breaking the chain, and whoever keeps its head outside
of the database finds out that it was made anew. See docs/sealing.md and docs/adr/0019.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog
from asyncpg.connection import Connection

from engage.base import clock, db
from engage.base.errors import InvalidInput
from engage.domains.ledger.findings import Finding, first_wrong

BLOCK_ROWS = 10_000
"""Transfers in a block at the most: sealed or verified at once within a second, in a few megabytes."""

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-fA-F]{64})")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """A block that is named by its height, and its digest: enough to recognise all history up to it."""

    height: int
    digest: bytes

    def __str__(self) -> str:
        """As `engage ledger seal` prints it, and `engage ledger verify --head` takes it."""
        return f"{self.height}:{self.digest.hex()}"

    @classmethod
    def read(cls, text: str) -> Head:
        """The head of what `engage ledger seal` has printed. Raises InvalidInput for anything else."""
        found = _HEAD.fullmatch(text.strip())
        if found is None:
            raise InvalidInput("A head is HEIGHT:DIGEST as `engage ledger seal` prints it.", path=["head"])
        return cls(int(found[1]), bytes.fromhex(found[2]))


@dataclass(frozen=True, slots=True)
class Sealed:
    """The top of the chain: None where nothing is sealed. `unsealed` counts the transfers after it."""

    head: Head | None
    sealed_at: datetime | None
    unsealed: int


@db.command
async def seal_next(limit: int = BLOCK_ROWS) -> int:
    """Seal the next block, of up to `limit` transfers; answers how many it has, 0 where nothing is due.

    Transactions that are still running, and what was posted after the oldest of them began, wait for a later block.
    """
    row = await db.fetch_row("SELECT * FROM engage.ledger_seal($1, $2)", limit, clock.now())
    if row is None:
        return 0
    told = {"height": row["height"], "transfers": row["count"], "digest": row["digest"].hex()}
    db.after_commit(lambda: logger.info("ledger.sealed", **told))  # where logs are kept elsewhere, so is the head
    return int(row["count"])


async def find_sealed() -> Sealed:
    """The top of the chain."""
    async with db.connection() as on:
        return await sealed_on(on)


async def number_on() -> None:
    """After a restore from a dump, number transactions on from those that are there; else do nothing.

    A process does so before it works: the seal goes by the order of these numbers. A database that is not yet of
    this version, or not this role's to use, has nothing to number.
    """
    absent = (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedFunctionError, asyncpg.InsufficientPrivilegeError)
    with suppress(*absent):
        if await db.fetch_value("SELECT engage.ledger_raise_tx_base()"):
            logger.warning("ledger.restored", numbering="raised")


async def sealed_on(on: Connection) -> Sealed:
    """The top of the chain, as this connection sees it."""
    top = await on.fetchrow("SELECT height, digest, sealed_at FROM ledger_blocks ORDER BY height DESC LIMIT 1")
    unsealed = await on.fetchval(
        "SELECT count(*) FROM engage.ledger_block_end($1) e, transfers t WHERE (t.tx, t.id) > (e.tx, e.id)",
        top and top["height"],
    )
    if top is None:
        return Sealed(None, None, unsealed)
    return Sealed(Head(top["height"], top["digest"]), top["sealed_at"], unsealed)


async def height_since(on: Connection, since: int | datetime) -> int:
    """The first block to look at: of a height itself, of a moment the first that was sealed then or later.

    Where that is after the last block, it is the one that is yet to come. Raises InvalidInput for a height that is
    not there.
    """
    top: int = await on.fetchval("SELECT coalesce(max(height), 0) FROM ledger_blocks")
    if isinstance(since, datetime):
        return await on.fetchval("SELECT min(height) FROM ledger_blocks WHERE sealed_at >= $1", since) or top + 1
    if not 1 <= since <= top:
        raise InvalidInput(f"The chain has {top} blocks: begin with one of them, or on a day.", path=["since"])
    return since


async def count_sealed(on: Connection, height: int) -> int:
    """How many transfers the blocks from a height on have."""
    found: int = await on.fetchval(
        "SELECT coalesce(sum(count), 0)::bigint FROM ledger_blocks WHERE height >= $1", height
    )
    return found


async def verify_chain(
    on: Connection, height: int, head: Head | None, progress: Callable[[int], None]
) -> Finding | None:
    """What is first wrong with the chain: its links, the head that was kept, what blocks from `height` on hold.

    One block at a time, so that memory does not grow with history; `progress` is told the transfers of each.
    """
    wrong = await first_wrong(on, ("ledger_verify_links",)) or await _other_head(on, head)
    if wrong is not None:
        return wrong
    while (count := await on.fetchval("SELECT count FROM ledger_blocks WHERE height = $1", height)) is not None:
        if (wrong := await first_wrong(on, ("ledger_verify_block",), height)) is not None:
            return wrong
        progress(count)
        height += 1
    return None


async def _other_head(on: Connection, head: Head | None) -> Finding | None:
    if head is None:
        return None
    digest: bytes | None = await on.fetchval("SELECT digest FROM ledger_blocks WHERE height = $1", head.height)
    if digest == head.digest:
        return None
    stored = None if digest is None else digest.hex()
    return Finding("ledger_blocks", str(head.height), "digest", stored, head.digest.hex())
