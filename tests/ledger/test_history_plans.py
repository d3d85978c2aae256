"""No reading of the history of one member reads a whole table, and none costs more for what lies behind it."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock, db, listings
from engage.base.actor import SYSTEM
from engage.base.paging import Window, encode_cursor
from engage.base.readings import Reading, read_alone
from engage.domains.ledger import queries, service
from engage.domains.ledger.queries import GiftDirection
from engage.domains.ledger.types import AdjustmentState, CurrencyKind, HoldState, TransferKind
from tests.ledger.books import NOON, STAFF, earn, new_key, new_member, new_program
from tests.ledger.test_history_statements import details, lines
from tests.ledger.test_plans import whole_tables_read
from tests.ledger.whole_books import DAY, HOUR, Story, write_books
from tests.walking import Ask

SMALL = {"programs", "currencies", "points_policies", "exchange_rates"}
"""Tables of the organisation, not of members."""

ROWS = 100
"""Far less than the thousands of rows that a member with a long history has, and than one list of them."""


@pytest.fixture
async def story(program: str) -> Story:
    assert program
    return await write_books()


async def read_everything(story: Story) -> None:
    member, program, points = story.member, story.program, CurrencyKind.POINTS
    readings: list[tuple[Reading[Any], tuple[object, ...]]] = [
        (queries.BALANCES_AT, (program, NOON + DAY)),
        (queries.BALANCES_AT, (program, NOON + HOUR)),
        (queries.STORED_VALUES, (program, NOON + DAY, clock.now())),
        (queries.STORED_VALUES, (program, None, clock.now())),
    ]
    for reading, args in readings:
        assert await read_alone(reading, member, *args)
    everything = await lines(member, program)
    assert await lines(member, program, kinds=(TransferKind.EARN, TransferKind.SPEND))
    assert await lines(member, program, begin=NOON + HOUR, end=NOON + 2 * HOUR)
    for line in everything:
        assert (await details(line.id)).entries
        await queries.get_transfer(STAFF, line.id)
    lots = (await queries.list_lots(STAFF, member, program, points, Window(100))).rows
    for lot in lots:
        await read_alone(queries.LOT_ORIGINS, lot.id)
        await queries.get_lot(STAFF, lot.id)
    for backward in (False, True):
        for ask in lists(story, [line.id for line in everything], [lot.id for lot in lots]):
            page = await ask(Window(9, backward))
            await page.count()
            if page.rows:
                await ask(Window(9, backward, page.cursor(page.rows[-1])))


def lists(story: Story, transfers: list[UUID], lots: list[UUID]) -> list[Ask[Any]]:
    """All lists of the ledger."""
    member, program, other = story.member, story.program, story.other_program
    points, waiting = CurrencyKind.POINTS, AdjustmentState.WAITING
    statement = partial(queries.STATEMENTS.page, read_alone, member)
    kinds = (TransferKind.EARN, TransferKind.SPEND)
    return [
        lambda window: statement(window, program, points, None, None, None),
        lambda window: statement(window, program, points, kinds, NOON, NOON + 2 * HOUR),
        *[partial(queries.TRANSFER_LOTS.page, read_alone, one) for one in transfers],
        *[partial(queries.LOT_HISTORIES.page, read_alone, one) for one in lots],
        *[partial(queries.LOT_SUCCESSORS.page, read_alone, one) for one in lots],
        partial(queries.list_lots, STAFF, member, program, points),
        *[partial(queries.list_holds, STAFF, member, state) for state in (None, HoldState.OPEN, HoldState.EXPIRED)],
        *[partial(queries.list_gifts, STAFF, member, direction, None) for direction in GiftDirection],
        partial(queries.list_adjustments, STAFF, waiting),
        partial(queries.list_top_ups, STAFF, member),
        partial(queries.list_exchange_rates, program, other, None),
        partial(queries.list_exchange_rates, program, other, NOON + DAY),
    ]


async def test_each_way_to_the_history_has_its_index(story: Story) -> None:
    async with db.transaction():
        await db.execute("DISCARD PLANS")
        await db.execute("SET LOCAL enable_seqscan = off")
        before = await whole_tables_read()  # what was done before may not be counted off yet
        with clock.frozen(NOON + 4 * DAY):
            await read_everything(story)
        whole = {table for table, count in (await whole_tables_read()).items() if count > before.get(table, 0)}
    assert whole <= SMALL


async def rows_read(work: Awaitable[object]) -> int:
    """How many rows of any table some reading has looked at, as its functions say."""
    async with db.transaction():
        before = await db.fetch_value(_LOOKED_AT)
        await work
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


BEFORE = NOON + 3 * HOUR


async def test_a_statement_costs_the_same_however_deep_it_lies(long_history: tuple[UUID, str]) -> None:
    member, program = long_history
    for cursor, *args in (
        (None, None, None, None),
        (10, None, None, None),  # the last page
        (600, None, None, None),
        (None, ["DONATE"], None, None),  # one of a kind, at the far end
        (None, ["DONATE", "EARN", "EXPIRE"], None, None),
        (None, None, None, BEFORE),
        (None, ["SPEND"], NOON + timedelta(minutes=1), BEFORE),
    ):
        for backward in (False, True):
            window = Window(5, backward, None if cursor is None else encode_cursor(cursor))
            page = queries.STATEMENTS.page(read_alone, member, window, program, CurrencyKind.POINTS, *args)
            assert await rows_read(page) < ROWS, (window, args)


async def test_a_long_list_is_counted_only_so_far(
    long_history: tuple[UUID, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    member, program = long_history
    args = (program, CurrencyKind.POINTS, None, None, None)
    page = await queries.STATEMENTS.page(read_alone, member, Window(1), *args)
    assert await page.count() == 1201
    monkeypatch.setattr(listings, "COUNT_MAX", 10)
    page = await queries.STATEMENTS.page(read_alone, member, Window(1), *args)
    assert await rows_read(page.count()) < ROWS
    assert await page.count() is None


async def test_a_balance_of_long_ago_costs_no_more_than_one_of_yesterday(long_history: tuple[UUID, str]) -> None:
    member, program = long_history
    for at in (BEFORE, NOON + 600 * HOUR, NOON + 1198 * HOUR):
        sql = "SELECT * FROM engage.ledger_balances_at($1, $2, $3)"
        assert await rows_read(db.fetch(sql, [member], program, at)) < ROWS, at
