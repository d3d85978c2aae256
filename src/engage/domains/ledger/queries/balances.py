"""Balances as they are now, and as they change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import READING_ROLES, Actor, Scope, require
from engage.base.errors import NotFound
from engage.base.readings import Fetch, Reading, fetch_together
from engage.domains.ledger.events import BALANCE_CHANGES
from engage.domains.ledger.queries.decoding import balance_of
from engage.domains.ledger.types import (
    Balance,
    Cause,
    CurrencyKind,
    ExpiryLine,
    ExpirySchedule,
    PointsChange,
    PointsSeen,
    TransferKind,
)
from engage.domains.members.events import member_stream
from engage.realtime.cursor import Cursor
from engage.realtime.deliveries import Change, Snapshot
from engage.realtime.hub import Hub
from engage.realtime.log import read_state
from engage.realtime.rings import Ring


def _schedule(value: dict[str, Any]) -> ExpirySchedule:
    lines = tuple(ExpiryLine(date.fromisoformat(day), amount) for day, amount in value["lines"])
    return ExpirySchedule(lines=lines, later=value["later"], never=value["never"])


BALANCES: Reading[Balance] = Reading(
    "SELECT key, value FROM engage.ledger_balances($1, $2, $3)", balance_of, Balance()
)
"""Effective balances; arguments: program, moment."""

SCHEDULES: Reading[ExpirySchedule] = Reading(
    "SELECT key, value FROM engage.ledger_expiry_schedules($1, $2, $3, $4)", _schedule, ExpirySchedule((), 0, 0)
)
"""What expires when; arguments: program, how many days to list, moment."""


async def get_balance(actor: Actor, member_id: UUID, program: str) -> Balance:
    """A member's effective balance; all zero where no points have ever moved. Raises Forbidden."""
    require(actor, READING_ROLES, Scope.POINTS_READ, own=member_id)
    [found] = await fetch_together([Fetch(BALANCES, (member_id,), (program, clock.now()))])
    balance: Balance = found.get(str(member_id), BALANCES.absent)
    return balance


async def watch_points(
    actor: Actor, hub: Hub, *, member_id: UUID, program: str, after: str | None = None
) -> AsyncIterator[PointsSeen]:
    """A member's balance as it stands, then each change of it; with `after`, first what was missed since that cursor.

    Ends with a refusal of `engage.realtime.errors` when this process stops or the reader is too slow.
    Raises Forbidden, InvalidInput for what is no cursor, NotFound for an unknown program.
    """
    require(actor, READING_ROLES, Scope.POINTS_READ, own=member_id)
    if not await db.fetch_value("SELECT engage.program_id($1) IS NOT NULL", program):
        raise NotFound(f"There is no program {program!r}.", path=["program"])
    stream = member_stream(member_id)
    subscription = hub.subscribe(
        stream,
        snapshot=lambda: read_state(stream, Fetch(BALANCES, (member_id,), (program, clock.now()))),
        after=None if after is None else Cursor.decode(after),
        lag="coalesce",
        topic=lambda ring: "balance" if _is_of_points(ring, program) else None,
    )
    async with subscription as deliveries:
        async for delivery in deliveries:
            yield _seen(delivery)


def _is_of_points(ring: Ring, program: str) -> bool:
    """Whether an event changes the balance of points, not of stored value, in this program."""
    return (
        ring.name in BALANCE_CHANGES
        and ring.data["program"] == program
        and ring.data.get("currency", CurrencyKind.POINTS) == CurrencyKind.POINTS
    )


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
