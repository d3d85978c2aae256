"""Sealing: every transfer once, in one chain, whoever commits late, seals at the same time or is killed meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from engage.base import clock, db
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.domains.ledger.seal import Head, find_sealed, number_on, seal_next
from engage.domains.ledger.verify import verify_ledger
from tests.ledger.books import NOON, assert_whole, earn, new_member, spend
from tests.ledger.sealed import assert_sealed, block_of, seal_all

POST = """
    SELECT engage.ledger_earn(ROW(gen_random_uuid(), '\\x00', now(), 'test', now(), '{}'),
                              ROW($1::uuid, 'TEST', NULL, NULL), $2, $3, 1, NULL, NULL, false)
"""
BASE = "SELECT public.ledger_tx_base()"


@pytest.fixture
async def session(connected: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A session beside those of the process."""
    connection = await asyncpg.connect(connected.database_url, server_settings={"search_path": "public"})
    yield connection
    await connection.close()


@asynccontextmanager
async def held_open(session: asyncpg.Connection, member: UUID, program: str) -> AsyncIterator[UUID]:
    """A transfer that is posted, and commits at the end of the block."""
    transfer = new_id()
    async with session.transaction():
        await session.fetchval(POST, transfer, member, program)
        yield transfer


async def test_what_is_due_is_sealed_in_blocks_of_a_bounded_size(member: UUID, program: str) -> None:
    await seal_all(1000)
    before = await find_sealed()
    for _ in range(7):
        await earn(member, program, 1)
    with clock.frozen(NOON):
        assert await seal_all(3) == [3, 3, 1]
        assert await seal_all(3) == []
    after = await find_sealed()
    assert after.head is not None
    assert after.head.height == (before.head.height if before.head else 0) + 3
    assert (after.sealed_at, after.unsealed) == (NOON, 0)
    assert Head.read(f" {after.head}\n") == after.head
    await assert_sealed()


async def test_nothing_new_makes_no_block(member: UUID, program: str) -> None:
    await earn(member, program, 1)
    await seal_all()
    before = await find_sealed()
    assert await seal_next() == 0
    assert await find_sealed() == before


async def test_a_transaction_that_commits_late_is_sealed_later_and_once(
    session: asyncpg.Connection, program: str
) -> None:
    """It took its number before the others that have committed meanwhile: they wait for it."""
    early, late, other = await new_member(), await new_member(), await new_member()
    first = await earn(early, program, 1)
    async with held_open(session, late, program) as held:
        second = await earn(other, program, 1)
        await seal_all()
        assert (await find_sealed()).unsealed == 1
        assert await block_of(first.transfer_id)
        assert await block_of(second.transfer_id) is None
        await assert_whole()
    await assert_whole()
    assert await seal_all(1) == [1, 1]
    assert await block_of(held) == await block_of(second.transfer_id) - 1
    await assert_sealed()


async def test_a_transaction_that_is_undone_holds_nothing_up_for_ever(
    session: asyncpg.Connection, member: UUID, program: str
) -> None:
    await earn(member, program, 1)
    await session.execute("BEGIN")
    await session.fetchval(POST, new_id(), await new_member(), program)
    after = await earn(member, program, 1)
    await seal_all()
    assert await block_of(after.transfer_id) is None
    await session.execute("ROLLBACK")
    assert await seal_all() == [1]
    await assert_sealed()


async def test_many_that_seal_at_once_make_one_chain(program: str) -> None:
    for _ in range(20):
        await earn(await new_member(), program, 1)
    sealed = await asyncio.gather(*(seal_all(2) for _ in range(8)))
    assert sum(itertools.chain(*sealed)) >= 20
    await assert_sealed()


async def test_a_sealer_that_is_killed_leaves_nothing_half_done(
    session: asyncpg.Connection, member: UUID, program: str
) -> None:
    await seal_all()
    before = await find_sealed()
    await earn(member, program, 1)
    await session.execute("BEGIN")
    assert await session.fetchval("SELECT count FROM engage.ledger_seal(10, now())") == 1
    waiting = asyncio.create_task(seal_next())
    await db.execute("SELECT pg_terminate_backend($1)", session.get_server_pid())
    assert await waiting == 1
    after = await find_sealed()
    assert after.head is not None
    assert after.head.height == (before.head.height if before.head else 0) + 1
    await assert_sealed()


async def test_a_block_cannot_be_changed(member: UUID, program: str) -> None:
    await earn(member, program, 1)
    await seal_all()
    for change in (
        "UPDATE ledger_blocks SET sealed_at = now()",
        "DELETE FROM ledger_blocks",
        "TRUNCATE ledger_blocks",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="never changed"):
            await db.execute(change)


