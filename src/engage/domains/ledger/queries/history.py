"""The ledger's history: what a balance was, the statement, and all that can be told of one transfer."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base import clock
from engage.base.actor import READING_ROLES, Actor, Scope, require
from engage.base.errors import InvalidInput
from engage.base.ids import read_id
from engage.base.listings import OwnedListing
from engage.base.paging import LAST_ID, NO_ID, Order
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

NUMBER_MAX = 2**62
"""Above any version of an account and any number of an allocation."""


def _stored_value(value: dict[str, Any]) -> StoredValue:
    return StoredValue(value["money"], balance_of(value))


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


def _share(row: list[Any]) -> LotShare:
    number, lot_id, amount, held = row
    return LotShare(number, read_id(lot_id), amount, held)


def _share_key(share: LotShare) -> tuple[int, UUID]:
    """Where this lot stands in the list of its transfer: what was made comes last."""
    return (NUMBER_MAX, share.lot_id) if share.number is None else (share.number, NO_ID)


BALANCES_AT: Reading[Balance] = Reading(
    "SELECT key, value FROM engage.ledger_balances_at($1, $2, $3)", balance_of, Balance()
)
"""What effective reads said at a moment; arguments: program, moment (see `moment_past`)."""

STORED_VALUES: Reading[StoredValue | None] = Reading(
    "SELECT key, value FROM engage.ledger_stored_values($1, $2, $3, $4)", _stored_value, None
)
"""Stored value, None for an unknown program; arguments: program, moment that is past or None for now, now."""

_OF_ACCOUNT = f"""
(SELECT a.member_id AS id, a.id AS account, engage.program_money($4) AS money,
        CASE WHEN $7::timestamptz IS NULL THEN 0 ELSE engage.ledger_version_before(a.id, $7) END AS above,
        CASE WHEN $8::timestamptz IS NULL THEN {NUMBER_MAX} ELSE engage.ledger_version_before(a.id, $8) + 1 END
          AS below
   FROM engage.ledger_accounts($1, $4, $5) a) o
"""  # noqa: S608 -- no value is pasted in

# Kinds are looked up one by one, so that rare ones are found without reading the others.
_LINES = """
SELECT engage.ledger_transfer_row(t.x, $4, $5, o.money) AS value FROM (
  (SELECT x FROM transfers x
    WHERE $6::text[] IS NULL AND x.account_id = o.account AND x.version_after > o.above AND x.version_after < o.below
      AND x.version_after {past} $3
    ORDER BY x.version_after {sort} LIMIT $2)
  UNION ALL
  SELECT k.x FROM (SELECT DISTINCT kind FROM unnest($6::text[]) AS n (kind)) s CROSS JOIN LATERAL (
    SELECT x FROM transfers x
     WHERE x.account_id = o.account AND x.kind = s.kind AND x.version_after > o.above AND x.version_after < o.below
       AND x.version_after {past} $3
     ORDER BY x.version_after {sort} LIMIT $2) k) t
 ORDER BY (t.x).version_after {sort} LIMIT $2
"""

STATEMENTS = OwnedListing(
    Order((0,), (NUMBER_MAX,), descending=True),
    _LINES,
    row=transfer_of,
    key=lambda row: (row.version,),
    owners=_OF_ACCOUNT,
)
"""Transfers of members, newest first.

Arguments: program, currency, kinds, from and up to which moment; None for all kinds and times.
"""

TRANSFERS: Reading[TransferRecord | None] = Reading(
    "SELECT key, value FROM engage.ledger_transfers($1)", transfer_of, None
)
"""Transfers by their ids."""

TRANSFER_DETAILS: Reading[TransferDetails | None] = Reading(
    "SELECT key, value FROM engage.ledger_transfer_details($1, $2)", _details, None
)
"""The rest of what can be told of transfers, by their ids; argument: now."""

TRANSFER_LOTS = OwnedListing(
    Order((-1, NO_ID), (NUMBER_MAX, LAST_ID)),
    """
    SELECT json_build_array(l.number, l.lot, l.amount, l.held) AS value FROM (
      (SELECT x.id AS number, x.lot_id AS lot, x.amount, x.held FROM allocations x
        WHERE x.transfer_id = o.id AND x.id {past} $3 ORDER BY x.id {sort} LIMIT $2)
      UNION ALL
      (SELECT NULL, x.id, x.amount, 0 FROM lots x
        WHERE x.source_id = o.id AND x.id {past} $4 ORDER BY x.id {sort} LIMIT $2)) l
     ORDER BY l.number {sort}, l.lot {sort} LIMIT $2
    """,
    row=_share,
    key=_share_key,
)
"""The lots that transfers took from or gave to, by the transfers' ids, in order, then those that they made."""


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


async def get_transfer(actor: Actor, transfer_id: UUID, *, read: Read = read_alone) -> TransferRecord:
    """One transfer, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(TRANSFERS, transfer_id)
    require(actor, READING_ROLES, Scope.POINTS_READ, own=None if record is None else record.member_id)
    return there(record, "transfer")
