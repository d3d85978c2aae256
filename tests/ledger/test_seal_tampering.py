"""History that was changed by hand after it was sealed: what was altered, removed or put in is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from engage.base import clock, db
from engage.base.errors import InvalidInput
from engage.base.settings import Settings
from engage.domains.ledger.findings import Finding
from engage.domains.ledger.seal import Head, find_sealed
from engage.domains.ledger.verify import verify_ledger
from tests.ledger.books import NOON, assert_whole, earn, spend
from tests.ledger.sealed import (
    BLOCK,
    DAY,
    SEALED,
    Books,
    assert_sealed,
    block_of,
    lift_the_guards,
    put_back,
    seal_all,
    unlike_the_seal,
    write_books,
)

NOT_SEALED = {
    ("lots", name) for name in ("state", "remaining", "held", "usable_at", "expires_at", "idle", "fixed_end")
}
"""What time and later commands change."""

OWNER = {"transfers": "id", "entries": "transfer_id", "allocations": "transfer_id", "lots": "source_id"}
"""The column that tells to which transfer a row belongs."""

OTHERWISE = {
    "uuid": "gen_random_uuid()",
    "bigint": "coalesce({column}, 0) + 1000",
    "integer": "coalesce({column}, 0) + 1000",
    "smallint": "{column} + 1",
    "boolean": "NOT {column}",
    "character varying": "CASE WHEN {column} IS NULL THEN '' ELSE NULLIF({column} || 'X', '') END",
    "timestamp with time zone": "{column} + interval '1 microsecond'",
    "bytea": "sha256({column})",
}
"""Another value of a type."""

ROWS = {
    "transfers": "SELECT id FROM transfers WHERE id = $1",
    "entries": "SELECT id FROM entries WHERE transfer_id = $1 AND bucket = 'HOUSE'",
    "allocations": "SELECT id FROM allocations WHERE transfer_id = $1 ORDER BY id LIMIT 1",
    "lots": "SELECT id FROM lots WHERE source_id = $1",
}


class Column(NamedTuple):
    table: str
    name: str
    type: str


@pytest.fixture(scope="module")
async def written(connected: Settings) -> Books:
    assert connected.database_url
    books = await write_books()
    await assert_sealed()
    await lift_the_guards()
    return books


@pytest.fixture
async def books(written: Books) -> AsyncIterator[Books]:
    yield written
    await put_back()


async def columns_of(*tables: str) -> list[Column]:
    rows = await db.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = ANY ($1) ORDER BY table_name, ordinal_position",
        tables,
    )
    return [Column(*row) for row in rows]


async def alter(column: Column, row: object) -> None:
    value = OTHERWISE[column.type].format(column=column.name)
    key = "height" if column.table == "ledger_blocks" else "id"
    await db.execute(f"UPDATE {column.table} SET {column.name} = {value} WHERE {key} = $1", row)  # noqa: S608


async def test_every_column_of_history_is_sealed(books: Books) -> None:
    """One that is added to these tables later is sealed too, or named above as what changes."""
    columns = await columns_of(*SEALED)
    assert len(columns) > 35
    assert set(NOT_SEALED) < {(column.table, column.name) for column in columns}
    for column in columns:
        transfer = books.earned if column.table == "lots" else books.spent
        block = await block_of(transfer)
        await alter(column, await db.fetch_value(ROWS[column.table], transfer))
        found = await unlike_the_seal()
        if (column.table, column.name) in NOT_SEALED:
            assert found is None, f"{column}: {found}"
        elif column == Column("transfers", "id", "uuid"):
            assert found is not None, column
            assert found.table == "transfers"
        else:
            assert found is not None, column
            assert (found.table, found.id) == ("transfers", str(transfer)), f"{column}: {found}"
            assert found.rule == f"hash in block {block}"
            assert found.stored != found.expected
        await put_back()


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'GOODWILL'",
        "cause_type = 'order', cause_id = '78'",
        "cause_id = ''",
        "actor_id = 'till-8'",
        "posted_at = posted_at - interval '1 year'",
    ],
)
async def test_a_lie_that_keeps_all_sums_right_is_found(books: Books, change: str) -> None:
    await db.execute(f"UPDATE transfers SET {change} WHERE id = $1", books.spent)  # noqa: S608
    [found] = (await verify_ledger()).findings
    assert (found.table, found.id) == ("transfers", str(books.spent))


async def test_no_two_rows_have_one_text(books: Books) -> None:
    """What moves from one column to the next is another text, whatever characters it has."""
    hashes = set()
    for one, next_one in (
        ("a", "bc"),
        ("ab", "c"),
        ("a,b", "c"),
        ("a", "b,c"),
        ('"a', "b"),
        ("NULL", ""),
        (None, ""),
    ):
        await db.execute(
            "UPDATE transfers SET cause_type = $2, cause_id = $3 WHERE id = $1", books.spent, one, next_one
        )
        found = await unlike_the_seal()
        assert found is not None
        hashes.add(found.stored)
    assert len(hashes) == 7


async def test_a_transfer_that_was_removed_is_named(books: Books) -> None:
    block = await block_of(books.spent)
    for table, owner in OWNER.items():
        await db.execute(f"DELETE FROM {table} WHERE {owner} = $1", books.spent)  # noqa: S608
    found = await unlike_the_seal()
    assert found is not None
    assert (found.table, found.id, found.rule, found.stored) == (
        "transfers", str(books.spent), f"hash in block {block}", None,
    )  # fmt: skip
    assert str(found).endswith(f"is nothing, should be {found.expected}.")


async def test_a_transfer_that_was_put_in_is_named(books: Books) -> None:
    """A whole one, between two that are sealed, of a transaction that was there."""
    new = await db.fetch_value(
        "INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, actor_id, posted_at,"
        " balance_after, version_after, tx) SELECT gen_random_uuid(), member_id, currency_id, account_id, kind, 1,"
        " reason, actor_id, posted_at, balance_after, 99, tx FROM transfers WHERE id = $1 RETURNING id",
        books.spent,
    )
    found = await unlike_the_seal()
    assert found is not None
    assert (found.table, found.id, found.expected) == ("transfers", str(new), None)


async def test_rows_that_changed_places_are_found(books: Books) -> None:
    """Entries of one amount, and what two spends took, under each other's transfer."""
    for table in ("entries", "allocations"):
        await db.execute(
            f"UPDATE {table} SET transfer_id = CASE transfer_id WHEN $1::uuid THEN $2::uuid ELSE $1 END"  # noqa: S608
            " WHERE transfer_id IN ($1, $2)",
            books.spent,
            books.other,
        )
        found = await unlike_the_seal()
        assert found is not None, table
        assert found.id in (str(books.spent), str(books.other))
        await put_back()


