"""Orders from files: what comes out, the second time too, and in which order."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.domains.members.errors import UnknownChannel
from engage.domains.members.service import create_store
from engage.domains.purchases.errors import UnknownCurrency, UnknownStore
from tests.earning.till import (
    a_file,
    an_order,
    buy,
    everything,
    new_card,
    new_program,
    rejected,
    take,
    totals,
)
from tests.ledger.books import assert_whole


async def test_expired_points_are_issued_and_expired(channels: object, tmp_path: Path) -> None:
    assert channels
    program = await new_program(points_valid_for="P12M")
    customer = new_card().identifier
    now = datetime(1998, 3, 1, tzinfo=UTC)
    file = a_file(
        tmp_path,
        f"1,{customer},1997-01-05,1,100.00",
        f"2,{customer},1997-03-01,1,30.99",  # expires at this very moment
        f"3,{customer},1997-03-02,1,7.00",
        f"4,{customer},1998-02-28,1,5.00",
    )
    with clock.frozen(now):
        done = await take(program, file, batch_size=2)
        assert (done.orders_new, done.points_issued, done.points_expired) == (4, 142, 130)
        points = (await totals(program))[1]
        assert (points.issued, points.expired, points.outstanding) == (142, 130, 12)
        await assert_whole()
        again = await take(program, file)
        assert (again.orders_known, again.points_expired) == (4, 0)
    with clock.frozen(now + timedelta(days=2)):
        points = (await totals(program))[1]
    assert (points.expired, points.outstanding) == (137, 5)


async def test_old_points_of_others_do_not_count_as_expired_at_once(channels: object, tmp_path: Path) -> None:
    assert channels
    program = await new_program(points_valid_for="P12M")
    card = new_card()
    with clock.frozen(datetime(2020, 1, 1, tzinfo=UTC)):
        await buy(program, card, an_order(amount="50", purchased_at=datetime(2020, 1, 1, tzinfo=UTC)))
    with clock.frozen(datetime(2022, 1, 1, tzinfo=UTC)):
        file = a_file(tmp_path, f"1,{card.identifier},2020-06-01,1,8", f"2,{card.identifier},2021-12-01,1,3")
        done = await take(program, file)
    assert (done.points_issued, done.points_expired) == (11, 8)
    await assert_whole()


async def test_columns_of_other_names_and_defaults(program: str, tmp_path: Path) -> None:
    await create_store(Actor("desk", Role.ADMIN), program=program, code="bund", name="The Bund")
    await create_store(Actor("desk", Role.ADMIN), program=program, code="lake", name="West Lake")
    file = a_file(
        tmp_path,
        "x,2024-05-01,A 1,11@Example.COM ,3.5,pos,bund,ignored",
        'y,20240502,"A,2",12@example.com,4,,,"over',
        'two lines"',
        "z,2024-05-03T10:30,A3,13@example.com, 5.25 ,,lake,",
        header="Kind,Day,OrderID,Mail,Total,channel,Shop,Remark",
    )
    done = await take(
        program,
        file,
        mapping={"order_no": "OrderID", "customer_id": "Mail", "date": "Day", "amount": "Total", "store": "Shop",
                 "quantity": ""},
        identity_channel="email",
        store="bund",
        currency="USD",
    )  # fmt: skip
    assert (done.rows, done.orders_new, done.rejected, done.spend) == (3, 3, 0, Decimal("12.75"))
    rows = await db.fetch(
        "SELECT order_no, p.channel, store, amount, quantity, purchased_at, identifier FROM purchases p"
        " JOIN identities i USING (member_id) WHERE program_id = engage.program_id($1) ORDER BY 1",
        program,
    )
    assert [tuple(row) for row in rows] == [
        ("A 1", "pos", "bund", Decimal("3.5"), None, datetime(2024, 5, 1, tzinfo=UTC), "11@example.com"),
        ("A,2", "web", "bund", Decimal(4), None, datetime(2024, 5, 2, tzinfo=UTC), "12@example.com"),
        ("A3", "web", "lake", Decimal("5.25"), None, datetime(2024, 5, 3, 10, 30, tzinfo=UTC), "13@example.com"),
    ]


async def test_days_are_those_of_the_programs_zone(channels: object, tmp_path: Path) -> None:
    assert channels
    program = await new_program(time_zone="Asia/Shanghai")
    file = a_file(
        tmp_path,
        "1,zone,2024-05-01,1,1",
        "2,zone,2024-05-01T08:00:00,1,1",
        "3,zone,2024-05-01 08:00:00Z,1,1",
        "4,zone,2024-05-01T08:00:00.5-05:30,1,1",
    )
    assert (await take(program, file)).orders_new == 4
    rows = await db.fetch(
        "SELECT purchased_at FROM purchases WHERE program_id = engage.program_id($1) ORDER BY order_no", program
    )
    assert [row[0].isoformat() for row in rows] == [
        "2024-04-30T16:00:00+00:00",
        "2024-05-01T00:00:00+00:00",
        "2024-05-01T08:00:00+00:00",
        "2024-05-01T13:30:00.500000+00:00",
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
async def test_ends_of_lines_marks_and_compression(
    program: str,
    tmp_path: Path,
    end: str,
    packed: bool,  # noqa: FBT001
) -> None:
    card = new_card().identifier
    text = end.join(
        ["order_no,customer_id,date,quantity,amount", f"1,{card},2024-05-01,1,10", "", f"2,{card},2024-05-02,1,5"]
    )
    content = text.encode("utf-8-sig")
    file = tmp_path / "orders.csv.gz"
    file.write_bytes(gzip.compress(content))
    if not packed:
        file = tmp_path / "orders.csv"
        file.write_bytes(content)
    done = await take(program, file)
    assert (done.rows, done.orders_new, done.points_issued) == (2, 2, 15)


async def test_orders_of_one_till_and_file_are_the_same_orders(program: str, tmp_path: Path) -> None:
    card = new_card()
    sold = datetime(2024, 5, 1, tzinfo=UTC)
    await buy(program, card, an_order("T-1", amount="9.90", purchased_at=sold, channel="web", quantity=2))
    file = a_file(tmp_path, f"T-1,{card.identifier},2024-05-01,2,9.9", f"T-2,{card.identifier},2024-05-01,2,9.9")
    done = await take(program, file)
    assert (done.orders_new, done.orders_known, done.rejected) == (1, 1, 0)


async def test_customers_of_other_states_are_rejected_by_row(program: str, tmp_path: Path) -> None:
    card = new_card()
    done = await buy(program, card, an_order())
    await db.execute("UPDATE members SET state = 'SUSPENDED' WHERE id = $1", done.member_id)
    file = a_file(tmp_path, f"S-1,{card.identifier},2024-05-01,2,9.9", "S-2,someone,2024-05-01,2,9.9")
    summary = await take(program, file)
    assert (summary.orders_new, summary.rejected) == (1, 1)
    assert rejected(summary) == [(2, "customer_id: The member is SUSPENDED.")]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"identity_channel": "nowhere"}, UnknownChannel),
        ({"channel": "nowhere"}, UnknownChannel),
        ({"currency": "EUR"}, UnknownCurrency),
        ({"store": "nowhere"}, UnknownStore),
        ({"batch_size": 0}, InvalidInput),
        ({"batch_size": 1001}, InvalidInput),
        ({"mapping": {"prize": "amount"}}, InvalidInput),
        ({"mapping": {"amount": ""}}, InvalidInput),
        ({"mapping": {"store": "Shop"}}, InvalidInput),
    ],
)
async def test_settings_that_cannot_be_are_refused(
    program: str, tmp_path: Path, settings: dict[str, Any], kind: type[Exception]
) -> None:
    before = await everything()
    with pytest.raises(kind):
        await take(program, a_file(tmp_path, "1,a,2024-05-01,1,1"), **settings)
    with pytest.raises(NotFound):
        await take("nowhere", a_file(tmp_path, "1,a,2024-05-01,1,1"))
    assert await everything() == before


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.MEMBER])
async def test_roles(program: str, tmp_path: Path, role: Role) -> None:
    with pytest.raises(Forbidden):
        await take(program, a_file(tmp_path, "1,a,2024-05-01,1,1"), actor=Actor("someone", role))
