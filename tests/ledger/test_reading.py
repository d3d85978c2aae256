"""Statements, expiry schedules and totals, and that history cannot be changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.errors import InvalidInput
from engage.base.paging import Window, encode_cursor
from engage.domains.ledger.queries import get_program_points
from engage.domains.ledger.queries.records import ProgramPoints
from engage.domains.ledger.types import Balance, ExpiryLine, ExpirySchedule, TransferRecord
from tests.ledger.books import (
    NOON,
    amounts,
    balance,
    earn,
    events,
    new_member,
    new_program,
    schedule,
    spend,
    statement_page,
)


async def test_statement_pages_go_on_where_the_last_one_ended(member: UUID, program: str) -> None:
    for amount in range(1, 8):
        await earn(member, program, amount)
    seen: list[TransferRecord] = []
    after = None
    for expected in ([7, 6, 5], [4, 3, 2], [1]):
        page = await statement_page(member, program, Window(3, cursor=after))
        assert amounts(page.rows) == expected
        assert page.has_next is (expected != [1])
        seen += page.rows
        after = page.cursor(page.rows[-1])
        await earn(member, program, 100)  # what comes meanwhile is on no later page
    assert [row.version for row in seen] == [7, 6, 5, 4, 3, 2, 1]
    assert [row.balance_after for row in seen] == [28, 21, 15, 10, 6, 3, 1]


async def test_a_full_last_page_says_that_nothing_follows(member: UUID, program: str) -> None:
    for amount in (1, 2, 3):
        await earn(member, program, amount)
    for backward in (False, True):
        whole, part = [await statement_page(member, program, Window(size, backward)) for size in (3, 2)]
        assert (whole.has_next, whole.has_previous) == (False, False)
        assert (part.has_next, part.has_previous) == (not backward, backward)


@pytest.mark.parametrize("cursor", ["", "x", encode_cursor("1"), encode_cursor(1, 2), "A" * 600])
async def test_cursors_of_others_are_refused(member: UUID, program: str, cursor: str) -> None:
    for backward, path in ((False, "after"), (True, "before")):
        with pytest.raises(InvalidInput) as refused:
            await statement_page(member, program, Window(3, backward, cursor))
        assert refused.value.path == [path]


async def test_the_schedule_lists_days_in_the_zone_of_the_program(member: UUID) -> None:
    program = await new_program(zone="Asia/Shanghai")
    with clock.frozen(datetime(2026, 3, 1, tzinfo=UTC)):
        for hour, amount in ((15, 1), (16, 2), (20, 4)):  # 23:00 on the 9th, 00:00 and 04:00 on the 10th
            await earn(member, program, amount, expires_at=datetime(2026, 3, 9, hour, tzinfo=UTC))
        await earn(member, program, 8, expires_at=datetime(2026, 5, 1, tzinfo=UTC))
        await earn(member, program, 16)
        await earn(member, program, 32, usable_at=datetime(2026, 4, 1, tzinfo=UTC))
        whole = await schedule(member, program)
        short = await schedule(member, program, 1)
    lines = (
        ExpiryLine(date(2026, 3, 9), 1),
        ExpiryLine(date(2026, 3, 10), 6),
        ExpiryLine(date(2026, 5, 1), 8),
    )
    assert whole == ExpirySchedule(lines, later=0, never=16)
    assert short == ExpirySchedule(lines[:1], later=14, never=16)
    assert whole.total == short.total == 31


async def test_the_schedule_adds_up_at_every_moment(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        for nth in range(12):
            await earn(
                member,
                program,
                nth + 1,
                usable_at=NOON + timedelta(hours=nth * 7 % 30),
                expires_at=NOON + timedelta(hours=40 + nth * 11 % 50),
            )
    for hours in range(0, 100, 3):
        with clock.frozen(NOON + timedelta(hours=hours)):
            assert (await schedule(member, program, 2)).total == (await balance(member, program)).available
            if hours == 51:
                await spend(member, program, 9)
    assert (await balance(member, program)) == Balance()


async def test_totals_of_a_program(program: str) -> None:
    assert await get_program_points(SYSTEM, program) == ProgramPoints(0, 0, 0, 0, 0, 0)
    one, two = await new_member(), await new_member()
    with clock.frozen(NOON):
        await earn(one, program, 100)
        await earn(two, program, 50, expires_at=NOON + timedelta(days=1))
        await earn(two, program, 7, usable_at=NOON + timedelta(days=9))
        await spend(one, program, 30)
        totals = await get_program_points(SYSTEM, program)
        assert totals == ProgramPoints(members=2, issued=157, spent=30, expired=0, reversed=0, outstanding=127)
    expired = ProgramPoints(members=2, issued=157, spent=30, expired=50, reversed=0, outstanding=77)
    with clock.frozen(NOON + timedelta(days=2)):
        assert await get_program_points(SYSTEM, program) == expired  # before any sweep
        await earn(two, await new_program(), 1000)
        await earn(two, program, 1)
        totals = await get_program_points(SYSTEM, program)
        assert (totals.issued, totals.expired, totals.outstanding) == (158, 50, 78)


@pytest.mark.parametrize("table", ["transfers", "entries", "allocations"])
@pytest.mark.parametrize(
    "statement_of", ["UPDATE {} SET amount = amount + 1", "DELETE FROM {}", "UPDATE {} SET amount = 1 WHERE false"]
)
async def test_history_cannot_be_changed(member: UUID, program: str, table: str, statement_of: str) -> None:
    await earn(member, program, 2)
    await spend(member, program, 1)
    rows = await db.fetch_value(f"SELECT string_agg(t::text, '|' ORDER BY id) FROM {table} t")  # noqa: S608
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"rows of {table} are never changed or removed"):
        await db.execute(statement_of.format(table))
    assert await db.fetch_value(f"SELECT string_agg(t::text, '|' ORDER BY id) FROM {table} t") == rows  # noqa: S608


async def test_events_cannot_be_changed(member: UUID, program: str) -> None:
    await earn(member, program, 2)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="rows of events are never changed or removed"):
        await db.execute("UPDATE events SET position = position + 1")
    assert [position for position, *_ in await events(member)] == [1]


async def test_history_cannot_be_emptied(member: UUID, program: str) -> None:
    await earn(member, program, 2)
    for table in ("allocations", "entries", "transfers"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.execute(f"TRUNCATE {table} CASCADE")
    assert (await balance(member, program)).available == 2
