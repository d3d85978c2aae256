"""`engage ledger verify`: each way in which a ledger can be wrong, broken by hand, is found and named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.settings import Settings
from engage.domains.ledger import verify
from engage.domains.ledger.findings import Finding
from engage.domains.ledger.verify import verify_ledger
from tests.ledger.books import NOON, assert_whole, earn, new_member, new_program, spend
from tests.ledger.breaking import TABLES, Case, assert_named, restore, unguard

DAY = timedelta(days=1)


async def _write_books() -> dict[str, UUID]:
    """Two members with all kinds of transfers between them. Answers the ids that the cases speak of."""
    program, other = await new_program(), await new_program()
    one, two = await new_member(), await new_member()
    with clock.frozen(NOON):
        first = await earn(one, program, 100)
    with clock.frozen(NOON + timedelta(minutes=1)):
        await earn(one, program, 50, usable_at=NOON + DAY)
        await earn(one, program, 30, expires_at=NOON + DAY)
        await earn(two, program, 20, usable_at=NOON + 10 * DAY)
        small = await earn(two, program, 5, expires_at=NOON + 20 * DAY)
        await earn(two, other, 1)
    with clock.frozen(NOON + 2 * DAY):
        spent = await spend(one, program, 120)
        await earn(one, program, 10, expires_at=NOON + 30 * DAY)
    ids = {"one": one, "two": two, "first": first.transfer_id, "spent": spent.transfer_id, "small": small.transfer_id}
    currency = await db.fetch_value("SELECT engage.ledger_currency($1)", program)
    ids["currency"] = currency
    ids["other"] = await db.fetch_value("SELECT engage.ledger_currency($1)", other)
    for name, member in (("account_one", one), ("account_two", two)):
        ids[name] = await db.fetch_value(
            "SELECT id FROM accounts WHERE member_id = $1 AND currency_id = $2", member, currency
        )
    for kind in ("ISSUED", "EXPIRED"):
        ids[kind.lower()] = await db.fetch_value("SELECT engage.ledger_house($1, $2)", currency, kind)
    for amount in (100, 50, 30, 20, 5, 10):
        ids[f"lot_{amount}"] = await db.fetch_value(
            "SELECT id FROM lots WHERE account_id = ANY ($1) AND amount = $2",
            [ids["account_one"], ids["account_two"]],
            amount,
        )
    return ids


@pytest.fixture(scope="module")
async def books(connected: Settings) -> dict[str, UUID]:
    assert connected.database_url
    ids = await _write_books()
    await assert_whole()
    await unguard()
    return ids


@pytest.fixture
async def broken(books: dict[str, UUID]) -> AsyncIterator[dict[str, UUID]]:
    """The books, restored after the test."""
    yield books
    await restore()


LEG = "SELECT id FROM entries WHERE transfer_id = '{spent}' AND bucket = 'AVAILABLE'"
HOUSE_LEG = "SELECT id FROM entries WHERE transfer_id = '{spent}' AND bucket = 'HOUSE'"
EARNING_LEG = "SELECT id FROM entries WHERE transfer_id = '{first}' AND bucket = 'AVAILABLE'"
LAST_LEG = "SELECT id FROM entries WHERE account_id = '{account_one}' AND version = 8"
SPENT, FIRST, SMALL = "SELECT '{spent}'::uuid", "SELECT '{first}'::uuid", "SELECT '{small}'::uuid"
TAKEN = "SELECT id FROM allocations WHERE lot_id = '{lot_50}'"
ACCOUNT = "SELECT '{account_one}'::uuid"
EVENT = "SELECT id FROM events WHERE stream = 'member:{one}' AND position = 3"
STREAM = "SELECT 'member:{one}'"

CASES = {
    # entries
    "amount of a member's leg": Case(
        LEG, "UPDATE entries SET amount = -121 WHERE id = $1", "amount", "-121", "-120", "entries"
    ),
    "amount of the house's leg": Case(
        HOUSE_LEG, "UPDATE entries SET amount = 119 WHERE id = $1", "amount", "119", "120", "entries"
    ),
    "sign of a leg": Case(LEG, "UPDATE entries SET amount = 120 WHERE id = $1", "amount", "120", "-120", "entries"),
    "leg of another kind": Case(
        LEG,
        "UPDATE entries SET bucket = 'PENDING' WHERE id = $1",
        "leg", "PENDING", "AVAILABLE or REDEEMED", "entries",
    ),
    "leg of another house account": Case(
        HOUSE_LEG,
        "UPDATE entries SET account_id = '{expired}' WHERE id = $1",
        "leg", "EXPIRED", "AVAILABLE or REDEEMED", "entries",
    ),
    "leg of another member": Case(
        LEG,
        "UPDATE entries SET account_id = '{account_two}' WHERE id = $1",
        "account", "{account_two}", "{account_one}", "entries",
    ),
    "leg in another currency": Case(
        HOUSE_LEG,
        "UPDATE entries SET account_id = engage.ledger_house('{other}', 'REDEEMED') WHERE id = $1",
        "currency", "{other}", "{currency}", "entries",
    ),
    "bucket of an earning": Case(
        EARNING_LEG,
        "UPDATE entries SET bucket = 'PENDING' WHERE id = $1",
        "bucket", "PENDING", "AVAILABLE", "entries",
    ),
    "leg without version": Case(
        LEG,
        "UPDATE entries SET version = NULL WHERE id = $1",
        "version and balance", "30", "both for a member", "entries",
    ),
    "leg of the house with a balance": Case(
        HOUSE_LEG,
        "UPDATE entries SET balance_after = 7 WHERE id = $1",
        "version and balance", "7", "none for the house", "entries",
    ),
    "gap in the versions": Case(
        LAST_LEG, "UPDATE entries SET version = 9 WHERE id = $1", "version", "9", "8", "entries"
    ),
    "balance after an entry": Case(
        LEG, "UPDATE entries SET balance_after = 31 WHERE id = $1", "balance after", "31", "30", "entries"
    ),
    # transfers
    "leg removed": Case(
        SPENT,
        "DELETE FROM entries WHERE transfer_id = $1 AND bucket = 'HOUSE'",
        "entries", "1 that sum to -120", "2 that sum to 0", "transfers",
    ),
    "both legs removed": Case(
        SPENT,
        "DELETE FROM entries WHERE transfer_id = $1",
        "entries", "0 that sum to 0", "2 that sum to 0", "transfers",
    ),
    "amount of a transfer": Case(
        SPENT, "UPDATE transfers SET amount = 121 WHERE id = $1", "amount", "121", "120", "transfers"
    ),
    "member of a transfer": Case(
        SPENT,
        "UPDATE transfers SET member_id = '{two}' WHERE id = $1",
        "member", "{two}", "{one}", "transfers",
    ),
    "currency of a transfer": Case(
        SPENT,
        "UPDATE transfers SET currency_id = '{other}' WHERE id = $1",
        "currency", "{other}", "{currency}", "transfers",
    ),
    "version after a transfer": Case(
        SPENT, "UPDATE transfers SET version_after = 70 WHERE id = $1", "version after", "70", "7", "transfers"
    ),
    "balance after a transfer": Case(
        SPENT, "UPDATE transfers SET balance_after = 31 WHERE id = $1", "balance after", "31", "30", "transfers"
    ),
    # allocations
    "amount of an allocation": Case(
        TAKEN, "UPDATE allocations SET amount = -21 WHERE id = $1", "amount", "-21", "-20", "allocations"
    ),
    "allocation from another's lot": Case(
        TAKEN,
        "UPDATE allocations SET lot_id = '{lot_20}' WHERE id = $1",
        "account of the lot", "{account_two}", "{account_one}", "allocations",
    ),
    "allocation removed": Case(
        SPENT,
        "DELETE FROM allocations WHERE transfer_id = $1 AND lot_id = '{lot_50}'",
        "allocations", "-100", "-120", "transfers",
    ),
    "all allocations removed": Case(
        SPENT, "DELETE FROM allocations WHERE transfer_id = $1", "allocations", "0", "-120", "transfers"
    ),
    "allocation of an earning": Case(
        SMALL,
        "INSERT INTO allocations (id, transfer_id, lot_id, amount) VALUES (999, $1, '{lot_5}', -1)",
        "amount", "-1", "0", "allocations:999",
    ),
    # lots
    "earning without a lot": Case(
        SMALL, "DELETE FROM lots WHERE source_id = $1", "lots", "0", "1", "transfers"
    ),
    "earning with two lots": Case(
        SMALL,
        "INSERT INTO lots (id, account_id, member_id, state, amount, remaining, earned_at, usable_at, source_id)"
        " SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', account_id, member_id, state, amount, remaining, earned_at,"
        " usable_at, source_id FROM lots WHERE source_id = $1",
        "source", "{small}", "one lot of each earning", "lots:ffffffff-ffff-7fff-bfff-ffffffffffff",
    ),
    "lot of a spend": Case(
        "SELECT '{lot_10}'::uuid",
        "UPDATE lots SET source_id = '{spent}' WHERE id = $1",
        "source", "{spent}", "a transfer that makes lots", "lots",
    ),
    "amount of a lot": Case(
        "SELECT '{lot_5}'::uuid", "UPDATE lots SET amount = 6 WHERE id = $1", "amount", "6", "5", "lots"
    ),
    "account of a lot": Case(
        "SELECT '{lot_5}'::uuid",
        "UPDATE lots SET account_id = '{account_one}' WHERE id = $1",
        "account", "{account_one}", "{account_two}", "lots",
    ),
    "member of a lot": Case(
        "SELECT '{lot_5}'::uuid",
        "UPDATE lots SET member_id = '{one}' WHERE id = $1",
        "member", "{one}", "{two}", "lots",
    ),
    "lot open too early": Case(
        "SELECT '{lot_20}'::uuid", "UPDATE lots SET state = 'OPEN' WHERE id = $1", "state", "OPEN", "PENDING", "lots"
    ),
    "lot pending again": Case(
        "SELECT '{lot_50}'::uuid",
        "UPDATE lots SET state = 'PENDING' WHERE id = $1",
        "state", "PENDING", "OPEN", "lots",
    ),
    "lot pending that never was": Case(
        "SELECT '{lot_5}'::uuid",
        "UPDATE lots SET state = 'PENDING' WHERE id = $1",
        "state", "PENDING", "OPEN", "lots",
    ),
    "less remains than there is": Case(
        "SELECT '{lot_50}'::uuid", "UPDATE lots SET remaining = 29 WHERE id = $1", "remaining", "29", "30", "lots"
    ),
    "more remains than there was": Case(
        "SELECT '{lot_5}'::uuid", "UPDATE lots SET remaining = 6 WHERE id = $1", "remaining", "6", "5", "lots"
    ),
    "lot closed too early": Case(
        "SELECT '{lot_10}'::uuid", "UPDATE lots SET state = 'CLOSED' WHERE id = $1", "state", "CLOSED", "OPEN", "lots"
    ),
    "lot open that is empty": Case(
        "SELECT '{lot_100}'::uuid", "UPDATE lots SET state = 'OPEN' WHERE id = $1", "state", "OPEN", "CLOSED", "lots"
    ),
    # accounts
    **{
        f"{figure} of an account": Case(
            ACCOUNT,
            f"UPDATE accounts SET {figure} = {figure} + 1 WHERE id = $1",  # noqa: S608
            figure, str(stored + 1), str(stored), "accounts",
        )
        for figure, stored in (("version", 8), ("available", 40), ("pending", 0), ("held", 0), ("debt", 0))
    },
    "nothing falls due": Case(
        ACCOUNT,
        "UPDATE accounts SET next_due_at = NULL WHERE id = $1",
        "next due, at the latest", None, "2026-04-09 12:00:00+00", "accounts",
    ),
    "due too late": Case(
        ACCOUNT,
        "UPDATE accounts SET next_due_at = '2026-04-10 12:00Z' WHERE id = $1",
        "next due, at the latest", "2026-04-10 12:00:00+00", "2026-04-09 12:00:00+00", "accounts",
    ),
    "figures of the house": Case(
        "SELECT '{issued}'::uuid",
        "UPDATE accounts SET available = 1 WHERE id = $1",
        "available", "1", "0", "accounts",
    ),
    "the house falls due": Case(
        "SELECT '{issued}'::uuid",
        "UPDATE accounts SET next_due_at = '2026-04-10 12:00Z' WHERE id = $1",
        "next due of the house", "2026-04-10 12:00:00+00", None, "accounts",
    ),
    # streams
    "event removed": Case(
        EVENT, "DELETE FROM events WHERE stream = 'member:{one}' AND position = 2 AND $1 <> id", "position", "3", "2",
        "events",
    ),
    "event out of place": Case(
        EVENT, "UPDATE events SET position = 30 WHERE id = $1", "position", "4", "3",
        "events:SELECT id FROM events WHERE stream = 'member:{one}' AND position = 4",
    ),
    "head ahead of its stream": Case(
        STREAM, "UPDATE stream_heads SET position = 8 WHERE id = $1", "position", "8", "7", "stream_heads"
    ),
    "stream without a head": Case(
        "SELECT id FROM events WHERE stream = 'member:{one}' AND position = 1",
        "DELETE FROM stream_heads WHERE id = 'member:{one}' AND $1::uuid IS NOT NULL",
        "position", "1", "a head of member:{one}", "events",
    ),
    "last stream without a head": Case(
        "SELECT id FROM events WHERE stream = 'member:{two}' AND position = 1",
        "DELETE FROM stream_heads WHERE id = 'member:{two}' AND $1::uuid IS NOT NULL",
        "position", "1", "a head of member:{two}", "events",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_the_row_that_is_wrong_is_named(broken: dict[str, UUID], name: str) -> None:
    await assert_named(CASES[name], broken)


async def test_a_due_date_that_is_too_early_is_no_fault(broken: dict[str, UUID]) -> None:
    await db.execute("UPDATE accounts SET next_due_at = $2 WHERE id = $1", broken["account_one"], NOON)
    await assert_whole()


async def test_events_that_were_pruned_are_no_fault(broken: dict[str, UUID]) -> None:
    stream = f"member:{broken['one']}"
    await db.execute("DELETE FROM events WHERE stream = $1 AND position <= 3", stream)
    assert (await verify_ledger()).first_wrong is not None
    await db.execute("UPDATE stream_heads SET kept_from = 4 WHERE id = $1", stream)
    await assert_whole()
    await db.execute("DELETE FROM events WHERE stream = $1", stream)
    await db.execute("UPDATE stream_heads SET kept_from = position + 1 WHERE id = $1", stream)
    await assert_whole()


@pytest.mark.parametrize("size", [1, 2, 3, 50_000])
async def test_ranges_of_any_size_cover_every_row(
    broken: dict[str, UUID], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(verify, "RANGE_ROWS", size)
    seen: list[tuple[int, int]] = []
    report = await verify_ledger(lambda done, total: seen.append((done, total)))
    assert report.ok
    counts = {table: await db.fetch_value(f"SELECT count(*) FROM {table}") for table in TABLES}  # noqa: S608
    assert report.rows == counts
    total = sum(count for table, count in counts.items() if table not in ("entries", "allocations", "events"))
    assert seen[-1] == (total, total)
    assert seen == sorted(set(seen))
    assert size > 1 or [done for done, _ in seen] == list(range(1, total + 1))
    for account in await db.fetch("SELECT id FROM accounts WHERE currency_id <> $1", broken["other"]):
        await db.execute("UPDATE accounts SET held = 1 WHERE id = $1", account["id"])
        found = (await verify_ledger()).first_wrong
        assert found == Finding("accounts", str(account["id"]), "held", "1", "0")
        await db.execute("UPDATE accounts SET held = 0 WHERE id = $1", account["id"])


async def test_a_ledger_without_rows_is_whole(broken: dict[str, UUID]) -> None:
    assert broken
    await db.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
    calls: list[tuple[int, int]] = []
    report = await verify_ledger(lambda done, total: calls.append((done, total)))
    assert (report.ok, set(report.rows.values()), calls) == (True, {0}, [])


def test_a_finding_is_a_sentence() -> None:
    finding = Finding("lots", "7", "remaining", "29", None)
    assert str(finding) == "lots 7: remaining is 29, should be nothing."
