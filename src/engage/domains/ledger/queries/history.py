"""The ledger's history: what a balance was, the statement, and all that can be told of one transfer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base import clock
from engage.base.actor import READING_ROLES, Actor, require
from engage.base.errors import InvalidInput
from engage.base.paging import Page, decode_cursor, page_of
from engage.base.readings import Read, Reading, read_alone, there
from engage.domains.ledger import rules
from engage.domains.ledger.queries.decoding import (
    balance_of,
    debt_of,
    entry_of,
    gift_of,
    hold_of,
    link_of,
    transfer_of,
)
from engage.domains.ledger.queries.records import LotShare, StoredValue, TransferDetails
from engage.domains.ledger.types import Balance, TransferRecord

BELOW_ALL = 2**62
"""A version that no account reaches: a statement begins below it."""

NO_ID = UUID(int=0)
"""Before any id: a list in the order of ids begins behind it."""


def _stored_value(value: dict[str, Any]) -> StoredValue:
    return StoredValue(value["money"], balance_of(value))


def _statement(value: list[list[Any]]) -> list[TransferRecord]:
    return [transfer_of(row) for row in value]


def _details(value: dict[str, Any]) -> TransferDetails:
    return TransferDetails(
        entries=tuple(entry_of(row) for row in value["entries"]),
        left_to_reverse=value["left"],
        reverses=value["reverses"] and link_of(value["reverses"]),
        reversals=tuple(link_of(row) for row in value["reversals"]),
        counterpart=value["counterpart"] and link_of(value["counterpart"]),
        hold=value["hold"] and hold_of(value["hold"]),
        debt=value["debt"] and debt_of(value["debt"]),
        gift=value["gift"] and gift_of(value["gift"]),
    )


def _shares(value: list[list[Any]]) -> list[LotShare]:
    return [LotShare(number, UUID(lot_id), amount, held) for number, lot_id, amount, held in value]


BALANCES_AT: Reading[Balance] = Reading(
    "SELECT key, value FROM engage.ledger_balances_at($1, $2, $3)", balance_of, Balance()
)
"""What effective reads said at a moment; arguments: program, moment (see `moment_past`)."""

STORED_VALUES: Reading[StoredValue | None] = Reading(
    "SELECT key, value FROM engage.ledger_stored_values($1, $2, $3, $4)", _stored_value, None
)
"""Stored value, None for an unknown program; arguments: program, moment that is past or None for now, now."""

STATEMENTS: Reading[list[TransferRecord]] = Reading(
    "SELECT key, value FROM engage.ledger_statements($1, $2, $3, $4, $5, $6, $7, $8)", _statement, []
)
"""Transfers, newest first.

Arguments: program, currency, page size, version below which the page begins, kinds, from and up to which moment; None
for all kinds and times.
"""

TRANSFERS: Reading[TransferRecord | None] = Reading(
    "SELECT key, value FROM engage.ledger_transfers($1)", transfer_of, None
)
"""Transfers by their ids."""

TRANSFER_DETAILS: Reading[TransferDetails | None] = Reading(
    "SELECT key, value FROM engage.ledger_transfer_details($1, $2)", _details, None
)
"""The rest of what can be told of transfers, by their ids; argument: now."""

TRANSFER_LOTS: Reading[list[LotShare]] = Reading(
    "SELECT key, value FROM engage.ledger_transfer_lots($1, $2, $3, $4)", _shares, []
)
"""The lots that transfers touched, by the transfers' ids; arguments: page size, the two of `shares_behind`."""


def moment_past(at: datetime) -> datetime:
    """A moment of which a balance can be told: up to now. A caller's clock may run ahead a little.

    Raises InvalidInput for the future and for a time without a zone.
    """
    now = clock.now()
    return min(rules.check_past(at, now, path="at"), now)


def check_span(begin: datetime | None, end: datetime | None) -> None:
    """From when up to when a statement is asked for. Raises InvalidInput where nothing can lie between."""
    for at, path in ((begin, "from"), (end, "to")):
        if at is not None:
            rules.check_zone(at, path)
    if begin is not None and end is not None and end <= begin:
        raise InvalidInput("The end lies after the beginning.", path=["to"])


def statement_page(rows: Sequence[TransferRecord], first: int) -> Page[TransferRecord]:
    """The page in what STATEMENTS answered, which is one row more when there are more."""
    return page_of(rows, first)


def statement_below(after: str | None) -> int:
    """The version below which a page after this cursor begins. Raises InvalidInput."""
    return BELOW_ALL if after is None else int(decode_cursor(after, [int])[0])


def shares_behind(after: str | None) -> tuple[int, UUID]:
    """The allocation and the made lot behind which a page of a transfer's lots begins. Raises InvalidInput."""
    if after is None:
        return -1, NO_ID
    number, lot_id = decode_cursor(after, [int, str])
    return int(number), UUID(str(lot_id))


def share_key(share: LotShare) -> tuple[int, str]:
    """Where this lot stands in the list of its transfer: what was made comes last."""
    return (BELOW_ALL, str(share.lot_id)) if share.number is None else (share.number, str(NO_ID))


async def get_transfer(actor: Actor, transfer_id: UUID, *, read: Read = read_alone) -> TransferRecord:
    """One transfer, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(TRANSFERS, transfer_id)
    require(actor, READING_ROLES, own=None if record is None else record.member_id)
    return there(record, "transfer")
