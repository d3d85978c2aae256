"""Bulk points from files: what comes out, the second time too, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Forbidden, InvalidInput, NotFound
from engage.base.ids import new_id
from engage.domains.ledger.policy.service import publish_points_policy
from engage.domains.ledger.policy.types import ExpiryKind, PolicyTerms
from engage.domains.ledger.service import clawback_points
from engage.domains.ledger.types import POINTS_MAX, Balance
from engage.domains.members.errors import UnknownChannel
from engage.domains.members.service import ensure_members
from tests.earning.bulk import (
    ADJUST,
    EARN,
    EVERY,
    available,
    balance,
    new_members,
    numbered,
    points,
    post,
    results,
    transfers,
)
from tests.earning.till import STAFF, events, everything, new_card, new_program, rejected
from tests.ledger.books import assert_whole
from tests.ledger.soundness import assert_sound

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


async def test_earnings_have_their_totals_and_a_second_time_changes_nothing(program: str, tmp_path: Path) -> None:
    members = await new_members(2500)
    file = points(tmp_path, *(f"r{n},{member},{n + 1}" for n, member in enumerate(members)))
    done = await post(program, file)
    assert (done.rows, done.rows_new, done.rows_known, done.rejected) == (2500, 2500, 0, 0)
    assert (done.added, done.removed) == (2500 * 2501 // 2, 0)
    assert await available(members[::500], program) == [1, 501, 1001, 1501, 2001]
    await assert_whole()
    again = await post(program, file)
    assert (again.rows_new, again.rows_known, again.added) == (0, 2500, 0)
    assert await transfers(program) == 2500


async def test_corrections_go_up_and_down(program: str, tmp_path: Path) -> None:
    members = await new_members(3)
    await post(program, points(tmp_path, *numbered(members, 100)))
    rows = [f"a,{members[0]},-30", f"b,{members[1]},+7", f"c,{members[0]},5", f"d,{members[2]},-100"]
    file = points(tmp_path, *rows, name="corrections.csv")
    done = await post(program, file, ADJUST)
    assert (done.rows_new, done.added, done.removed, done.rejected) == (4, 12, 130, 0)
    assert await available(members, program) == [75, 107, 0]
    again = await post(program, file, ADJUST)
    assert (again.rows_new, again.rows_known, again.added, again.removed) == (0, 4, 0, 0)
    assert await available(members, program) == [75, 107, 0]
    kinds = [name for _, name, _ in await events(members[0])][-3:]
    assert kinds == ["ledger.points_earned.v1", "ledger.points_removed.v1", "ledger.points_added.v1"]
    await assert_sound()


async def test_every_column(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    rows = [
        f"k1,{member},50,BIRTHDAY,campaign,spring-26,2026-04-01,2026-05-01T08:00:00+08:00,for the party",
        f"k2,{member},5,,,,,,",
    ]
    with clock.frozen(NOON):
        done = await post(program, points(tmp_path, *rows, header=EVERY), reason="GOODWILL")
    assert (done.rows_new, done.rejected) == (2, 0)
    with clock.frozen(NOON):
        assert await balance(member, program) == Balance(available=5, pending=50)
    found = await db.fetch(
        "SELECT t.kind, t.amount, t.reason, t.cause_type, t.cause_id, t.actor_id, l.usable_at, l.expires_at, n.text"
        " FROM transfers t JOIN lots l ON l.source_id = t.id LEFT JOIN transfer_notes n ON n.transfer_id = t.id"
        " WHERE t.member_id = $1 ORDER BY t.version_after",
        member,
    )
    may = datetime(2026, 5, 1, tzinfo=UTC)
    april = datetime(2026, 4, 1, tzinfo=UTC)
    assert [tuple(row) for row in found] == [
        ("EARN", 50, "BIRTHDAY", "campaign", "spring-26", STAFF.id, april, may, "for the party"),
        ("EARN", 5, "GOODWILL", "job", str(done.job_id), STAFF.id, NOON, None, None),
    ]


async def test_notes_and_ends_of_corrections(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    rows = [f"k1,{member},50,LOST_CARD,,,,2099-01-01,told by phone", f"k2,{member},-20,MISTAKE,,,,,"]
    await post(program, points(tmp_path, *rows, header=EVERY), ADJUST)
    found = await db.fetch(
        "SELECT t.kind, t.reason, n.text, l.expires_at FROM transfers t LEFT JOIN lots l ON l.source_id = t.id"
        " LEFT JOIN transfer_notes n ON n.transfer_id = t.id WHERE t.member_id = $1 ORDER BY t.version_after",
        member,
    )
    assert [tuple(row) for row in found] == [
        ("ADJUST_UP", "LOST_CARD", "told by phone", datetime(2099, 1, 1, tzinfo=UTC)),
        ("ADJUST_DOWN", "MISTAKE", None, None),
    ]
    await assert_sound()


async def test_the_programs_policy_says_when_points_expire(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    terms = PolicyTerms(expiry_kind=ExpiryKind.CALENDAR, expiry_period="YEAR", expiry_count=1)  # type: ignore[arg-type]
    with clock.frozen(NOON):
        await publish_points_policy(SYSTEM, program=program, policy=terms, idempotency_key="1")
        await post(program, points(tmp_path, f"k,{member},50"))
    ends = await db.fetch_value("SELECT expires_at FROM lots WHERE member_id = $1", member)
    assert ends == datetime(2028, 1, 1, tzinfo=UTC)


async def test_earnings_and_corrections_pay_debt(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    await clawback_points(STAFF, member_id=member, program=program, amount=100, idempotency_key="c")
    assert (await balance(member, program)).debt == 100
    await post(program, points(tmp_path, f"k,{member},30"))
    await post(program, points(tmp_path, f"k,{member},20", name="up.csv"), ADJUST)
    assert await balance(member, program) == Balance(debt=50)
    await assert_sound()


async def test_members_by_an_identity(program: str, tmp_path: Path) -> None:
    cards = [new_card(), new_card()]
    async with db.transaction():
        known, _ = await ensure_members(cards)
    file = points(tmp_path, f"1, {cards[0].identifier},10", "2,nobody,10", f"3,{cards[1].identifier},20")
    done = await post(program, file, identity_channel="card")
    assert (done.rows_new, done.added) == (2, 30)
    assert rejected(done) == [(3, "member: There is no such member.")]
    assert await available([known[card] for card in cards], program) == [10, 20]


@pytest.mark.parametrize("operation", [EARN, ADJUST])
async def test_rows_that_name_an_absorbed_member_go_to_the_survivor(
    program: str, tmp_path: Path, operation: Any
) -> None:
    absorbed, survivor = await new_members(2)
    await db.execute("UPDATE members SET merged_into_id = $2, state = 'CANCELLED' WHERE id = $1", absorbed, survivor)
    done = await post(program, points(tmp_path, f"1,{absorbed},10", f"2,{survivor},5"), operation)
    assert (done.rows_new, done.rejected) == (2, 0)
    assert (await balance(survivor, program)).available == 15


EARNED = [
    ("b1,{m},0", "INVALID_INPUT", "amount: An amount is a whole number from 1"),
    ("b2,{m},-5", "INVALID_INPUT", "amount: An amount is a whole number from 1"),
    ("b3,{m},1.5", "INVALID_INPUT", "amount: '1.5' is no number of points; right would be 1000"),
    ("b4,{m},", "INVALID_INPUT", "amount: Nothing is no number of points"),
    (f"b5,{{m}},{POINTS_MAX + 1}", "INVALID_INPUT", "amount: An amount is a whole number"),
    (f"b6,{{m}},{POINTS_MAX}", "BALANCE_LIMIT", "amount: An account holds at most"),
    (",{m},5", "INVALID_INPUT", "row_key: A row key has 1 to 80"),
    ("b8,nobody,5", "INVALID_INPUT", "member: 'nobody' is no member's id"),
    ("b9,{nobody},5", "UNKNOWN_MEMBER", "member: There is no such member."),
    ("b10,{suspended},5", "MEMBER_NOT_ACTIVE", "member: The member is SUSPENDED."),
    ("b11,{cancelled},5", "MEMBER_NOT_ACTIVE", "member: The member is CANCELLED."),
    ("b12,{erased},5", "MEMBER_NOT_ACTIVE", "member: The member is ERASED."),
    ("b13,{m},5,no reason,,,,,", "INVALID_INPUT", "reason: A reason is a code"),
    ("b14,{m},5,,order,,,,", "INVALID_INPUT", "cause_id: A cause's id has 1 to 80"),
    ("b15,{m},5,,,7,,,", "INVALID_INPUT", "cause_type: A cause's type has 1 to 32"),
    ("b16,{m},5,,,,soon,,", "INVALID_INPUT", "usable_at: 'soon' is no date"),
    ("b17,{m},5,,,,,2020-01-01,", "INVALID_INPUT", "expires_at: Points must be usable for a while"),
    ("b18,{m},5,,,,2030-01-01,2029-01-01,", "INVALID_INPUT", "expires_at: Points must be usable for a while"),
    ("b19,{m},5,,,,,2999-01-01,", "INVALID_INPUT", "expires_at: This lies more than a hundred years ahead."),
    (f"b20,{{m}},5,,,,,,{'x' * 501}", "INVALID_INPUT", "note: At most 500 printable characters"),
    ("good,{m},6", "IDEMPOTENCY_CONFLICT", "row_key: Row 'good' was there before with other content"),
    ("b22,{m}", "BROKEN_ROW", "there are 2 values where the header has 9"),
]
CORRECTED = [
    ("c1,{m},0", "INVALID_INPUT", "amount: An amount is a whole number from 1"),
    ("c2,{m},-99", "INSUFFICIENT_POINTS", "amount: 99 points are needed and 10 are available."),
    (f"c3,{{m}},{POINTS_MAX}", "BALANCE_LIMIT", "amount: An account holds at most"),
    ("c4,{nobody},-5", "UNKNOWN_MEMBER", "member: There is no such member."),
    ("c5,{erased},5", "MEMBER_NOT_ACTIVE", "member: The member is ERASED."),
    ("c6,{m},5,,,,2030-01-01,,", "INVALID_INPUT", "usable_at: Corrected points can be used at once"),
    ("c7,{m},-5,,,,,2030-01-01,", "INVALID_INPUT", "expires_at: Points that are taken away have no end"),
    ("c8,{m},5,,,,,2020-01-01,", "INVALID_INPUT", "expires_at: Points must be usable for a while"),
]


@pytest.mark.parametrize(("operation", "wrong"), [(EARN, EARNED), (ADJUST, CORRECTED)])
async def test_refused_rows_do_not_touch_the_others(
    program: str, tmp_path: Path, operation: Any, wrong: list[tuple[str, str, str]]
) -> None:
    member, suspended, cancelled, erased = await new_members(4)
    for one, state in ((suspended, "SUSPENDED"), (cancelled, "CANCELLED"), (erased, "ERASED")):
        await db.execute("UPDATE members SET state = $2 WHERE id = $1", one, state)
    names = {"m": member, "suspended": suspended, "cancelled": cancelled, "erased": erased, "nobody": new_id()}
    rows = [text.format(**names) for text, _, _ in wrong]
    whole = [row if row.count(",") != 2 else f"{row},,,,,," for row in rows]
    file = points(tmp_path, f"good,{member},10,,,,,,", *whole, f"last,{member},7,,,,,,", header=EVERY)
    done = await post(program, file, operation)
    assert (done.rows, done.rows_new, done.rejected, done.added) == (len(rows) + 2, 2, len(rows), 17)
    assert (await balance(member, program)).available == 17
    assert [code for _, code, _ in await results(done.job_id)] == [code for _, code, _ in wrong]
    for (line, reason), (number, (_, _, told)) in zip(rejected(done), enumerate(wrong, 3), strict=True):
        assert (line, reason[: len(told)]) == (number, told)
    await assert_sound()
    again = await post(program, file, operation)
    assert (again.rows_new, again.rows_known, again.rejected) == (0, 2, len(rows))


async def test_a_result_tells_key_and_figures(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    done = await post(program, points(tmp_path, f"short,{member},-5"), ADJUST)
    [detail] = [
        orjson.loads(row[0])
        for row in await db.fetch("SELECT detail FROM job_results WHERE job_id = $1", done.job_id)
    ]
    assert detail == {
        "reason": "amount: 5 points are needed and 0 are available.",
        "row_key": "short",
        "available": 0,
        "required": 5,
    }


async def test_corrected_rejects_are_posted_under_their_own_keys(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    done = await post(program, points(tmp_path, f"a,{member},10", f"b,{member},ten"))
    assert done.rejects_path is not None
    done.rejects_path.write_text(done.rejects_path.read_text().replace(",ten,", ",12,"))
    again = await post(program, done.rejects_path)
    assert (again.rows, again.rows_new, again.added) == (1, 1, 12)
    assert (await balance(member, program)).available == 22


async def test_a_row_twice_in_a_file_counts_once(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    rows = [f"a,{member},10", f" a , {member} ,+10", f"b,{member},1", f"a,{member},10", f"b,{member},2"]
    for operation in (EARN, ADJUST):
        for size, name in ((1000, "one"), (2, "more")):
            before = (await balance(member, program)).available
            file = points(tmp_path, *rows, "", name=f"{name}.csv")
            done = await post(program, file, operation, batch_size=size, key=f"{operation} {size}")
            assert (done.rows_new, done.rows_known, done.rejected) == (2, 2, 1)
            assert [code for _, code, _ in await results(done.job_id)] == ["IDEMPOTENCY_CONFLICT"]
            assert (await balance(member, program)).available == before + 11


async def test_files_of_one_piece_of_work_share_their_keys(program: str, tmp_path: Path) -> None:
    one, two = await new_members(2)
    await post(program, points(tmp_path, f"a,{one},10"), key="june")
    file = points(tmp_path, f"a,{one},10", f"b,{two},10", name="whole.csv")
    done = await post(program, file, key="june")
    assert (done.rows_new, done.rows_known) == (1, 1)
    other = await post(program, file, key="july")
    assert (other.rows_new, other.rows_known) == (2, 0)
    changed = await post(program, points(tmp_path, f"a,{one},11", name="changed.csv"), key="june")
    assert [code for _, code, _ in await results(changed.job_id)] == ["IDEMPOTENCY_CONFLICT"]
    elsewhere = await new_program()
    assert (await post(elsewhere, file, key="june")).rows_new == 2
    assert await available([one, two], program) == [20, 20]


async def test_a_repetition_is_known_whatever_became_of_the_member(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    file = points(tmp_path, f"a,{member},10,2026-03-20", header="row_key,member,amount,expires_at")
    with clock.frozen(NOON):
        await post(program, file)
    await db.execute("UPDATE members SET state = 'SUSPENDED' WHERE id = $1", member)
    with clock.frozen(NOON + timedelta(days=300)):
        again = await post(program, file)
    assert (again.rows_known, again.rejected) == (1, 0)


async def test_row_keys_are_kept_as_long_as_books(program: str, tmp_path: Path) -> None:
    [member] = await new_members(1)
    before = await _kept_for_years()
    await post(program, points(tmp_path, f"a,{member},10"))
    await post(program, points(tmp_path, f"a,{member},-10"), ADJUST)
    assert await _kept_for_years() == before + 2


async def _kept_for_years() -> int:
    later = clock.now() + timedelta(days=3650)
    return int(await db.fetch_value("SELECT count(*) FROM idempotency_answers WHERE keep_until > $1", later))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"identity_channel": "nowhere"}, UnknownChannel),
        ({"reason": "no reason"}, InvalidInput),
        ({"key": ""}, InvalidInput),
        ({"key": "x" * 81}, InvalidInput),
        ({"batch_size": 0}, InvalidInput),
        ({"batch_size": 1001}, InvalidInput),
        ({"mapping": {"prize": "amount"}}, InvalidInput),
        ({"mapping": {"amount": ""}}, InvalidInput),
    ],
)
async def test_settings_that_cannot_be_are_refused(
    program: str, tmp_path: Path, settings: dict[str, Any], kind: type[Exception]
) -> None:
    file = points(tmp_path, f"1,{UUID(int=7)},5")
    before = await everything()
    with pytest.raises(kind):
        await post(program, file, **settings)
    with pytest.raises(NotFound):
        await post("nowhere", file)
    with pytest.raises(InvalidInput, match="no column 'row_key'"):
        await post(program, points(tmp_path, header="order_no,amount"))
    assert await everything() == before


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.MEMBER])
async def test_roles(program: str, tmp_path: Path, role: Role) -> None:
    with pytest.raises(Forbidden):
        await post(program, points(tmp_path, "1,a,1"), actor=Actor("someone", role))
