"""All reads of the ledger. Balances are effective: right at the moment asked for, however late the sweep is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, READING_ROLES, Actor, require
from engage.base.errors import NotFound
from engage.base.paging import Page, decode_cursor
from engage.domains.ledger.events import BALANCE_CHANGES
from engage.domains.ledger.types import (
    Balance,
    Cause,
    ExpiryLine,
    ExpirySchedule,
    PointsChange,
    PointsSeen,
    ProgramPoints,
    TransferKind,
    TransferRecord,
)
from engage.domains.members.events import member_stream
from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Change, Snapshot
from engage.realtime.hub import Hub
from engage.realtime.log import read_state

BELOW_ALL = 2**62
"""A version that no account reaches: a statement begins below it."""


def balance_of(value: dict[str, int]) -> Balance:
    """The balance in an answer or event of the kernel."""
    return Balance(value["available"], value["pending"], value["held"], value["debt"])


def _schedule(value: dict[str, Any]) -> ExpirySchedule:
    lines = tuple(ExpiryLine(date.fromisoformat(day), amount) for day, amount in value["lines"])
    return ExpirySchedule(lines=lines, later=value["later"], never=value["never"])


def _transfer(row: list[Any]) -> TransferRecord:
    transfer_id, kind, amount, reason, cause_type, cause_id, posted_at, balance_after, version = row
    return TransferRecord(
        id=UUID(transfer_id),
        kind=TransferKind(kind),
        amount=amount,
        reason=reason,
        cause=None if cause_type is None else Cause(cause_type, cause_id),
        posted_at=datetime.fromisoformat(posted_at),
        balance_after=balance_after,
        version=version,
    )


def _statement(value: list[list[Any]]) -> list[TransferRecord]:
    return [_transfer(row) for row in value]


BALANCES: db.Reading[Balance] = db.Reading(
    "SELECT key, value FROM engage.ledger_balances($1, $2, $3)", balance_of, Balance()
)
"""Effective balances; arguments: program, moment."""

SCHEDULES: db.Reading[ExpirySchedule] = db.Reading(
    "SELECT key, value FROM engage.ledger_expiry_schedules($1, $2, $3, $4)", _schedule, ExpirySchedule((), 0, 0)
)
"""What expires when; arguments: program, how many days to list, moment."""

STATEMENTS: db.Reading[list[TransferRecord]] = db.Reading(
    "SELECT key, value FROM engage.ledger_statements($1, $2, $3, $4)", _statement, []
)
"""Transfers, newest first; arguments: program, page size, version below which the page begins."""


def statement_page(rows: list[TransferRecord], first: int) -> Page[TransferRecord]:
    """The page in what STATEMENTS answered, which is one row more when there are more."""
    return Page(rows[:first], len(rows) > first)


def statement_below(after: str | None) -> int:
    """The version below which a page after this cursor begins. Raises InvalidInput."""
    return BELOW_ALL if after is None else int(decode_cursor(after, [int])[0])


async def get_balance(actor: Actor, member_id: UUID, program: str) -> Balance:
    """A member's effective balance; all zero where no points have ever moved. Raises Forbidden."""
    require(actor, READING_ROLES, own=member_id)
    [found] = await db.fetch_together([db.Fetch(BALANCES, (member_id,), (program, clock.now()))])
    balance: Balance = found.get(str(member_id), BALANCES.absent)
    return balance


async def watch_points(
    actor: Actor, hub: Hub, *, member_id: UUID, program: str, after: str | None = None
) -> AsyncIterator[PointsSeen]:
    """A member's balance as it stands, then each change of it; with `after`, first what was missed since that cursor.

    Ends with a refusal of `engage.realtime.errors` when this process stops or the reader is too slow.
    Raises Forbidden, InvalidInput for what is no cursor, NotFound for an unknown program.
    """
    require(actor, READING_ROLES, own=member_id)
    if not await db.fetch_value("SELECT engage.program_id($1) IS NOT NULL", program):
        raise NotFound(f"There is no program {program!r}.", path=["program"])
    stream = member_stream(member_id)
    subscription = hub.subscribe(
        stream,
        snapshot=lambda: read_state(stream, db.Fetch(BALANCES, (member_id,), (program, clock.now()))),
        after=None if after is None else Cursor.decode(after),
        lag="coalesce",
        topic=lambda ring: "balance" if ring.name in BALANCE_CHANGES and ring.data["program"] == program else None,
    )
    async with subscription as deliveries:
        async for delivery in deliveries:
            yield _seen(delivery)


def _seen(delivery: Snapshot[Balance] | Change) -> PointsSeen:
    cursor = delivery.cursor
    if isinstance(delivery, Snapshot):
        position = cursor.position
        return PointsSeen(cursor.encode(), position, position, delivery.state, delivery.reset, None)
    data = delivery.ring.data
    change = PointsChange(
        transfer_id=UUID(data["transfer_id"]),
        kind=TransferKind(data["kind"]),
        amount=data["amount"],
        reason=data["reason"],
        cause=None if data["cause_type"] is None else Cause(data["cause_type"], data["cause_id"]),
        posted_at=datetime.fromisoformat(data["posted_at"]),
    )
    balance = balance_of(data["balance"])
    return PointsSeen(cursor.encode(), delivery.position, delivery.from_position, balance, reset=False, change=change)


async def get_program_points(actor: Actor, program: str) -> ProgramPoints:
    """What a program has issued, and owes. Raises Forbidden."""
    require(actor, ADMIN_ROLES)
    row = await db.fetch_row("SELECT * FROM engage.ledger_program_totals($1, $2)", program, clock.now())
    if row is None:
        raise NotFound(f"There is no program {program!r}.", path=["program"])
    return ProgramPoints(
        members=row["members"],
        issued=row["issued"],
        spent=row["spent"],
        expired=row["expired"],
        reversed=row["reversed"],
        outstanding=row["outstanding"],
    )
