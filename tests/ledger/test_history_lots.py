"""Lots: what is left of each adds up to the balance at every moment, and every point has its way back and forth."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, NotFound
from engage.base.ids import new_id
from engage.base.paging import Window
from engage.base.readings import Fetch, fetch_together, read_alone
from engage.base.settings import Settings
from engage.domains.ledger import queries, service
from engage.domains.ledger.policy.types import ReturnedKind
from engage.domains.ledger.queries.records import LotLink, LotMove, LotRecord
from engage.domains.ledger.types import CurrencyKind, LotState, TransferKind
from tests.ledger.books import NOON, STAFF, balance, earn, new_key, new_member, spend
from tests.ledger.lives import HOUR, Life, Step, steps
from tests.ledger.merging import merge
from tests.ledger.publishing import program_with, rolling
from tests.ledger.whole_books import Story, write_books
from tests.walking import walk_both

K = TransferKind
DAY = timedelta(days=1)


@pytest.fixture(scope="module", autouse=True)
async def story(connected: Settings) -> Story:
    assert connected.database_url
    return await write_books()


async def lots(member: UUID, program: str, currency: CurrencyKind = CurrencyKind.POINTS) -> list[LotRecord]:
    """All of them, page by page, from either end."""
    return await walk_both(lambda window: queries.list_lots(STAFF, member, program, currency, window), 7)


async def history(lot_id: UUID, size: int = 100) -> list[LotMove]:
    return await walk_both(partial(queries.LOT_HISTORIES.page, read_alone, lot_id), size)


async def origins(lot_id: UUID) -> list[LotLink]:
    [found] = await fetch_together([Fetch(queries.LOT_ORIGINS, (lot_id,))])
    answer: list[LotLink] = found[str(lot_id)]
    return answer


async def successors(lot_id: UUID, size: int = 100) -> list[LotLink]:
    return await walk_both(partial(queries.LOT_SUCCESSORS.page, read_alone, lot_id), size)


def total(found: list[LotRecord]) -> tuple[int, int, int]:
    """What is available, pending and held of them."""
    return (
        sum(lot.remaining for lot in found if lot.state is LotState.OPEN),
        sum(lot.remaining for lot in found if lot.state is LotState.PENDING),
        sum(lot.held for lot in found),
    )


async def assert_adds_up(member: UUID, program: str) -> None:
    found = await lots(member, program)
    told = await balance(member, program)
    assert total(found) == (told.available, told.pending, told.held)
    for lot in found:
        assert (lot.state is LotState.CLOSED) is (lot.remaining == 0)
        assert 0 <= lot.remaining + lot.held <= lot.amount
        assert (lot.usable_at is not None and lot.usable_at <= clock.now()) or lot.state is not LotState.OPEN


@given(st.lists(steps, max_size=20))
@hypothesis_settings(max_examples=15)
async def test_lots_add_up_to_the_balance_at_every_moment_of_any_life(story: list[Step]) -> None:
    with ExitStack() as stack:
        life = Life(stack)
        await life.begin()
        for step in story:
            await life.do(step)
            life.wait(HOUR / 2)
            for member in life.members:
                for program in life.programs:
                    await assert_adds_up(member, program)


async def test_time_changes_a_lot_without_any_sweep(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 40, usable_at=NOON + DAY, expires_at=NOON + 3 * DAY)
        [lot] = await lots(member, program)
        assert (lot.state, lot.remaining) == (LotState.PENDING, 40)
    for days, state, remaining in ((1, LotState.OPEN, 40), (2, LotState.OPEN, 40), (3, LotState.CLOSED, 0)):
        with clock.frozen(NOON + days * DAY):
            [lot] = await lots(member, program)
            assert (lot.state, lot.remaining, lot.amount) == (state, remaining, 40)
            assert [move.kind for move in await history(lot.id)] == [K.EARN]


async def test_a_lot_that_matured_for_a_member_in_debt_has_paid_it(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await service.clawback_points(STAFF, member_id=member, program=program, amount=15, idempotency_key=new_key())
        await earn(member, program, 40, usable_at=NOON + DAY)
    with clock.frozen(NOON + DAY):
        [lot] = await lots(member, program)
        assert (lot.state, lot.remaining) == (LotState.OPEN, 25)


async def test_a_hold_past_its_deadline_has_given_its_points_back(member: UUID, program: str) -> None:
    with clock.frozen(NOON):
        await earn(member, program, 40)
        await service.hold_points(
            STAFF, member_id=member, program=program, amount=30, idempotency_key=new_key(), deadline=NOON + DAY
        )
        [lot] = await lots(member, program)
        assert (lot.remaining, lot.held) == (10, 30)
    with clock.frozen(NOON + DAY):
        [lot] = await lots(member, program)
        assert (lot.remaining, lot.held) == (40, 0)


async def test_the_history_of_a_lot_adds_up(story: Story) -> None:
    seen = set()
    for member in (story.member, story.friend, story.twin):
        for program in (story.program, story.other_program):
            for currency in CurrencyKind:
                for lot in await lots(member, program, currency):
                    moves = await history(lot.id)
                    rows = await db.fetch_row("SELECT remaining, held FROM lots WHERE id = $1", lot.id)
                    assert rows is not None
                    assert sum(move.amount for move in moves) == rows["remaining"]
                    assert sum(move.held for move in moves) == rows["held"]
                    assert (moves[0].number, moves[0].amount, moves[0].held) == (0, lot.amount, 0)
                    assert (moves[0].transfer_id, moves[0].kind) == (lot.source.id, lot.source.kind)
                    seen |= {move.kind for move in moves}
    assert seen == set(TransferKind) - {K.CONFIRM, K.MATURE}  # which change no figure of a lot


async def test_the_history_of_a_lot_comes_page_by_page(member: UUID, program: str) -> None:
    await earn(member, program, 10)
    for amount in (1, 2, 3):
        await spend(member, program, amount)
    [lot] = await lots(member, program)
    whole = await history(lot.id)
    assert [move.amount for move in whole] == [10, -1, -2, -3]
    for size in (1, 2, 3):
        assert await history(lot.id, size) == whole


async def test_points_that_were_given_exchanged_and_merged_lead_back_to_their_earning() -> None:
    program, other = await program_with(rolling(gift_hops_max=5)), await program_with(rolling())
    one, two, three, four = [await new_member() for _ in range(4)]
    await service.publish_exchange_rate(SYSTEM, from_program=program, to_program=other, numerator=1, denominator=1)
    earned = await earn(one, program, 100)
    for sender, recipient in ((one, two), (two, three)):
        await service.gift_points(
            STAFF, member_id=sender, recipient_id=recipient, program=program, amount=60, idempotency_key=new_key()
        )
    await merge(three, four)
    await service.exchange_points(
        STAFF, member_id=four, from_program=program, to_program=other, amount=60, idempotency_key=new_key()
    )
    [lot] = await lots(four, other)
    assert (lot.amount, lot.hops, lot.source.kind) == (60, 2, K.EXCHANGE_IN)
    way = await origins(lot.id)
    assert [link.source.kind for link in way] == [K.MERGE_IN, K.RECEIVE, K.RECEIVE, K.EARN]
    assert [link.source.member_id for link in way] == [four, three, two, one]
    assert [link.amount for link in way] == [60, 60, 60, 100]
    assert (way[-1].source.id, way[-1].source.program) == (earned.transfer_id, program)
    # … and from the earning forth again.
    at = way[-1].id
    forth = []
    while links := await successors(at):
        [link] = links
        forth.append(link.source.kind)
        at = link.id
    assert (forth, at) == ([K.RECEIVE, K.RECEIVE, K.MERGE_IN, K.EXCHANGE_IN], lot.id)


async def test_a_reissued_lot_leads_back_to_the_expired_one(member: UUID) -> None:
    program = await program_with(rolling("P1D", returned_kind=ReturnedKind.REISSUED, returned_grace="P30D"))
    with clock.frozen(NOON):
        earned = await earn(member, program, 10)
        spent = await spend(member, program, 10)
    with clock.frozen(NOON + 9 * DAY):
        returned = await service.reverse_transfer(STAFF, transfer_id=spent.transfer_id, idempotency_key=new_key())
        new, old = await lots(member, program)
        assert (new.source.id, new.remaining, old.remaining) == (returned.transfer_id, 10, 0)
        assert [link.source.id for link in await origins(new.id)] == [earned.transfer_id]
        assert [link.id for link in await successors(old.id)] == [new.id]


async def test_successors_come_page_by_page(program: str) -> None:
    sender = await new_member()
    await earn(sender, program, 100)
    for _ in range(5):
        await service.gift_points(
            STAFF, member_id=sender, recipient_id=await new_member(), program=program, amount=3,
            idempotency_key=new_key(),
        )  # fmt: skip
    [lot] = await lots(sender, program)
    whole = await successors(lot.id)
    assert [link.amount for link in whole] == [3] * 5
    assert await successors(lot.id, 2) == whole


async def test_no_more_than_a_hundred_origins_are_told(member: UUID, program: str) -> None:
    earned = await earn(member, program, 1)
    await db.execute(
        "WITH RECURSIVE line AS (SELECT l.id, l.id AS origin, 0 AS step FROM lots l WHERE source_id = $1"
        " UNION ALL SELECT gen_random_uuid(), id, step + 1 FROM line WHERE step < 120)"
        " INSERT INTO lots (id, account_id, member_id, state, amount, remaining, earned_at, source_id, origin_lot_id)"
        " SELECT n.id, l.account_id, l.member_id, 'CLOSED', 1, 0, l.earned_at, l.source_id, n.origin"
        " FROM line n, lots l WHERE n.step > 0 AND l.source_id = $1 AND l.origin_lot_id IS NULL",
        earned.transfer_id,
    )
    deepest = await db.fetch_value(
        "SELECT id FROM lots l WHERE source_id = $1 AND NOT EXISTS (SELECT FROM lots n WHERE n.origin_lot_id = l.id)",
        earned.transfer_id,
    )
    assert len(await origins(deepest)) == 100


async def test_lots_of_nobody_and_nowhere_are_none(member: UUID) -> None:
    assert await lots(member, "nowhere") == []
    assert await lots(new_id(), "nowhere") == []


async def test_a_lot_is_for_its_member_and_those_who_may_look(story: Story) -> None:
    lot, *_ = await lots(story.member, story.program)
    own, other = Actor("m", Role.MEMBER, story.member), Actor("m", Role.MEMBER, story.friend)
    assert (await queries.get_lot(own, lot.id)).id == lot.id
    for role in set(Role) - {Role.MEMBER}:
        assert (await queries.get_lot(Actor("x", role), lot.id)).id == lot.id
        with pytest.raises(NotFound):
            await queries.get_lot(Actor("x", role), new_id())
    for lot_id in (lot.id, new_id()):
        with pytest.raises(Forbidden):
            await queries.get_lot(other, lot_id)
    with pytest.raises(Forbidden):
        await queries.list_lots(other, story.member, story.program, CurrencyKind.POINTS, Window(1))


async def test_stored_value_has_lots_of_its_own(story: Story) -> None:
    with clock.frozen(NOON + 3 * DAY):
        found = await lots(story.member, story.program, CurrencyKind.CASH)
    assert sorted(lot.amount for lot in found) == [205, 2050]
    assert {lot.money for lot in found} == {"EUR"}
    assert total(found) == (2050 + 205 - 500 - 120 - 430 - 43, 0, 120)
