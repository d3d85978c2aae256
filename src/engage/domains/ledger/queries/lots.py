"""Lots: what is left of points that came together, what moved them, where they came from and went."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base import clock
from engage.base.actor import READING_ROLES, Actor, require
from engage.base.paging import Page, check_first, decode_cursor, page_of
from engage.base.readings import Fetch, Read, Reading, fetch_together, moment_of, read_alone, there
from engage.domains.ledger.queries.decoding import link_of, lot_link_of
from engage.domains.ledger.queries.history import NO_ID
from engage.domains.ledger.queries.records import LotLink, LotMove, LotRecord
from engage.domains.ledger.types import CurrencyKind, LotState, TransferKind

LAST_ID = UUID(int=2**128 - 1)
"""Above any id: a list that begins with the newest begins below it."""


def _lot(row: list[Any]) -> LotRecord:
    lot_id, member_id, program, currency, money, state, amount, remaining, held, *more = row
    earned_at, usable_at, expires_at, hops, source = more
    return LotRecord(
        id=UUID(lot_id),
        member_id=UUID(member_id),
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


def _lots(value: list[list[Any]]) -> list[LotRecord]:
    return [_lot(row) for row in value]


def _moves(value: list[list[Any]]) -> list[LotMove]:
    return [
        LotMove(
            number=number,
            transfer_id=UUID(transfer_id),
            kind=TransferKind(kind),
            reason=reason,
            amount=amount,
            held=held,
            posted_at=datetime.fromisoformat(posted_at),
        )
        for number, transfer_id, kind, reason, amount, held, posted_at in value
    ]


def _links(value: list[list[Any]]) -> list[LotLink]:
    return [lot_link_of(row) for row in value]


LOTS: Reading[LotRecord | None] = Reading("SELECT key, value FROM engage.ledger_lots($1, $2)", _lot, None)
"""Lots by their ids; argument: now."""

LOT_PAGES: Reading[list[LotRecord]] = Reading(
    "SELECT key, value FROM engage.ledger_lot_pages($1, $2, $3, $4, $5, $6)", _lots, []
)
"""Lots of members, newest first; arguments: program, currency, page size, id below which the page begins, now."""

LOT_HISTORIES: Reading[list[LotMove]] = Reading(
    "SELECT key, value FROM engage.ledger_lot_histories($1, $2, $3)", _moves, []
)
"""What moved lots, by the lots' ids, oldest first; arguments: page size, number behind which the page begins."""

LOT_ORIGINS: Reading[list[LotLink]] = Reading("SELECT key, value FROM engage.ledger_lot_origins($1)", _links, [])
"""What lots descend from, by the lots' ids, the nearest first; a hundred at the most."""

LOT_SUCCESSORS: Reading[list[LotLink]] = Reading(
    "SELECT key, value FROM engage.ledger_lot_successors($1, $2, $3)", _links, []
)
"""What descends from lots at once, by the lots' ids; arguments: page size, id behind which the page begins."""


def id_below(after: str | None) -> UUID:
    """The id below which a page that begins with the newest goes on after this cursor. Raises InvalidInput."""
    return LAST_ID if after is None else UUID(str(decode_cursor(after, [str])[0]))


def id_behind(after: str | None) -> UUID:
    """The id behind which a page that begins with the oldest goes on after this cursor. Raises InvalidInput."""
    return NO_ID if after is None else UUID(str(decode_cursor(after, [str])[0]))


def number_behind(after: str | None) -> int:
    """The number behind which a page of a lot's history begins. Raises InvalidInput."""
    return -1 if after is None else int(decode_cursor(after, [int])[0])


async def list_lots(
    actor: Actor, member_id: UUID, program: str, currency: CurrencyKind, first: int, below: UUID
) -> Page[LotRecord]:
    """A member's lots in a program, newest first, the used up ones too. Raises Forbidden, InvalidInput."""
    require(actor, READING_ROLES, own=member_id)
    args = (program, currency, check_first(first), below, clock.now())
    [found] = await fetch_together([Fetch(LOT_PAGES, (member_id,), args)])
    return page_of(found.get(str(member_id), LOT_PAGES.absent), first)


async def get_lot(actor: Actor, lot_id: UUID, *, read: Read = read_alone, now: datetime | None = None) -> LotRecord:
    """One lot, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(LOTS, lot_id, now or clock.now())
    require(actor, READING_ROLES, own=None if record is None else record.member_id)
    return there(record, "lot")
