"""Lots: what is left of points that came together, what moved them, where they came from and went."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base import clock
from engage.base.actor import READING_ROLES, Actor, Scope, require
from engage.base.ids import read_id
from engage.base.listings import OwnedListing
from engage.base.paging import NEWEST_FIRST, OLDEST_FIRST, Order, Page, Window
from engage.base.readings import Read, Reading, moment_of, read_alone, there
from engage.domains.ledger.queries.decoding import link_of, lot_link_of
from engage.domains.ledger.queries.history import NUMBER_MAX
from engage.domains.ledger.queries.records import LotLink, LotMove, LotRecord
from engage.domains.ledger.types import CurrencyKind, LotState, TransferKind


def _lot(row: list[Any]) -> LotRecord:
    lot_id, member_id, program, currency, money, state, amount, remaining, held, *more = row
    earned_at, usable_at, expires_at, hops, source = more
    return LotRecord(
        id=read_id(lot_id),
        member_id=read_id(member_id),
        program=program,
        currency=CurrencyKind(currency),
        money=money,
        state=LotState(state),
        amount=amount,
        remaining=remaining,
        held=held,
        earned_at=datetime.fromisoformat(earned_at),
        usable_at=moment_of(usable_at),
        expires_at=moment_of(expires_at),
        hops=hops,
        source=link_of(source),
    )


def _move(row: list[Any]) -> LotMove:
    number, transfer_id, kind, reason, amount, held, posted_at = row
    return LotMove(
        number=number,
        transfer_id=read_id(transfer_id),
        kind=TransferKind(kind),
        reason=reason,
        amount=amount,
        held=held,
        posted_at=datetime.fromisoformat(posted_at),
    )


def _links(value: list[list[Any]]) -> list[LotLink]:
    return [lot_link_of(row) for row in value]


LOTS: Reading[LotRecord | None] = Reading("SELECT key, value FROM engage.ledger_lots($1, $2)", _lot, None)
"""Lots by their ids; argument: now."""

_OF_ACCOUNT = """
(SELECT a.member_id AS id, a.id AS account, $6::timestamptz AS now FROM engage.ledger_accounts($1, $4, $5) a) o
"""

_LOTS_OF_MEMBERS = OwnedListing(
    NEWEST_FIRST,
    "SELECT l.id FROM lots l WHERE l.account_id = o.account AND l.id {past} $3 ORDER BY l.id {sort} LIMIT $2",
    row=_lot,
    key=lambda lot: (lot.id,),
    owners=_OF_ACCOUNT,
    shown="SELECT coalesce(json_agg(r.value ORDER BY r.id {sort}), '[]')"
    " FROM engage.ledger_lot_rows(ARRAY({rows}), o.now) r",
)

LOT_HISTORIES = OwnedListing(
    Order((-1,), (NUMBER_MAX,)),
    """
    SELECT json_build_array(m.number, m.transfer_id, t.kind, t.reason, m.amount, m.held, t.posted_at) AS value
      FROM (
        SELECT 0::bigint AS number, o.source_id AS transfer_id, o.amount, 0::bigint AS held WHERE 0::bigint {past} $3
        UNION ALL
        (SELECT x.id, x.transfer_id, x.amount, x.held FROM allocations x
          WHERE x.lot_id = o.id AND x.id {past} $3 ORDER BY x.id {sort} LIMIT $2)
        ORDER BY 1 {sort} LIMIT $2) m
      JOIN transfers t ON t.id = m.transfer_id ORDER BY m.number {sort}
    """,
    row=_move,
    key=lambda move: (move.number,),
    owners="(SELECT l.id, l.source_id, l.amount FROM lots l WHERE l.id = ANY ($1::uuid[])) o",
)
"""What moved lots, by the lots' ids and the numbers of allocations, oldest first: first (0) what made them."""

LOT_SUCCESSORS = OwnedListing(
    OLDEST_FIRST,
    """
    SELECT engage.ledger_lot_link(l) AS value FROM lots l
     WHERE l.origin_lot_id = o.id AND l.id {past} $3 ORDER BY l.id {sort} LIMIT $2
    """,
    row=lot_link_of,
    key=lambda link: (link.id,),
)
"""What descends from lots at once, by the lots' ids, in order."""

LOT_ORIGINS: Reading[list[LotLink]] = Reading("SELECT key, value FROM engage.ledger_lot_origins($1)", _links, [])
"""What lots descend from, by the lots' ids, the nearest first; a hundred at the most."""


async def list_lots(
    actor: Actor, member_id: UUID, program: str, currency: CurrencyKind, window: Window
) -> Page[LotRecord]:
    """A member's lots in a program, newest first, the used up ones too. Raises Forbidden, InvalidInput."""
    require(actor, READING_ROLES, Scope.POINTS_READ, own=member_id)
    return await _LOTS_OF_MEMBERS.page(read_alone, member_id, window, program, currency, clock.now())


async def get_lot(actor: Actor, lot_id: UUID, *, read: Read = read_alone, now: datetime | None = None) -> LotRecord:
    """One lot, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(LOTS, lot_id, now or clock.now())
    require(actor, READING_ROLES, Scope.POINTS_READ, own=None if record is None else record.member_id)
    return there(record, "lot")
