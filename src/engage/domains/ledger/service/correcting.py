"""Corrections of many balances at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import Actor
from engage.base.errors import Refusal
from engage.base.idempotency import IdempotencyKey
from engage.base.ids import new_id
from engage.domains.ledger.service.adjusting import CORRECTABLE
from engage.domains.ledger.service.calling import posted, ring_values
from engage.domains.ledger.service.refusing import refusal_of
from engage.domains.ledger.types import Cause, Posted
from engage.outbox import handlers_json

ADJUST_MANY = """
    SELECT answer FROM engage.ledger_adjust_many($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16) AS answer
"""


@dataclass(frozen=True, slots=True)
class Correction:
    """One line of a bulk correction under its own key; an `amount` below zero takes points away."""

    key: IdempotencyKey
    member_id: UUID
    amount: int
    reason: str
    cause: Cause
    expires_at: datetime | None = None
    note: str | None = None


async def adjust_many(
    actor: Actor, program: str, lines: Sequence[Correction], *, keep: datetime
) -> list[Posted | Refusal]:
    """Correct many balances inside the caller's transaction and under the members' locks, one after another.

    Each line has its outcome: a refused one does not touch the others, one whose key was used (which is kept until
    `keep`) answers as the first time. Whether it takes a second person is the caller's to see.
    Says `ledger.points_added.v1` or `ledger.points_removed.v1` for each.
    """
    rows = await db.fetch(
        ADJUST_MANY,
        program,
        [one.key.id for one in lines],
        [one.key.input_hash for one in lines],
        keep,
        [new_id() for _ in lines],
        [one.member_id for one in lines],
        [one.amount for one in lines],
        [one.expires_at for one in lines],
        [one.reason for one in lines],
        [one.cause.type for one in lines],
        [one.cause.id for one in lines],
        [one.note for one in lines],
        CORRECTABLE,
        actor.id,
        clock.now(),
        handlers_json(),
    )
    values = [orjson.loads(row["answer"]) for row in rows]
    ring_values([ring for value in values for ring in value.get("rings") or []])
    return [refusal_of(value) if "refusal" in value else posted(value, Posted) for value in values]
