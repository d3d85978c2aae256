"""Many tills at once: no interleaving doubles an order or a member."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

from engage.domains.ledger import queries as ledger
from engage.domains.ledger.types import Balance
from engage.domains.purchases.errors import OrderConflict
from tests.earning.till import STAFF, an_order, buy, buy_many, events, member_of, new_card, totals
from tests.ledger.books import assert_whole


async def test_one_order_from_ten_tills_is_one_purchase(program: str) -> None:
    card, order = new_card(), an_order()
    done = await asyncio.gather(*(buy(program, card, order) for _ in range(10)))
    assert sum(not one.replayed for one in done) == 1
    assert len({(one.purchase_id, one.member_id, one.points) for one in done}) == 1
    bought, points = await totals(program)
    assert (bought.purchases, points.issued, points.members) == (1, 12, 1)
    await assert_whole()


async def test_two_orders_of_one_number_at_once_keep_one(program: str) -> None:
    card, order = new_card(), an_order()
    other = replace(order, amount=Decimal(99))
    tills = [buy(program, card, one) for _ in range(4) for one in (order, other)]
    done = await asyncio.gather(*tills, return_exceptions=True)
    assert sum(isinstance(one, OrderConflict) for one in done) == 4
    assert (await totals(program))[0].purchases == 1
    await assert_whole()


async def test_a_new_customer_at_ten_tills_is_one_member(program: str) -> None:
    card = new_card()
    done = await asyncio.gather(*(buy(program, card, an_order()) for _ in range(10)))
    [member_id] = {one.member_id for one in done}
    assert await member_of(card) == member_id
    assert not any(one.replayed for one in done)
    assert sorted(one.balance.available for one in done if one.balance) == [12 * n for n in range(1, 11)]
    said = await events(member_id)
    assert [position for position, _, _ in said] == list(range(1, 22))
    assert [name for _, name, _ in said].count("members.registered.v1") == 1
    assert await ledger.get_balance(STAFF, member_id, program) == Balance(available=120)
    await assert_whole()


async def test_batches_of_the_same_customers_in_other_orders(program: str) -> None:
    cards = [new_card() for _ in range(40)]
    shared = [(card, an_order()) for card in cards]
    batches = [
        shared,
        shared[::-1],
        [(card, an_order()) for card in cards],
        [(card, an_order()) for card in cards[::-1]],
    ]
    done = await asyncio.gather(*(buy_many(program, *batch) for batch in batches))
    assert sum(not one.replayed for batch in done for one in batch) == 120
    bought, points = await totals(program)
    assert (bought.purchases, points.issued, points.members) == (120, 120 * 12, 40)
    await assert_whole()
