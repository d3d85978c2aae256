"""Orders from tills: what they earn, their repetition, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound, Refusal
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.domains.ledger import queries as ledger
from engage.domains.ledger.errors import MemberNotActive
from engage.domains.ledger.types import Balance
from engage.domains.members.errors import UnknownChannel, UnknownMember
from engage.domains.members.service import create_store
from engage.domains.members.types import IdentityRef
from engage.domains.purchases.errors import OrderConflict, UnknownCurrency, UnknownStore
from engage.domains.purchases.types import OrderLine
from tests.earning.till import (
    NOON,
    STAFF,
    an_order,
    buy,
    buy_many,
    events,
    everything,
    member_of,
    new_card,
    new_program,
    totals,
)
from tests.ledger.books import assert_whole


async def test_first_order_makes_the_member_and_gives_points(program: str) -> None:
    card = new_card()
    done = await buy(program, card, an_order(amount="12.99"))

    assert (done.points, done.replayed, done.balance) == (12, False, Balance(available=12))
    assert await member_of(card) == done.member_id
    assert await ledger.get_balance(STAFF, done.member_id, program) == Balance(available=12)
    said = await events(done.member_id)
    assert [(position, name) for position, name, _ in said] == [
        (1, "members.registered.v1"),
        (2, "ledger.points_earned.v1"),
        (3, "purchases.recorded.v1"),
    ]
    assert done.position == 2
    assert said[2][2] == {
        "purchase_id": str(done.purchase_id),
        "member_id": str(done.member_id),
        "program": program,
        "amount": "12.99",
        "currency": "USD",
        "points": 12,
        "purchased_at": "2026-03-10T12:00:00+00:00",
    }
    await assert_whole()


async def test_lines_are_kept_in_order(program: str) -> None:
    lines = (OrderLine("TEA", 2, Decimal("8.00"), "tea", "Lake"), OrderLine("CUP", 1, Decimal("4.5000")))
    done = await buy(program, new_card(), an_order(amount="12.50", quantity=3, lines=lines))
    rows = await db.fetch(
        "SELECT line_no, item, category, brand, quantity, amount FROM purchase_lines WHERE purchase_id = $1"
        " ORDER BY line_no",
        done.purchase_id,
    )
    assert [tuple(row) for row in rows] == [
        (1, "TEA", "tea", "Lake", 2, Decimal(8)),
        (2, "CUP", None, None, 1, Decimal("4.5")),
    ]


@pytest.mark.parametrize(
    ("rate", "amount", "points"),
    [("1", "0.9999", 0), ("1", "1", 1), ("1.5", "10.99", 16), ("0.01", "250", 2), ("0", "99", 0), ("3", "0.34", 1)],
)
async def test_points_are_floored_once_per_order(channels: object, rate: str, amount: str, points: int) -> None:
    assert channels
    program = await new_program(points_per_unit=Decimal(rate))
    done = await buy(program, new_card(), an_order(amount=amount))
    assert done.points == points
    assert (await ledger.get_balance(STAFF, done.member_id, program)).available == points


async def test_an_order_of_nothing_is_kept_and_earns_nothing(program: str) -> None:
    done = await buy(program, new_card(), an_order(amount="0.00"))
    assert (done.points, done.balance, done.position) == (0, None, None)
    bought, points = await totals(program)
    assert (bought.purchases, points.issued, points.members) == (1, 0, 1)
    await assert_whole()


async def test_the_same_order_again_is_replayed(program: str) -> None:
    card, order = new_card(), an_order()
    first = await buy(program, card, order)
    before = await everything()
    # Spaces around an identifier do not make it another one; 12.5000 is the same amount.
    again = await buy(
        program, replace(card, identifier=f" {card.identifier} "), replace(order, amount=Decimal("12.5000"))
    )
    assert (again.purchase_id, again.member_id, again.points) == (first.purchase_id, first.member_id, first.points)
    assert again.replayed
    assert await everything() == before


@pytest.mark.parametrize(
    "change",
    [
        {"amount": Decimal("12.51")},
        {"purchased_at": NOON - timedelta(seconds=1)},
        {"quantity": 2},
        {"lines": (OrderLine("TEA", 1, Decimal(1)),)},
    ],
)
async def test_another_order_under_the_same_number_conflicts(program: str, change: dict[str, Any]) -> None:
    card, order = new_card(), an_order()
    await buy(program, card, order)
    before = await everything()
    with pytest.raises(OrderConflict) as refused:
        await buy(program, card, replace(order, **change))
    assert refused.value.path == ["orderNo"]
    with pytest.raises(OrderConflict):
        await buy(program, new_card(), order)
    assert await everything() == before


async def test_the_same_number_elsewhere_is_another_order(program: str) -> None:
    card, order = new_card(), an_order()
    other = await new_program()
    done = [
        await buy(program, card, order),
        await buy(program, card, replace(order, channel="web")),
        await buy(other, card, order),
    ]
    assert len({one.purchase_id for one in done}) == 3
    assert not any(one.replayed for one in done)


async def test_a_batch_may_hold_an_order_twice(program: str) -> None:
    card, order = new_card(), an_order()
    stored = an_order()
    await buy(program, card, stored)
    first, again, other, known, fine = await buy_many(
        program,
        (card, order),
        (card, order),
        (card, replace(order, amount=Decimal(99))),
        (card, stored),
        (card, an_order(amount="3")),
    )
    assert (first.replayed, again.replayed, again.purchase_id) == (False, True, first.purchase_id)
    assert isinstance(other, OrderConflict)
    assert known.replayed
    assert (fine.replayed, fine.balance) == (False, Balance(available=27))
    bought, points = await totals(program)
    assert (bought.purchases, bought.spend, points.issued) == (3, Decimal(28), 27)
    await assert_whole()


REFUSED: list[tuple[dict[str, Any], type[Refusal], list[str]]] = [
    ({"amount": Decimal(-1)}, InvalidInput, ["amount"]),
    ({"amount": Decimal("0.00001")}, InvalidInput, ["amount"]),
    ({"amount": Decimal("NaN")}, InvalidInput, ["amount"]),
    ({"amount": Decimal("Infinity")}, InvalidInput, ["amount"]),
    ({"amount": Decimal(10) ** 12}, InvalidInput, ["amount"]),
    ({"order_no": ""}, InvalidInput, ["orderNo"]),
    ({"order_no": "x" * 65}, InvalidInput, ["orderNo"]),
    ({"order_no": "a\nb"}, InvalidInput, ["orderNo"]),
    ({"quantity": -1}, InvalidInput, ["quantity"]),
    ({"quantity": 10**9}, InvalidInput, ["quantity"]),
    ({"purchased_at": datetime(1969, 12, 31, tzinfo=UTC)}, InvalidInput, ["purchasedAt"]),
    ({"purchased_at": datetime(2026, 3, 10)}, InvalidInput, ["purchasedAt"]),  # noqa: DTZ001 -- that is refused
    ({"currency": "EUR"}, UnknownCurrency, ["currency"]),
    ({"store": "nowhere"}, UnknownStore, ["store"]),
    ({"channel": "nowhere"}, UnknownChannel, ["channel"]),
    ({"lines": (OrderLine("", 1, Decimal(1)),)}, InvalidInput, ["lines", "0", "item"]),
    ({"lines": (OrderLine("A", 1, Decimal(-1)),)}, InvalidInput, ["lines", "0", "amount"]),
    ({"lines": (OrderLine("A", 1, Decimal(1)),) * 201}, InvalidInput, ["lines"]),
]


@pytest.mark.parametrize(("change", "kind", "path"), REFUSED)
async def test_what_can_never_be_right_is_refused(
    program: str, change: dict[str, Any], kind: type[Refusal], path: list[str]
) -> None:
    before = await everything()
    with pytest.raises(kind) as refused:
        await buy(program, new_card(), replace(an_order(), **change))
    assert refused.value.path == path
    assert await everything() == before


async def test_the_future_is_refused_beyond_a_tills_clock(program: str) -> None:
    with clock.frozen(NOON):
        await buy(program, new_card(), an_order(purchased_at=NOON + timedelta(minutes=5)))
        before = await everything()
        with pytest.raises(InvalidInput, match="future"):
            await buy(program, new_card(), an_order(purchased_at=NOON + timedelta(minutes=6)))
    assert await everything() == before


@pytest.mark.parametrize(
    ("card", "kind"),
    [
        (IdentityRef("card", ""), InvalidInput),
        (IdentityRef("card", "x" * 201), InvalidInput),
        (IdentityRef("card", "a\x00b"), InvalidInput),
        (IdentityRef("nowhere", "1"), UnknownChannel),
    ],
)
async def test_an_identity_that_cannot_be_is_refused(program: str, card: IdentityRef, kind: type[Refusal]) -> None:
    before = await everything()
    with pytest.raises(kind):
        await buy(program, card, an_order())
    assert await everything() == before


async def test_points_beyond_what_json_holds_are_refused(channels: object) -> None:
    assert channels
    program = await new_program(points_per_unit=Decimal(1_000_000))
    with pytest.raises(InvalidInput, match="points"):
        await buy(program, new_card(), an_order(amount="99999999999"))


async def test_a_store_of_the_program_is_kept(program: str) -> None:
    await create_store(STAFF_ADMIN, program=program, code="bund", name="The Bund")
    done = await buy(program, new_card(), an_order(store="bund", currency="USD"))
    assert await db.fetch_value("SELECT store FROM purchases WHERE id = $1", done.purchase_id) == "bund"
    with pytest.raises(UnknownStore):
        await buy(await new_program(), new_card(), an_order(store="bund"))


async def test_an_unknown_program_is_refused(program: str) -> None:
    assert program
    with pytest.raises(NotFound):
        await buy("nowhere", new_card(), an_order())


@pytest.fixture
def known_members_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ENGAGE_REGISTER_UNKNOWN_MEMBERS", "false")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


async def test_unknown_members_are_refused_by_setting(program: str, request: pytest.FixtureRequest) -> None:
    known = new_card()
    await buy(program, known, an_order())
    request.getfixturevalue("known_members_only")
    before = await everything()
    with pytest.raises(UnknownMember):
        await buy(program, new_card(), an_order())
    assert await everything() == before
    assert (await buy(program, known, an_order())).points == 12


@pytest.mark.parametrize(("state", "earns"), [("FROZEN", True), ("SUSPENDED", False), ("CANCELLED", False)])
async def test_the_state_of_the_member_decides(program: str, state: str, earns: bool) -> None:  # noqa: FBT001
    card = new_card()
    done = await buy(program, card, an_order())
    await db.execute(
        "UPDATE members SET state = $2::text, frozen_at = CASE $2::text WHEN 'FROZEN' THEN now() END WHERE id = $1",
        done.member_id,
        state,
    )
    before = await everything()
    if earns:
        assert (await buy(program, card, an_order())).points == 12
        return
    with pytest.raises(MemberNotActive) as refused:
        await buy(program, card, an_order())
    assert refused.value.extras["state"] == state
    assert await everything() == before


STAFF_ADMIN = Actor("desk", Role.ADMIN)


@pytest.mark.parametrize("role", list(Role))
async def test_roles(program: str, role: Role) -> None:
    actor = Actor("someone", role, new_id() if role is Role.MEMBER else None)
    if role in (Role.STAFF, Role.ADMIN, Role.SERVICE):
        assert (await buy(program, new_card(), an_order(), actor)).points == 12
        return
    before = await everything()
    with pytest.raises(Forbidden):
        await buy(program, new_card(), an_order(), actor)
    assert await everything() == before


async def test_a_refused_row_does_not_touch_the_others(program: str) -> None:
    good, bad, other = await buy_many(
        program, (new_card(), an_order()), (new_card(), an_order(amount="-1")), (new_card(), an_order())
    )
    assert (good.points, other.points) == (12, 12)
    assert isinstance(bad, InvalidInput)
    assert (await totals(program))[0].purchases == 2


@pytest.mark.parametrize("size", [0, 1001])
async def test_a_batch_has_a_size(program: str, size: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 1000"):
        await buy_many(program, *[(new_card(), an_order()) for _ in range(size)])


async def test_what_has_expired_already_is_issued_and_expired(channels: object) -> None:
    assert channels
    program = await new_program(points_valid_for="P12M")
    card = new_card()
    with clock.frozen(NOON):
        old = await buy(program, card, an_order(amount="40", purchased_at=NOON - timedelta(days=500)))
        assert (old.points, old.balance) == (40, Balance(available=0))
        new = await buy(program, card, an_order(amount="7", purchased_at=NOON - timedelta(days=30)))
        assert new.balance == Balance(available=7)
        points = (await totals(program))[1]
    assert (points.issued, points.expired, points.outstanding) == (47, 40, 7)
    await assert_whole()
