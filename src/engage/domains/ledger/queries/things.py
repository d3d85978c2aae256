"""Single things that the ledger's lists show, by their ids: holds, gifts, top-ups, adjustments, rates.

Each is as open as its list. One member gets the same refusal of what is another's and of what is not there.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from engage.base import clock
from engage.base.actor import READING_ROLES, Actor, Scope, require
from engage.base.readings import Read, Reading, read_alone, there
from engage.domains.ledger.models import Adjustment, ExchangeRate
from engage.domains.ledger.queries.decoding import gift_of, hold_of, top_up_of
from engage.domains.ledger.queries.lists import adjustment_record, rate_record
from engage.domains.ledger.queries.records import TopUpRecord
from engage.domains.ledger.types import AdjustmentRecord, GiftRecord, HoldRecord, RateRecord

HOLDS: Reading[HoldRecord | None] = Reading(
    "SELECT h.id::text, engage.ledger_hold_row(h, $2) FROM holds h WHERE h.id = ANY ($1)", hold_of, None
)
"""Holds by their ids; argument: now."""

GIFTS: Reading[GiftRecord | None] = Reading(
    "SELECT g.id::text, engage.ledger_gift_row(g, $2) FROM gifts g WHERE g.id = ANY ($1)", gift_of, None
)
"""Gifts by their ids; argument: now."""

TOP_UPS: Reading[TopUpRecord | None] = Reading(
    "SELECT u.id::text, engage.ledger_top_up_row(u) FROM top_ups u WHERE u.id = ANY ($1)", top_up_of, None
)
"""Top-ups by their ids."""

ADJUSTMENTS: Reading[AdjustmentRecord | None] = Reading(
    "SELECT a.id::text, to_json(a) FROM adjustments a WHERE a.id = ANY ($1)",
    lambda value: adjustment_record(Adjustment(**value)),
    None,
)
"""Corrections that took a second person, by their ids."""

RATES: Reading[RateRecord | None] = Reading(
    "SELECT r.id::text, to_json(r) FROM exchange_rates r WHERE r.id = ANY ($1)",
    lambda value: rate_record(ExchangeRate(**value)),
    None,
)
"""Rates by their ids."""


async def get_hold(
    actor: Actor, hold_id: UUID, *, read: Read = read_alone, now: datetime | None = None
) -> HoldRecord:
    """One hold, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(HOLDS, hold_id, now or clock.now())
    require(actor, READING_ROLES, Scope.POINTS_READ, own=None if record is None else record.member_id)
    return there(record, "hold")


async def get_gift(
    actor: Actor, gift_id: UUID, *, read: Read = read_alone, now: datetime | None = None
) -> GiftRecord:
    """One gift, for both of its members and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(GIFTS, gift_id, now or clock.now())
    theirs = record is not None and actor.member_id in (record.sender_id, record.recipient_id)
    require(actor, READING_ROLES, Scope.POINTS_READ, own=actor.member_id if theirs else None)
    return there(record, "gift")


async def get_top_up(actor: Actor, top_up_id: UUID, *, read: Read = read_alone) -> TopUpRecord:
    """One top-up, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(TOP_UPS, top_up_id)
    require(actor, READING_ROLES, Scope.POINTS_READ, own=None if record is None else record.member_id)
    return there(record, "top-up")


async def get_adjustment(actor: Actor, adjustment_id: UUID, *, read: Read = read_alone) -> AdjustmentRecord:
    """One correction that took a second person, for those who see their queue. Raises Forbidden, NotFound."""
    require(actor, READING_ROLES, Scope.POINTS_READ)
    return there(await read(ADJUSTMENTS, adjustment_id), "adjustment")


async def get_exchange_rate(rate_id: UUID, *, read: Read = read_alone) -> RateRecord:
    """One rate; no secret to anyone who is signed in. Raises NotFound."""
    return there(await read(RATES, rate_id), "exchange rate")
