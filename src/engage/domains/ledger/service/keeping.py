"""What time and other domains do to the ledger: sweep, reminders, merges, thaws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import Actor
from engage.domains.ledger.service.calling import ring_values
from engage.domains.ledger.service.refusing import refusal_of
from engage.outbox import handlers_json

REMIND = "SELECT last_account, rings FROM engage.ledger_remind($1,$2,$3,$4,$5)"
SWEEP = "SELECT due, rings FROM engage.ledger_sweep($1,$2,$3)"
RESCHEDULE = "SELECT last_account, accounts, lots, rings FROM engage.ledger_reschedule($1,$2,$3,$4,$5,$6,$7)"


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """A batch of accounts: the last of them (None where there are no more), how many, and how many lots changed."""

    last_account: UUID | None
    accounts: int
    lots: int


@db.statement_command
async def sweep_due(limit: int) -> int:
    """Post what has matured, expired and passed its deadline on up to `limit` accounts of members who do nothing.

    Answers how many accounts were settled; members whom a live command holds are left for the next call.
    Says `ledger.points_matured.v1`, `ledger.points_expired.v1`, `ledger.hold_released.v1`, `ledger.debt_paid.v1`.
    """
    row = await db.fetch_row(SWEEP, limit, clock.now(), handlers_json())
    if row is None:
        return 0
    ring_values(orjson.loads(row["rings"]))
    return int(row["due"])


@db.statement_command
async def remind_expiring(days: Sequence[int], after: UUID, limit: int) -> UUID | None:
    """Remind the owners of up to `limit` accounts after `after` of points that expire within these distances.

    Answers the last account looked at, or None when there are no more. Says PointsExpiring.
    """
    row = await db.fetch_row(REMIND, list(days), after, limit, clock.now(), handlers_json())
    if row is None:
        return None
    ring_values(orjson.loads(row["rings"]))
    last: UUID | None = row["last_account"]
    return last


@db.command
async def reschedule_lots(program: str, version: int, earliest: datetime, after: UUID, limit: int) -> Rescheduled:
    """Give the lots of up to `limit` accounts after `after` their ends by a version, none sooner than `earliest`.

    Says `ledger.expiry_changed.v1` to each member whom it concerns.
    """
    row = await db.fetch_row(RESCHEDULE, program, version, earliest, after, limit, clock.now(), handlers_json())
    if row is None:
        return Rescheduled(None, 0, 0)
    ring_values(orjson.loads(row["rings"]))
    return Rescheduled(row["last_account"], row["accounts"], row["lots"])


async def merge_accounts(actor: Actor, *, absorbed_id: UUID, survivor_id: UUID) -> None:
    """Move all that one member has, in every program, to another: inside the transaction and locks of a merge.

    Lots keep their ends and origins; open holds, debts and offered gifts go on with the survivor.
    Raises BalanceLimit where both have too much together; the transaction has to be rolled back then.
    Says `ledger.points_merged_away.v1` and `ledger.points_merged_in.v1` for each account that had anything.
    """
    answer = await db.fetch_value(
        "SELECT engage.ledger_merge($1,$2,$3,$4,$5)", absorbed_id, survivor_id, actor.id, clock.now(), handlers_json()
    )
    value = orjson.loads(answer)
    if isinstance(value, dict):
        raise refusal_of(value)
    ring_values(value)


async def resume_clocks(member_id: UUID, frozen_at: datetime) -> None:
    """After a thaw, let expiry and deadlines go on where they stood, inside the transaction and lock of the thaw."""
    await db.execute("SELECT engage.ledger_thaw($1,$2,$3)", member_id, frozen_at, clock.now())
