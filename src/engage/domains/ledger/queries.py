"""All reads of the ledger. Balances are effective: right at the moment asked for, however late the sweep is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import ADMIN_ROLES, READING_ROLES, Actor, require
from engage.base.errors import NotFound
from engage.base.paging import Page, decode_cursor
from engage.domains.ledger.types import (
    Balance,
    Cause,
    ExpiryLine,
    ExpirySchedule,
    ProgramPoints,
    TransferKind,
    TransferRecord,
)

BELOW_ALL = 2**62
"""A version that no account reaches: a statement begins below it."""


def balance_of(value: dict[str, int]) -> Balance:
    """The balance in an answer or event of the kernel."""
    return Balance(value["available"], value["pending"], value["held"], value["debt"])


def _schedule(value: dict[str, Any]) -> ExpirySchedule:
    lines = tuple(ExpiryLine(date.fromisoformat(one["expires_on"]), one["amount"]) for one in value["lines"])
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


async def get_balance_and_head(actor: Actor, member_id: UUID, program: str) -> tuple[Balance, int]:
    """The effective balance together with the position of the member's stream, in one statement: a snapshot."""
    require(actor, READING_ROLES, own=member_id)
    row = await db.fetch_row(
        "SELECT (SELECT value FROM engage.ledger_balances(ARRAY[$1::uuid], $2, $3)) AS balance,"
        " coalesce((SELECT position FROM stream_heads WHERE id = 'member:' || $1::uuid), 0) AS head",
        member_id,
        program,
        clock.now(),
    )
    if row is None:
        raise NotFound("There is no such member.", path=["memberId"])
    balance = Balance() if row["balance"] is None else balance_of(orjson.loads(row["balance"]))
    return balance, row["head"]


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
