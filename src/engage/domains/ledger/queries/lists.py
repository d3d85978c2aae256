"""What waits or stands: holds, gifts, adjustments, rates, top-ups."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import READING_ROLES, STAFF_ROLES, Actor, require
from engage.base.errors import NotFound
from engage.base.paging import Page, check_first, decode_cursor, page_of
from engage.domains.ledger.models import Adjustment, ExchangeRate
from engage.domains.ledger.queries.decoding import gift_of, hold_of, top_up_of
from engage.domains.ledger.queries.lots import LAST_ID
from engage.domains.ledger.queries.records import TopUpRecord
from engage.domains.ledger.types import (
    AdjustmentRecord,
    AdjustmentState,
    GiftRecord,
    GiftState,
    HoldRecord,
    HoldState,
    RateRecord,
)
from engage.domains.members.queries import check_program

AFTER_ALL = (datetime(9999, 1, 1, tzinfo=UTC), LAST_ID)
"""Later than any adjustment: a list begins below it."""

VERSION_MAX = 2**31 - 1
"""Above any version of a rate: a list begins below it."""


class GiftDirection(StrEnum):
    """Which side of gifts a member was on."""

    SENT = "SENT"
    RECEIVED = "RECEIVED"


_HOLDS = """
SELECT engage.ledger_hold_row(h, $4) FROM holds h
 WHERE h.member_id = $1 AND h.id < $2
   AND ($3::text IS NULL OR $3 = CASE WHEN h.state = 'OPEN' AND h.deadline <= (SELECT engage.ledger_until($1, $4))
                                      THEN 'EXPIRED' ELSE h.state END)
 ORDER BY h.id DESC LIMIT $5
"""

_GIFTS = """
SELECT engage.ledger_gift_row(g, $4) FROM gifts g
 WHERE g.{side}_id = $1 AND g.id < $2
   AND ($3::text IS NULL OR $3 = CASE WHEN engage.ledger_gift_over(g, $4) THEN 'EXPIRED' ELSE g.state END)
 ORDER BY g.id DESC LIMIT $5
"""

_ADJUSTMENTS = """
SELECT * FROM adjustments WHERE state = $1 AND (asked_at, id) < ($2, $3) ORDER BY asked_at DESC, id DESC LIMIT $4
"""

_RATES = """
SELECT * FROM exchange_rates
 WHERE from_program = $1 AND to_program = $2 AND version < $3
   AND ($4::timestamptz IS NULL OR id = (engage.ledger_rate($1, $2, $4)).id AND coalesce(ends_at > $4, true))
 ORDER BY version DESC LIMIT $5
"""

_TOP_UPS = """
SELECT engage.ledger_top_up_row(u) FROM top_ups u WHERE u.member_id = $1 AND u.id < $2 ORDER BY u.id DESC LIMIT $3
"""

MONEY_OF = """
    SELECT CASE c.kind WHEN 'CASH' THEN engage.program_money(c.program_code) END AS money
      FROM transfers t JOIN currencies c ON c.id = t.currency_id WHERE t.id = $1