async def test_rows_of_an_older_release_are_sealed_first(member: UUID, program: str) -> None:
    """A migration gives them no number: they come in the order of their ids."""
    for _ in range(5):
        await earn(member, program, 1)
    await db.execute("ALTER TABLE ledger_blocks DISABLE TRIGGER USER; ALTER TABLE transfers DISABLE TRIGGER USER")
    await db.execute("DELETE FROM ledger_blocks; UPDATE transfers SET tx = 0")
    await db.execute("ALTER TABLE ledger_blocks ENABLE TRIGGER USER; ALTER TABLE transfers ENABLE TRIGGER USER")
    new = await earn(member, program, 1)
    counts = await seal_all(2)
    assert set(counts[:-1]) == {2}
    assert await block_of(new.transfer_id) == len(counts)
    await assert_sealed()


async def test_no_setting_of_a_session_changes_a_hash(
    session: asyncpg.Connection, member: UUID, program: str
) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 1)
    await seal_all()
    await session.execute(
        "SET timezone = 'Asia/Kathmandu'; SET datestyle = 'German, DMY'; SET intervalstyle = 'iso_8601';"
        "SET bytea_output = 'escape'; SET extra_float_digits = -5; SET client_encoding = 'LATIN1'"
    )
    assert await session.fetch("SELECT f.* FROM ledger_blocks b, engage.ledger_verify_block(b.height) f") == []
    assert await session.fetch("SELECT * FROM engage.ledger_verify_links()") == []


async def set_base(base: int) -> None:
    body = f"'SELECT {base}::bigint'"
    await db.execute(
        f"CREATE OR REPLACE FUNCTION public.ledger_tx_base() RETURNS bigint LANGUAGE sql STABLE AS {body}"
    )


@asynccontextmanager
async def on_a_server_that_has_counted_further() -> AsyncIterator[None]:
    """What is posted inside has numbers that the server of these tests will not come to: it is another one then."""
    base = await db.fetch_value(BASE)
    await set_base(base + 10**9)
    try:
        yield
    finally:
        await set_base(base)


@pytest.mark.parametrize("sealed_before", [True, False])
async def test_a_database_that_was_restored_numbers_on(member: UUID, program: str, *, sealed_before: bool) -> None:
    """From a dump, on a server that counts from lower figures; what had not been sealed yet is sealed there."""
    async with on_a_server_that_has_counted_further():
        old = await earn(member, program, 10)
        if sealed_before:
            await seal_all()
    await asyncio.gather(*(number_on() for _ in range(4)))
    base = await db.fetch_value(BASE)
    await number_on()
    assert await db.fetch_value(BASE) == base
    new = [await spend(member, program, 1) for _ in range(2)]
    numbers = {row["id"]: row["tx"] for row in await db.fetch("SELECT id, tx FROM transfers")}
    assert numbers[old.transfer_id] < numbers[new[0].transfer_id] < numbers[new[1].transfer_id]
    await assert_whole()
    await seal_all()
    await assert_sealed()


async def test_sealing_notices_a_restore_as_well(member: UUID, program: str) -> None:
    async with on_a_server_that_has_counted_further():
        await earn(member, program, 1)
    assert await seal_next(1000)
    await earn(member, program, 1)
    assert await seal_all() == [1]
    await assert_sealed()


async def test_a_database_that_is_not_of_this_version_has_nothing_to_number(session: asyncpg.Connection) -> None:
    await session.execute("ALTER SCHEMA engage RENAME TO away")
    try:
        await number_on()
    finally:
        await session.execute("ALTER SCHEMA away RENAME TO engage")


async def test_sealing_and_verifying_beside_live_load(program: str) -> None:
    dice = random.Random(11)  # noqa: S311 -- a load, not a secret
    members = [await new_member() for _ in range(6)]
    for one in members:
        await earn(one, program, 100_000)
    done = asyncio.Event()

    async def work() -> None:
        while not done.is_set():
            await (earn if dice.random() < 0.5 else spend)(dice.choice(members), program, dice.randint(1, 9))

    async def keep_sealing() -> int:
        sealed = 0
        while not done.is_set():
            sealed += await seal_next(7)
        return sealed

    load = [asyncio.create_task(work()) for _ in range(6)]
    sealing = [asyncio.create_task(keep_sealing()) for _ in range(2)]
    try:
        for since in (None, NOON, None, NOON):
            report = await verify_ledger(since=since)
            assert report.ok, report.findings
    finally:
        done.set()
        await asyncio.gather(*load)
    assert sum(await asyncio.gather(*sealing)) > 0
    await seal_all(1000)
    await assert_sealed()


async def test_progress_counts_blocks_too(member: UUID, program: str) -> None:
    await earn(member, program, 1)
    await seal_all()
    seen: list[tuple[int, int]] = []
    report = await verify_ledger(lambda done, total: seen.append((done, total)))
    assert report.ok
    total = sum(report.rows[table] for table in ("transfers", "transfers", "lots", "accounts", "stream_heads"))
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
    seen.clear()
    assert (await verify_ledger(lambda done, total: seen.append((done, total)), since=1)).ok
    assert seen[-1][0] == seen[-1][1]