@pytest.mark.parametrize("table", ["entries", "allocations", "lots"])
async def test_a_row_that_was_added_to_a_transfer_is_found(books: Books, table: str) -> None:
    columns = ", ".join(column.name for column in await columns_of(table))
    added = columns.replace("id,", "gen_random_uuid()," if table == "lots" else "99999,", 1)
    transfer = books.earned if table == "lots" else books.spent
    row = await db.fetch_value(ROWS[table], transfer)
    await db.execute(f"INSERT INTO {table} ({columns}) SELECT {added} FROM {table} WHERE id = $1", row)  # noqa: S608
    found = await unlike_the_seal()
    assert found is not None
    assert found.id == str(transfer)


async def test_the_first_that_was_changed_is_named(books: Books) -> None:
    await db.execute("UPDATE transfers SET reason = 'OTHER' WHERE kind = 'SPEND'")
    first = await db.fetch_value("SELECT id FROM transfers WHERE kind = 'SPEND' ORDER BY tx, id LIMIT 1")
    found = await unlike_the_seal()
    assert found is not None
    assert found.id == str(first) == str(books.spent)


async def test_figures_and_the_seal_are_both_told(books: Books) -> None:
    await db.execute("UPDATE entries SET amount = -71 WHERE transfer_id = $1 AND bucket = 'AVAILABLE'", books.spent)
    figures, seal = (await verify_ledger()).findings
    assert (figures.table, figures.rule, figures.stored, figures.expected) == ("entries", "amount", "-71", "-70")
    assert seal.id == str(books.spent)


@pytest.mark.usefixtures("books")
async def test_every_column_of_a_block_is_sealed() -> None:
    for column in await columns_of("ledger_blocks"):
        await alter(column, 2)
        found = await unlike_the_seal()
        assert found is not None, column
        assert (found.table, found.id) == ("ledger_blocks", "2"), f"{column}: {found}"
        await put_back()