"""


def rate_record(row: ExchangeRate) -> RateRecord:
    """A rate as others see it."""
    return RateRecord(
        id=row.id,
        from_program=row.from_program,
        to_program=row.to_program,
        version=row.version,
        numerator=row.numerator,
        denominator=row.denominator,
        effective_at=row.effective_at,
        ends_at=row.ends_at,
        published_at=row.published_at,
    )


def adjustment_record(row: Adjustment) -> AdjustmentRecord:
    """A correction as staff see it."""
    return AdjustmentRecord(
        id=row.id,
        member_id=row.member_id,
        program=row.program_code,
        amount=row.amount,
        reason=row.reason,
        note=row.note,
        expires_at=row.expires_at,
        state=AdjustmentState(row.state),
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        transfer_id=row.transfer_id,
    )


async def adjust_alone_max(program: str) -> int | None:
    """How large a correction one person may make alone in this program; None where there is no such limit."""
    sql = "SELECT (engage.ledger_policy($1, $2)).adjust_alone_max"
    found: int | None = await db.fetch_value(sql, program, clock.now())
    return found


async def find_money(transfer_id: UUID) -> str | None:
    """The currency of money that a transfer is in; None where it moved points, or is not there."""
    row = await db.fetch_row(MONEY_OF, transfer_id)
    return None if row is None else row["money"]


async def get_money(actor: Actor, transfer_id: UUID, *, path: str) -> str | None:
    """The same, for the commands of staff that name a transfer or a hold. Raises Forbidden, NotFound."""
    require(actor, STAFF_ROLES)
    row = await db.fetch_row(MONEY_OF, transfer_id)
    if row is None:
        raise NotFound(f"There is no such {path.removesuffix('Id')}.", path=[path])
    money: str | None = row["money"]
    return money


async def find_gift_sender(gift_id: UUID) -> UUID | None:
    """Who gave this gift, for the check of who may decide; None where there is no such gift."""
    found: UUID | None = await db.fetch_value("SELECT sender_id FROM gifts WHERE id = $1", gift_id)
    return found


async def find_gift_recipient(gift_id: UUID) -> UUID | None:
    """Who is to get this gift, for the check of who may decide; None where there is no such gift."""
    found: UUID | None = await db.fetch_value("SELECT recipient_id FROM gifts WHERE id = $1", gift_id)
    return found


def adjustments_below(after: str | None) -> tuple[datetime, UUID]:
    """The moment and id below which a page after this cursor begins. Raises InvalidInput."""
    if after is None:
        return AFTER_ALL
    at, adjustment_id = decode_cursor(after, [str, str])
    return datetime.fromisoformat(str(at)), UUID(str(adjustment_id))


def rates_below(after: str | None) -> int:
    """The version below which a page after this cursor begins. Raises InvalidInput."""
    return VERSION_MAX if after is None else int(decode_cursor(after, [int])[0])


async def list_holds(
    actor: Actor, member_id: UUID, state: HoldState | None, first: int, below: UUID
) -> Page[HoldRecord]:
    """A member's holds of points and stored value in all programs, newest first; of one state where it is named.

    Raises Forbidden, InvalidInput.
    """
    require(actor, READING_ROLES, own=member_id)
    rows = await db.fetch(_HOLDS, member_id, below, state, clock.now(), check_first(first) + 1)
    return page_of([hold_of(orjson.loads(row[0])) for row in rows], first)


async def list_gifts(
    actor: Actor, member_id: UUID, direction: GiftDirection, state: GiftState | None, first: int, below: UUID
) -> Page[GiftRecord]:
    """Gifts that a member has sent, or those to them, newest first; of one state where it is named.

    Raises Forbidden, InvalidInput.
    """
    require(actor, READING_ROLES, own=member_id)
    sql = _GIFTS.format(side="sender" if direction is GiftDirection.SENT else "recipient")
    rows = await db.fetch(sql, member_id, below, state, clock.now(), check_first(first) + 1)
    return page_of([gift_of(orjson.loads(row[0])) for row in rows], first)


async def list_adjustments(
    actor: Actor, state: AdjustmentState, first: int, below: tuple[datetime, UUID]
) -> Page[AdjustmentRecord]:
    """Corrections that took a second person, in one state, newest first. Raises Forbidden, InvalidInput."""
    require(actor, READING_ROLES)
    rows = await db.fetch(_ADJUSTMENTS, state, *below, check_first(first) + 1)
    return page_of([adjustment_record(Adjustment(**row)) for row in rows], first)


async def list_exchange_rates(
    from_program: str, to_program: str, at: datetime | None, first: int, below: int
) -> Page[RateRecord]:
    """All rates from one program to another, newest first, or the one in force at a moment. For everyone signed in.

    Raises InvalidInput, NotFound.
    """
    for code, path in ((from_program, "from"), (to_program, "to")):
        await check_program(code, path=path)
    rows = await db.fetch(_RATES, from_program, to_program, below, at, check_first(first) + 1)
    return page_of([rate_record(ExchangeRate(**row)) for row in rows], first)


async def list_top_ups(actor: Actor, member_id: UUID, first: int, below: UUID) -> Page[TopUpRecord]:
    """What a member has paid in, in all programs, newest first. Raises Forbidden, InvalidInput."""
    require(actor, READING_ROLES, own=member_id)
    rows = await db.fetch(_TOP_UPS, member_id, below, check_first(first) + 1)
    return page_of([top_up_of(orjson.loads(row[0])) for row in rows], first)
