"""Books whose history is sealed in small blocks, and ways to do to them what the database would refuse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from engage.base import clock, db
from engage.domains.ledger.findings import Finding
from engage.domains.ledger.seal import find_sealed, seal_next
from engage.domains.ledger.types import Cause
from engage.domains.ledger.verify import VerifyReport, verify_ledger
from tests.ledger.books import NOON, assert_whole, earn, new_member, new_program, spend
from tests.outbox.working import until

DAY = timedelta(days=1)
SEALED = ("transfers", "entries", "allocations", "lots")
SAVED = ("accounts", *SEALED, "stream_heads", "events", "ledger_blocks")
BLOCK = 4

OTHERS = """
    SELECT EXISTS (SELECT FROM pg_stat_activity
      WHERE (datname <> current_database() OR backend_type <> 'client backend')
        AND age(backend_xid) > age($1::text::xid))
"""

_GUARDS = """
    SELECT conrelid::regclass::text AS table, conname AS name FROM pg_constraint
     WHERE contype IN ('c', 'f') AND conrelid = ANY (ARRAY['transfers', 'entries', 'allocations', 'lots']::regclass[])
"""


@dataclass(frozen=True)
class Books:
    """Two members of a program, and the transfers between which things are changed."""

    program: str
    one: UUID
    two: UUID
    spent: UUID
    """Takes from two lots, in the middle of the sealed history."""

    other: UUID
    """Another spend of the same amount, by the other member."""

    earned: UUID


async def write_books() -> Books:
    """Earn, mature, spend and expire over some days, and seal it day by day."""
    program, one, two = await new_program(), await new_member(), await new_member()
    with clock.frozen(NOON):
        earned = await earn(one, program, 100, cause=Cause("order", "77"))
        await earn(two, program, 80, usable_at=NOON + DAY)
        await seal_all()
    with clock.frozen(NOON + 2 * DAY):
        await earn(one, program, 50, expires_at=NOON + 3 * DAY)
        spent = await spend(one, program, 70)
        other = await spend(two, program, 70)
        await earn(two, program, 5)
        await seal_all()
    with clock.frozen(NOON + 4 * DAY):
        await spend(one, program, 10)
        await spend(two, program, 10)
        await seal_all()
    return Books(program, one, two, spent.transfer_id, other.transfer_id, earned.transfer_id)


async def lift_the_guards() -> None:
    """Take away the triggers, checks and keys that would refuse tampering, and keep the rows as they are now."""
    for row in await db.fetch(_GUARDS):
        await db.execute(f"ALTER TABLE {row['table']} DROP CONSTRAINT {row['name']}")
    for table in SAVED:
        await db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await db.execute(f"CREATE TABLE saved_{table} AS TABLE {table}")


async def put_back() -> None:
    """All rows as `lift_the_guards` found them."""
    await db.execute(f"TRUNCATE {', '.join(SAVED)} CASCADE")
    for table in SAVED:
        await db.execute(f"INSERT INTO {table} SELECT * FROM saved_{table}")  # noqa: S608


async def nobody_else() -> None:
    """Wait for transactions of other databases and of housekeeping on this server: the seal waits for them too."""
    now = await db.fetch_value("SELECT pg_current_xact_id()::xid::text")

    async def none_is_older() -> bool:
        return not await db.fetch_value(OTHERS, now)

    await until(none_is_older, "the end of transactions beside this test")


async def seal_all(limit: int = BLOCK) -> list[int]:
    """Seal until nothing is due; how many transfers each block has."""
    await nobody_else()
    counts = []
    while count := await seal_next(limit):
        counts.append(count)
    return counts


async def block_of(transfer: UUID) -> int:
    """The block whose range a transfer is in."""
    height: int = await db.fetch_value(
        "SELECT min(b.height) FROM ledger_blocks b, transfers t"
        " WHERE t.id = $1 AND (t.tx, t.id) <= (b.last_tx, b.last_id)",
        transfer,
    )
    return height


async def unlike_the_seal(report: VerifyReport | None = None) -> Finding | None:
    """What is not as it was sealed."""
    found = [
        finding
        for finding in (report or await verify_ledger()).findings
        if finding.table == "ledger_blocks" or finding.rule.startswith("hash in block")
    ]
    return found[0] if found else None


async def assert_sealed() -> None:
    """All is sealed, each transfer once, and verifies."""
    await assert_whole()
    assert (await find_sealed()).unsealed == 0
    sealed = await db.fetch_value("SELECT coalesce(sum(count), 0)::bigint FROM ledger_blocks")
    assert sealed == await db.fetch_value("SELECT count(*) FROM transfers")
    heights = [row["height"] for row in await db.fetch("SELECT height FROM ledger_blocks ORDER BY height")]
    assert heights == list(range(1, len(heights) + 1))
