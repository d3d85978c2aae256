"""The real file that is shipped with engage: its documented totals, the second time too."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from engage.base import db
from engage.domains.earning.importing.types import JOB
from engage.domains.ledger.queries.records import ProgramPoints
from engage.domains.members.types import IdentityRef
from engage.domains.purchases.types import PurchaseTotals
from engage.outbox.here import JobSeen
from tests.earning.till import TABLES, member_of, take, totals
from tests.ledger.books import assert_whole

CDNOW = Path(__file__).parents[2] / "data" / "cdnow_purchases.csv.gz"


async def test_cdnow_has_its_totals_twice(program: str, tmp_path: Path) -> None:
    seen: list[JobSeen] = []
    rejects = tmp_path / "rejects.csv"
    first = await take(program, CDNOW, rejects_path=rejects, told=seen.append)
    assert (first.rows, first.orders_new, first.orders_known, first.rejected) == (69_659, 69_659, 0, 0)
    assert (first.members_new, first.spend, first.points_issued, first.points_expired) == (
        23_570, Decimal("2500315.63"), 2_453_159, 0,
    )  # fmt: skip
    expected = (
        PurchaseTotals(69_659, Decimal("2500315.63")),
        ProgramPoints(members=23_570, issued=2_453_159, spent=0, expired=0, reversed=0, outstanding=2_453_159),
    )
    assert await totals(program) == expected
    done = [one.progress.rows_done for one in seen]
    assert done == sorted(done)
    assert len(set(done)) > 3
    assert {one.progress.rows_total for one in seen} <= {None, 69_659}
    assert (done[-1], seen[-1].progress.fraction, seen[-1].progress.remaining_s) == (69_659, 1.0, 0.0)
    assert not rejects.exists()
    await assert_whole()

    before = await _written()
    second = await take(program, CDNOW, rejects_path=rejects)
    assert (second.orders_new, second.orders_known, second.rejected, second.members_new) == (0, 69_659, 0, 0)
    assert (second.spend, second.points_issued) == (Decimal(0), 0)
    assert await _written() == before
    await _assert_cdnow_details(program)


async def _assert_cdnow_details(program: str) -> None:
    """Figures of single customers, and that orders of one day are in the order of the file."""
    row = await db.fetch_row(
        "SELECT sum(p.quantity), count(*) FILTER (WHERE amount = 0), min(purchased_at), max(purchased_at)"
        " FROM purchases p JOIN programs g ON g.id = p.program_id WHERE g.code = $1",
        program,
    )
    assert row is not None
    assert tuple(row) == (167_881, 80, datetime(1997, 1, 1, tzinfo=UTC), datetime(1998, 6, 30, tzinfo=UTC))
    assert await db.fetch_value(
        "SELECT sum(amount) FROM purchases WHERE member_id = $1", await member_of(IdentityRef("card", "07592"))
    ) == Decimal("13990.93")
    out_of_order = await db.fetch_value(
        "SELECT count(*) FROM (SELECT p.order_no, lag(p.order_no) OVER (PARTITION BY t.account_id"
        " ORDER BY t.version_after) AS before FROM transfers t JOIN purchases p ON p.id = t.cause_id::uuid"
        " WHERE t.currency_id = engage.ledger_currency($1)) o WHERE order_no < before",
        program,
    )
    assert out_of_order == 0


async def _written() -> dict[str, tuple[int, int]]:
    """How many rows each table has, and the last transaction that wrote one: equal when nothing was written.

    The import itself is a job, which is a row of the outbox; it may promise no other.
    """
    found = {}
    for table in (*TABLES, f"outbox WHERE handler <> '{JOB}'"):
        row = await db.fetch_row(f"SELECT count(*), coalesce(max(xmin::text::bigint), 0) FROM {table}")  # noqa: S608
        assert row is not None
        found[table] = tuple(row)
    return found
