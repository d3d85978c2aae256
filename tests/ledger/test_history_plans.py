"""No reading of the history of one member reads a whole table, and none costs more for what lies behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.readings import Fetch, Reading, fetch_together
from engage.domains.ledger import queries, service
from engage.domains.ledger.queries import GiftDirection
from engage.domains.ledger.types import AdjustmentState, CurrencyKind, HoldState, TransferKind
from tests.ledger.books import NOON, STAFF, earn, new_key, new_member, new_program
from tests.ledger.test_history_statements import details, lines, shares
from tests.ledger.test_plans import whole_tables_read
from tests.ledger.whole_books import DAY, HOUR, Story, write_books

LAST = queries.id_below(None)
SMALL = {"programs", "currencies", "points_policies", "exchange_rates"}
"""Tables of the organisation, not of members."""

ROWS = 100
"""Far less than the thousands of rows that a member with a long history has, and than one list of them."""


@pytest.fixture
async def story(program: str) -> Story:
    assert program
    return await write_books()


async def read(reading: Reading[Any], of: UUID, *args: object) -> dict[str, Any]:
    [found] = await fetch_together([Fetch(reading, (of,), args)])
    return found


async def read_everything(story: Story) -> None:
    member, program, points = story.member, story.program, CurrencyKind.POINTS
    readings: list[tuple[Reading[Any], tuple[object, ...]]] = [
        (queries.BALANCES_AT, (program, NOON + DAY)),
        (queries.BALANCES_AT, (program, NOON + HOUR)),
        (queries.STORED_VALUES, (program, NOON + DAY, clock.now())),
        (queries.STORED_VALUES, (program, None, clock.now())),
    ]
    for reading, args in readings:
        assert await read(reading, member, *args)
    everything = await lines(member, program)
    assert await lines(member, program, kinds=(TransferKind.EARN, TransferKind.SPEND))
    assert await lines(member, program, begin=NOON + HOUR, end=NOON + 2 * HOUR)
    for line in everything:
        assert (await details(line.id)).entries
        await shares(line.id)
        await queries.get_transfer(STAFF, line.id)
    page = await queries.list_lots(STAFF, member, program, points, 100, LAST)
    for lot in page.rows:
        readings = [
            (queries.LOT_HISTORIES, (9, -1)),
            (queries.LOT_ORIGINS, ()),
            (queries.LOT_SUCCESSORS, (9, UUID(int=0))),
        ]
        for reading, args in readings:
            assert await read(reading, lot.id, *args)
        await queries.get_lot(STAFF, lot.id)
    for state in (None, HoldState.OPEN, HoldState.EXPIRED):
        await queries.list_holds(STAFF, member, state, 9, LAST)
    for direction in GiftDirection:
        await queries.list_gifts(STAFF, member, direction, None, 9, LAST)
    await queries.list_adjustments(STAFF, AdjustmentState.WAITING, 9, queries.adjustments_below(None))
    await queries.list_top_ups(STAFF, member, 9, LAST)
    await queries.list_exchange_rates(program, story.other_program, None, 9, 9)
    await queries.list_exchange_rates(program, story.other_program, NOON + DAY, 9, 9)


async def test_each_way_to_the_history_has_its_index(story: Story) -> None:
    async with db.transaction():
        await db.execute("DISCARD PLANS")
        await db.execute("SET LOCAL enable_seqscan = off")
        before = await whole_tables_read()  # what was done before may not be counted off yet
        with clock.frozen(NOON + 4 * DAY):
            await read_everything(story)
        whole = {table for table, count in (await whole_tables_read()).items() if count > before.get(table, 0)}
    assert whole <= SMALL


async def rows_read(sql: str, *values: object) -> int:
    """How many rows of any table a statement has looked at, as its functions say."""
    async with db.transaction():
        before = await db.fetch_value(_LOOKED_AT)
        await db.fetch(sql, *values)
        after = await db.fetch_value(_LOOKED_AT)
    return int(after - before)


_LOOKED_AT = """
SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables
"""


@pytest.fixture(scope="module")
async def long_history(connected: object) -> tuple[UUID, str]:
    """A member with some thousand transfers, one of them a donation at the very beginning."""
    assert connected
    member, program = await new_member(), await new_program()
    with clock.frozen(NOON):
        await earn(member, program, 5000)
        await service.donate_points(
            STAFF, member_id=member, program=program, amount=1, good_cause="trees", idempotency_key=new_key()
        )
    for hour in range(1, 1200):
        with clock.frozen(NOON + hour * HOUR):
            await service.spend_points(SYSTEM, member_id=member, program=program, amount=1, idempotency_key=new_key())
    await db.execute("ANALYZE transfers, entries, allocations, lots, accounts")
    return member, program


STATEMENT = "SELECT * FROM engage.ledger_statements($1, $2, 'POINTS', 5, $3, $4, $5, $6)"
BEFORE = NOON + 3 * HOUR


async def test_a_statement_costs_the_same_however_deep_it_lies(long_history: tuple[UUID, str]) -> None:
    member, program = long_history
    top = 2**62
    for args in (
        (top, None, None, None),
        (10, None, None, None),  # the last page
        (top, ["DONATE"], None, None),  # one of a kind, at the far end
        (top, ["DONATE", "EARN", "EXPIRE"], None, None),
        (top, None, None, BEFORE),
        (top, ["SPEND"], NOON + timedelta(minutes=1), BEFORE),
    ):
        assert await rows_read(STATEMENT, [member], program, *args) < ROWS, args


async def test_a_balance_of_long_ago_costs_no_more_than_one_of_yesterday(long_history: tuple[UUID, str]) -> None:
    member, program = long_history
    for at in (BEFORE, NOON + 600 * HOUR, NOON + 1198 * HOUR):
        sql = "SELECT * FROM engage.ledger_balances_at($1, $2, $3)"
        assert await rows_read(sql, [member], program, at) < ROWS, at