@pytest.mark.usefixtures("books")
async def test_a_block_that_was_removed_is_missed() -> None:
    await db.execute("DELETE FROM ledger_blocks WHERE height = 2")
    assert await unlike_the_seal() == Finding("ledger_blocks", "2", "height", None, "2")
    await put_back()
    head = (await find_sealed()).head
    assert head is not None
    await db.execute("DELETE FROM ledger_blocks WHERE height = $1", head.height)
    report = await verify_ledger()
    assert report.ok
    assert report.sealed.unsealed
    found = await unlike_the_seal(await verify_ledger(head=head))
    assert found == Finding("ledger_blocks", str(head.height), "digest", None, head.digest.hex())


async def test_a_chain_that_was_made_anew_is_found_by_a_head_that_was_kept(books: Books) -> None:
    kept = (await find_sealed()).head
    assert kept is not None
    assert (await verify_ledger(head=kept)).ok
    await db.execute("UPDATE transfers SET reason = 'GOODWILL' WHERE id = $1", books.spent)
    await db.execute("DELETE FROM ledger_blocks")
    await seal_all(BLOCK)
    await assert_sealed()
    assert (await find_sealed()).head != kept
    stored = await db.fetch_value("SELECT encode(digest, 'hex') FROM ledger_blocks WHERE height = $1", kept.height)
    for since in (None, 2):
        found = await unlike_the_seal(await verify_ledger(since=since, head=kept))
        assert found == Finding("ledger_blocks", str(kept.height), "digest", stored, kept.digest.hex())


async def test_what_was_sealed_before_is_left_out(books: Books) -> None:
    block = await block_of(books.spent)
    await db.execute("UPDATE transfers SET reason = 'OTHER' WHERE id = $1", books.earned)
    for since in (1, NOON - DAY, NOON):
        assert not (await verify_ledger(since=since)).ok, since
    for since in (block, NOON + DAY, NOON + 10 * DAY):
        report = await verify_ledger(since=since)
        assert report.ok, report.findings
    await db.execute("UPDATE transfers SET reason = 'OTHER' WHERE id = $1", books.spent)
    for since in (block, NOON + DAY):
        found = await unlike_the_seal(await verify_ledger(since=since))
        assert found is not None
        assert found.id == str(books.spent)
    assert (await verify_ledger(since=block + 1)).ok


@pytest.mark.parametrize(
    ("change", "table", "rule"),
    [
        ("UPDATE lots SET remaining = remaining + 1 WHERE source_id = $1", "lots", "remaining"),
        (
            "UPDATE accounts SET held = 1 WHERE id = (SELECT account_id FROM lots WHERE source_id = $1)",
            "accounts",
            "held",
        ),
    ],
)
async def test_what_was_touched_since_is_looked_at_whole(books: Books, change: str, table: str, rule: str) -> None:
    """The lot is of the first block, and the last spend takes of it."""
    await db.execute(change, books.earned)
    found = (await verify_ledger(since=NOON + 3 * DAY)).first_wrong
    assert found is not None
    assert (found.table, found.rule) == (table, rule)
    assert (await verify_ledger(since=NOON + 5 * DAY)).ok


async def test_what_is_not_sealed_yet_is_looked_at(books: Books) -> None:
    with clock.frozen(NOON + 6 * DAY):
        posted = await spend(books.one, books.program, 1)
    report = await verify_ledger(since=NOON + 5 * DAY)
    assert report.ok
    assert report.rows["transfers"] == 1
    await db.execute("UPDATE transfers SET amount = 2 WHERE id = $1", posted.transfer_id)
    found = (await verify_ledger(since=NOON + 5 * DAY)).first_wrong
    assert found is not None
    assert (found.table, found.id) == ("transfers", str(posted.transfer_id))


@pytest.mark.usefixtures("books")
async def test_a_block_that_is_not_there_is_refused() -> None:
    for since in (0, 99):
        with pytest.raises(InvalidInput, match="The chain has 4 blocks"):
            await verify_ledger(since=since)


@pytest.mark.parametrize(
    "text", ["", "7", "7:abc", f"0:{'a' * 64}", f"-1:{'a' * 64}", f"7:{'g' * 64}", f"x:{'a' * 64}"]
)
def test_a_head_that_nobody_printed_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="HEIGHT:DIGEST"):
        Head.read(text)


async def test_later_commands_leave_the_seal_whole(books: Books) -> None:
    """They change what remains of sealed lots, and their state."""
    with clock.frozen(NOON + 7 * DAY):
        await spend(books.one, books.program, 5)
        await earn(books.two, books.program, 1, expires_at=NOON + 8 * DAY)
    with clock.frozen(NOON + 9 * DAY):
        await spend(books.two, books.program, 1)
        await assert_whole()
        assert await seal_all(2) == [2, 2]
    await assert_sealed()
