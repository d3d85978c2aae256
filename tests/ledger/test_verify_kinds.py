"""`engage ledger verify` over every kind of transfer: what can be wrong with each is found, and the row is named."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engage.base import db
from engage.base.settings import Settings
from engage.domains.ledger.types import TransferKind
from engage.domains.ledger.verify import verify_ledger
from tests.ledger.books import assert_whole
from tests.ledger.breaking import Case, assert_named, named, restore, unguard
from tests.ledger.broken_transfers import LEGS, REFERENCES, UNKNOWN, lot_of, of, put, taken, this
from tests.ledger.every_kind import write_every_kind

MOVEMENTS = {
    "received lot without origin": Case(
        lot_of("RECEIVE", "accept"), put("lots", "origin_lot_id", "NULL"), "origin", None, "a lot", "lots"
    ),
    "received lot of another origin": Case(
        lot_of("RECEIVE", "accept"),
        put("lots", "origin_lot_id", "'{lot of plain}'"),
        "origin",
        "{lot of plain}",
        "a lot that was taken from",
        "lots",
    ),
    "earned lot with an origin": Case(
        this("lot of last"),
        put("lots", "origin_lot_id", "'{lot of plain}'"),
        "origin",
        "{lot of plain}",
        None,
        "lots",
    ),
    "amount of a received lot": Case(
        lot_of("RECEIVE", "accept"), put("lots", "amount", "22"), "amount", "22", "21", "lots"
    ),
    "amount of an exchanged lot": Case(
        lot_of("EXCHANGE_IN", "exchange"), put("lots", "amount", "17"), "amount", "17", "16", "lots"
    ),
    "amount of a reissued lot": Case(
        lot_of("RELEASE", "overdue"), put("lots", "amount", "41"), "amount", "41", "40", "lots"
    ),
    "amount of a restored lot": Case(
        this("lot of restore after the merge"), put("lots", "amount", "4"), "amount", "4", "3", "lots"
    ),
    "what left a lot in a merge": Case(
        "SELECT id FROM allocations WHERE lot_id = '{lot of of dora}' AND held = -28",
        put("allocations", "held", "-27"),
        "amount",
        "-27",
        "-28",
        "allocations",
    ),
    "received lot given on too often": Case(
        lot_of("RECEIVE", "accept"), put("lots", "hops", "2"), "hops", "2", "1", "lots"
    ),
    "merged lot earned at another time": Case(
        "SELECT id FROM lots WHERE origin_lot_id = '{lot of pending of dora}'",
        put("lots", "earned_at", "'2026-03-01 00:00Z'"),
        "earned at",
        "2026-03-01 00:00:00+00",
        "2026-03-13 12:47:00+00",
        "lots",
    ),
    "lot of a gift": Case(
        this("lot of last"),
        put("lots", "source_id", "'{gift}'"),
        "source",
        "{gift}",
        "a transfer that makes lots",
        "lots",
    ),
    "earned lot that could be used later": Case(
        this("lot of plain"),
        put("lots", "usable_at", "'2026-09-01 00:00Z'"),
        "usable at",
        "2026-09-01 00:00:00+00",
        "at most 2026-03-10 12:02:00+00",
        "lots",
    ),
    "what a capture took of a lot": Case(
        taken("capture", "lot of lapsing"), put("allocations", "held", "-30"), "held", "-30", "-31", "allocations"
    ),
    "what a release gave back": Case(
        taken("release", "lot of plain"), put("allocations", "amount", "14"), "amount", "14", "15", "allocations"
    ),
    "capture without allocations": Case(
        this("capture"),
        "DELETE FROM allocations WHERE transfer_id = $1",
        "allocations of what is held",
        "0",
        "-31",
        "transfers",
    ),
    "spent from another lot": Case(
        taken("donate", "reissued"),
        put("allocations", "lot_id", "'{lot of plain}'"),
        "lot",
        "{lot of plain}",
        "{reissued}",
        "allocations",
    ),
    "reversed to another lot": Case(
        "SELECT id FROM allocations WHERE transfer_id = '{reverse}'",
        put("allocations", "lot_id", "'{lot of adjust up}'"),
        "points of lot {lot of adjust up} back from {spend}",
        "5",
        "at most 0",
        "allocations",
    ),
}

HELD_AND_OWED = {
    "held of a lot": Case(this("lot of offering"), put("lots", "held", "25"), "held", "25", "26", "lots"),
    "lot waiting too long": Case(
        this("lot of later"), put("lots", "state", "'PENDING'"), "state", "PENDING", "OPEN", "lots"
    ),
    "lot usable too early": Case(
        this("lot of unconfirmed"), put("lots", "state", "'OPEN'"), "state", "OPEN", "PENDING", "lots"
    ),
    **{
        f"{column} of a hold": Case(this(name), put("holds", column, value), rule, stored, expected, "holds")
        for name, column, value, rule, stored, expected in (
            ("open", "amount", "14", "amount", "14", "13"),
            ("open", "account_id", "'{account of ben}'", "account", "{account of ben}", "{account of ann}"),
            ("hold", "member_id", "'{ben}'", "member", "{ben}", "{ann}"),
            ("open", "purpose", "'GIFT'", "purpose", "GIFT", "SPEND"),
            ("offer open", "purpose", "'SPEND'", "purpose", "SPEND", "GIFT"),
            ("open", "remaining", "12", "remaining", "12", "13"),
            ("hold", "remaining", "1", "remaining", "1", "0"),
            ("hold of dora", "remaining", "28", "remaining", "28", "23"),
            ("older", "remaining", "9", "remaining", "9", "0"),
            ("offer open", "takes", "'{25}'", "takes", "{25}", "{26}"),
            ("offer open", "lots", "'{{lot of last}}'", "lots", "{{lot of last}}", "{{lot of offering}}"),
            ("hold", "state", "'RELEASED'", "state", "RELEASED", "CAPTURED"),
            ("overdue", "state", "'RELEASED'", "state", "RELEASED", "EXPIRED"),
            ("older", "state", "'CAPTURED'", "state", "CAPTURED", "RELEASED"),
            ("open", "state", "'EXPIRED'", "state", "EXPIRED", "OPEN"),
            ("hold", "closed_at", "NULL", "closed at", None, "2026-03-10 12:10:00+00"),
        )
    },
    **{
        f"{column} of a debt": Case(this(name), put("debts", column, value), rule, stored, expected, "debts")
        for name, column, value, rule, stored, expected in (
            ("open debt", "amount", "68", "amount", "68", "67"),
            ("open debt", "account_id", "'{account of ben}'", "account", "{account of ben}", "{account of cleo}"),
            ("open debt", "lot_id", "'{lot of plain}'", "lot", "{lot of plain}", None),
            ("clawback", "lot_id", "NULL", "lot", None, "one that was taken back"),
            ("clawback", "lot_id", "'{lot of paying}'", "lot", "{lot of paying}", "one that was taken back"),
            ("open debt", "remaining", "66", "remaining", "66", "67"),
            ("deduct", "forgiven", "12", "forgiven", "12", "13"),
            ("deduct", "returned", "13", "returned", "13", "12"),
        )
    },
    "deadline before the account is looked at": Case(
        this("hold of dora"),
        put("holds", "deadline", "'2026-04-01 00:00Z'"),
        "next due, at the latest",
        "2026-04-02 12:48:00+00",
        "2026-04-01 00:00:00+00",
        "accounts:{account of cleo}",
    ),
    "lot that moves with activity in an account without": Case(
        this("lot of plain"), put("lots", "idle", "true"), "idle", "false", "true", "accounts:{account of ann}"
    ),
    "account of the house with a member": Case(
        this("FEES"), put("accounts", "member_id", f"'{UNKNOWN}'"), "kind", "FEES", "MEMBER", "accounts"
    ),
}

TOLD = {
    **{
        f"{column} of a gift, {name}": Case(this(name), put("gifts", column, value), rule, stored, expected, "gifts")
        for name, column, value, rule, stored, expected in (
            ("gift", "state", "'OFFERED'", "state", "OFFERED", "GIVEN"),
            ("offer accepted", "state", "'OFFERED'", "state", "OFFERED", "ACCEPTED"),
            ("offer declined", "state", "'WITHDRAWN'", "state", "WITHDRAWN", "DECLINED"),
            ("offer withdrawn", "state", "'EXPIRED'", "state", "EXPIRED", "WITHDRAWN"),
            ("offer expired", "state", "'DECLINED'", "state", "DECLINED", "EXPIRED"),
            ("offer open", "state", "'GIVEN'", "state", "GIVEN", "OFFERED"),
            ("gift", "program_code", "'other'", "program", "other", "{given} POINTS"),
            ("gift", "sender_id", "'{ann}'", "sender", "{ann}", "{cleo}"),
            ("offer open", "sender_id", "'{ben}'", "sender", "{ben}", "{ann}"),
            ("gift", "recipient_id", "'{ann}'", "recipient", "{ann}", "{ben}"),
            ("gift", "amount", "31", "amount", "31", "30"),
            ("gift", "fee", "1", "fee", "1", "2"),
            ("offer open", "amount", "24", "amount and fee", "25", "26"),
            ("gift", "deadline", "created_at", "deadline", "2026-03-13 12:23:00+00", None),
            ("offer declined", "decided_at", "NULL", "decided at", None, "2026-03-13 13:02:00+00"),
        )
    },
    **{
        f"{column} of a top-up": Case(
            this("top up"), put("top_ups", column, value), rule, stored, expected, "top_ups"
        )
        for column, value, rule, stored, expected in (
            ("member_id", "'{ann}'", "member", "{ann}", "{cleo}"),
            ("program_code", "'other'", "program", "other", "{given} CASH"),
            ("amount", "999", "amount", "999", "1000"),
            ("bonus", "0", "bonus", "0", "100"),
            ("bonus_transfer_id", "'{gift}'", "bonus transfer", "{gift}", "{bonus}"),
            ("payment_reference", "'P-9'", "payment", "P-9", "P-1"),
            ("paid_at", "created_at", "paid at", "2026-03-13 12:40:00+00", "2026-03-10 12:00:00+00"),
        )
    },
}

CASES = LEGS | REFERENCES | MOVEMENTS | HELD_AND_OWED | TOLD  # fmt: skip


@pytest.fixture(scope="module")
async def books(connected: Settings) -> dict[str, object]:
    assert connected.database_url
    story = await write_every_kind()
    ids: dict[str, object] = {**story.ids, "given": story.given}
    for name, row in (("reissued", lot_of("RELEASE", "overdue")), ("bonus", of("EARN", "top up"))):
        ids[name] = await db.fetch_value(named(row, ids))
    kinds = {row["kind"] for row in await db.fetch("SELECT DISTINCT kind FROM transfers")}
    assert kinds == set(TransferKind)
    await assert_whole()
    await unguard()
    return ids


@pytest.fixture
async def broken(books: dict[str, object]) -> AsyncIterator[dict[str, object]]:
    """The books, restored after the test."""
    yield books
    await restore()


@pytest.mark.parametrize("name", CASES)
async def test_the_row_that_is_wrong_is_named(broken: dict[str, object], name: str) -> None:
    await assert_named(CASES[name], broken)


async def test_what_stands_still_for_the_frozen_is_not_due(broken: dict[str, object]) -> None:
    """But points still become usable."""
    await db.execute("UPDATE members SET state = 'FROZEN', frozen_at = now() WHERE id = $1", broken["ann"])
    await db.execute("UPDATE accounts SET next_due_at = '2026-04-10 12:00Z' WHERE id = $1", broken["account of ann"])
    await assert_whole()
    await db.execute("UPDATE members SET state = 'ACTIVE', frozen_at = NULL WHERE id = $1", broken["ann"])
    assert (await verify_ledger()).first_wrong is not None
