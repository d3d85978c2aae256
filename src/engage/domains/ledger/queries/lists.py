"""What waits or stands: holds, gifts, adjustments, rates, top-ups."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import READING_ROLES, STAFF_ROLES, Actor, Scope, require
from engage.base.errors import NotFound
from engage.base.listings import Listing
from engage.base.paging import LATEST_FIRST, NEWEST_FIRST, NEWEST_VERSION_FIRST, Page, Window
from engage.domains.ledger.models import Adjustment, ExchangeRate
from engage.domains.ledger.queries.decoding import gift_of, hold_of, top_up_of
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


class GiftDirection(StrEnum):
    """Which side of gifts a member was on."""

    SENT = "SENT"
    RECEIVED = "RECEIVED"


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
    require(actor, STAFF_ROLES, Scope.POINTS_READ)
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


_HOLDS = Listing(
    NEWEST_FIRST,
    """
    SELECT engage.ledger_hold_row(h, $5) FROM holds h
     WHERE h.member_id = $3 AND h.id {past} $2
       AND ($4::text IS NULL OR $4 = CASE WHEN h.state = 'OPEN' AND h.deadline <= (SELECT engage.ledger_until($3, $5))
                                          THEN 'EXPIRED' ELSE h.state END)
     ORDER BY h.id {sort} LIMIT $1
    """,
    row=lambda row: hold_of(orjson.loads(row[0])),
    key=lambda hold: (hold.id,),
)


def _gifts(side: str) -> Listing[GiftRecord]:
    return Listing(
        NEWEST_FIRST,
        f"""
        SELECT engage.ledger_gift_row(g, $5) FROM gifts g
         WHERE g.{side} = $3 AND g.id {{past}} $2
           AND ($4::text IS NULL OR $4 = CASE WHEN engage.ledger_gift_over(g, $5) THEN 'EXPIRED' ELSE g.state END)
         ORDER BY g.id {{sort}} LIMIT $1
        """,  # noqa: S608 -- the name of a column
        row=lambda row: gift_of(orjson.loads(row[0])),
        key=lambda gift: (gift.id,),
    )


_GIFTS = {GiftDirection.SENT: _gifts("sender_id"), GiftDirection.RECEIVED: _gifts("recipient_id")}

_ADJUSTMENTS = Listing(
    LATEST_FIRST,
    """
    SELECT * FROM adjustments WHERE state = $4 AND (asked_at, id) {past} ($2, $3)
     ORDER BY asked_at {sort}, id {sort} LIMIT $1
    """,
    row=lambda row: adjustment_record(Adjustment(**row)),
    key=lambda adjustment: (adjustment.asked_at, adjustment.id),
)

_RATES = Listing(
    NEWEST_VERSION_FIRST,
    """
    SELECT * FROM exchange_rates
     WHERE from_program = $3 AND to_program = $4 AND version {past} $2
       AND ($5::timestamptz IS NULL OR id = (engage.ledger_rate($3, $4, $5)).id AND coalesce(ends_at > $5, true))
     ORDER BY version {sort} LIMIT $1
    """,
    row=lambda row: rate_record(ExchangeRate(**row)),
    key=lambda rate: (rate.version,),
)

_TOP_UPS = Listing(
    NEWEST_FIRST,
    """
    SELECT engage.ledger_top_up_row(u) FROM top_ups u
     WHERE u.member_id = $3 AND u.id {past} $2 ORDER BY u.id {sort} LIMIT $1
    """,
    row=lambda row: top_up_of(orjson.loads(row[0])),
    key=lambda top_up: (top_up.id,),
)


async def list_holds(actor: Actor, member_id: UUID, state: HoldState | None, window: Window) -> Page[HoldRecord]:
    """A member's holds of points and stored value in all programs, newest first; of one state where it is named.

    Raises Forbidden, InvalidInput.
    """
    require(actor, READING_ROLES, Scope.POINTS_READ, own=member_id)
    return await _HOLDS.page(window, member_id, state, clock.now())


async def list_gifts(
    actor: Actor, member_id: UUID, direction: GiftDirection, state: GiftState | None, window: Window
) -> Page[GiftRecord]:
    """Gifts that a member has sent, or those to them, newest first; of one state where it is named.

    Raises Forbidden, InvalidInput.
    """
    require(actor, READING_ROLES, Scope.POINTS_READ, own=member_id)
    return await _GIFTS[direction].page(window, member_id, state, clock.now())


async def list_adjustments(actor: Actor, state: AdjustmentState, window: Window) -> Page[AdjustmentRecord]:
    """Corrections that took a second person, in one state, newest first. Raises Forbidden, InvalidInput."""
    require(actor, READING_ROLES, Scope.POINTS_READ)
    return await _ADJUSTMENTS.page(window, state)


async def list_exchange_rates(
    from_program: str, to_program: str, at: datetime | None, window: Window
) -> Page[RateRecord]:
    """All rates from one program to another, newest first, or the one in force at a moment. For everyone signed in.

    Raises InvalidInput, NotFound.
    """
    for code, path in ((from_program, "from"), (to_program, "to")):
        await check_program(code, path=path)
    return await _RATES.page(window, from_program, to_program, at)


async def list_top_ups(actor: Actor, member_id: UUID, window: Window) -> Page[TopUpRecord]:
    """What a member has paid in, in all programs, newest first. Raises Forbidden, InvalidInput."""
    require(actor, READING_ROLES, Scope.POINTS_READ, own=member_id)
    return await _TOP_UPS.page(window, member_id)
