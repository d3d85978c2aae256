"""All writes of the ledger: thin Python over the SQL kernel, one round trip a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, Actor, require
from engage.base.errors import NotFound, Refusal
from engage.base.idempotency import IdempotencyKey, conflict, keep_until, make_key
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.domains.ledger import rules
from engage.domains.ledger.errors import InsufficientPoints, MemberNotActive
from engage.domains.ledger.events import POINTS_EXPIRED
from engage.domains.ledger.queries import balance_of
from engage.domains.ledger.types import Cause, Earning, Posted
from engage.outbox import handlers_json, knock_if_promised
from engage.realtime.bell import ring_after_commit
from engage.realtime.rings import Ring, rings_of

SPEND = "SELECT engage.ledger_spend($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)"
EARN = "SELECT engage.ledger_earn($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)"
EARN_MANY = "SELECT * FROM engage.ledger_post_earnings($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)"
REMIND = "SELECT last_account, rings FROM engage.ledger_remind($1,$2,$3,$4,$5)"
SWEEP = "SELECT due, rings FROM engage.ledger_sweep($1,$2,$3)"


@db.statement_command
async def spend_points(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int,
    idempotency_key: str,
    reason: str = "REDEMPTION",
    cause: Cause | None = None,
) -> Posted:
    """Take `amount` points from the lots that expire first.

    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, InsufficientPoints, IdempotencyConflict.
    Says `ledger.points_spent.v1`, after what was due meanwhile.
    """
    require(actor, STAFF_ROLES, own=member_id)
    rules.check_amount(amount)
    rules.check_reason(reason)
    rules.check_cause(cause)
    now = clock.now()
    key = _key("spend_points", member_id, idempotency_key, program, amount, reason, cause)
    answer = await db.fetch_value(
        SPEND, key.id, key.input_hash, keep_until(now, settings().idempotency_keep_days), new_id(), new_id(),
        member_id, program, amount, reason, cause and cause.type, cause and cause.id, actor.id, now, handlers_json(),
    )  # fmt: skip
    return _answer(orjson.loads(answer))


@db.statement_command
async def earn_points(
    actor: Actor,
    *,
    member_id: UUID,
    program: str,
    amount: int,
    idempotency_key: str,
    reason: str = "CORRECTION",
    cause: Cause | None = None,
    usable_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Posted:
    """Give `amount` points in one lot, by hand: what activities earn goes through `earning`.

    With `usable_at` they are pending until then. Without `expires_at` the program's policy says when they expire,
    counted from when they can be used.
    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, IdempotencyConflict. Says `ledger.points_earned.v1`.
    """
    require(actor, STAFF_ROLES)
    now = clock.now()
    rules.check_amount(amount)
    rules.check_reason(reason)
    rules.check_cause(cause)
    rules.check_window(usable_at, expires_at, now)
    key = _key("earn_points", member_id, idempotency_key, program, amount, reason, cause, usable_at, expires_at)
    answer = await db.fetch_value(
        EARN, key.id, key.input_hash, keep_until(now, settings().idempotency_keep_days), new_id(),
        member_id, program, amount, usable_at, expires_at, reason, cause and cause.type, cause and cause.id,
        actor.id, now, handlers_json(),
    )  # fmt: skip
    return _answer(orjson.loads(answer))


async def post_earnings(actor: Actor, program: str, earnings: Sequence[Earning]) -> PostedEarnings:
    """Give points to many members at once, inside the caller's transaction and under the members' locks.

    Earnings of 0 open the account and move nothing.
    Says `ledger.points_earned.v1` for each, `ledger.points_expired.v1` for what had expired already.
    """
    now = clock.now()
    rows = await db.fetch(
        EARN_MANY,
        program,
        [one.member_id for one in earnings],
        [new_id() for _ in earnings],
        [one.amount for one in earnings],
        [one.earned_at for one in earnings],
        [one.usable_at or one.earned_at for one in earnings],
        [one.expires_at for one in earnings],
        [one.reason for one in earnings],
        [one.cause.type for one in earnings],
        [one.cause.id for one in earnings],
        actor.id,
        now,
        handlers_json(),
    )
    _ring([Ring(row["stream"], row["position"], row["name"], orjson.loads(row["data"])) for row in rows])
    return PostedEarnings(rows)


class PostedEarnings:
    """What a bulk earning posted, by line (0, 1, 2 …). Decoded only when asked for."""

    def __init__(self, rows: Sequence[asyncpg.Record]) -> None:
        self._earned = {row["line"] - 1: row for row in rows if row["line"] is not None}
        last = max((at for at, row in enumerate(rows) if row["line"] is not None), default=len(rows))
        self._expired = {
            row["stream"]: orjson.loads(row["data"]) for row in rows[last + 1 :] if row["name"] == POINTS_EXPIRED
        }

    @property
    def expired(self) -> int:
        """How many of these points had expired already."""
        return sum(-int(data["amount"]) for data in self._expired.values())

    def find(self, line: int) -> Posted | None:
        """What was posted for one line, with the balance after all that had expired; None for an amount of 0."""
        row = self._earned.get(line)
        if row is None:
            return None
        posted = _posted(orjson.loads(row["data"]), row["position"], replayed=False)
        expired = self._expired.get(row["stream"])
        return posted if expired is None else replace(posted, balance=balance_of(expired["balance"]))


@db.statement_command
async def sweep_due(limit: int) -> int:
    """Post what has matured and expired on up to `limit` accounts of members who do nothing.

    Answers how many accounts were settled; members whom a live command holds are left for the next call.
    Says `ledger.points_matured.v1` and `ledger.points_expired.v1`, one of each per member at the most.
    """
    row = await db.fetch_row(SWEEP, limit, clock.now(), handlers_json())
    if row is None:
        return 0
    _ring_values(orjson.loads(row["rings"]))
    return int(row["due"])


@db.statement_command
async def remind_expiring(days: Sequence[int], after: UUID, limit: int) -> UUID | None:
    """Remind the owners of up to `limit` accounts after `after` of points that expire within these distances.

    Answers the last account looked at, or None when there are no more. Says PointsExpiring.
    """
    row = await db.fetch_row(REMIND, list(days), after, limit, clock.now(), handlers_json())
    if row is None:
        return None
    _ring_values(orjson.loads(row["rings"]))
    last: UUID | None = row["last_account"]
    return last


def _key(operation: str, member_id: UUID, key: str, *command_input: object) -> IdempotencyKey:
    return make_key(str(member_id), operation, key, command_input)


def _answer(value: dict[str, Any]) -> Posted:
    """What the kernel answered, or the refusal that it is."""
    _ring_values(value.get("rings") or [])
    if "refusal" in value:
        raise _refusal(value)
    return _posted(value, value["position"], replayed=value["replayed"])


def _posted(data: dict[str, Any], position: int, *, replayed: bool) -> Posted:
    return Posted(
        transfer_id=UUID(data["transfer_id"]),
        member_id=UUID(data["member_id"]),
        program=data["program"],
        amount=data["amount"],
        balance=balance_of(data["balance"]),
        position=position,
        posted_at=datetime.fromisoformat(data["posted_at"]),
        replayed=replayed,
    )


def _refusal(value: dict[str, Any]) -> Refusal:
    match value["refusal"]:
        case "INSUFFICIENT_POINTS":
            available, required = value["available"], value["required"]
            return InsufficientPoints(
                f"{required} points are needed and {available} are available.",
                path=["amount"],
                available=available,
                required=required,
            )
        case "MEMBER_NOT_ACTIVE":
            return MemberNotActive(f"The member is {value['state']}.", path=["memberId"], state=value["state"])
        case "NEVER_USABLE":
            return rules.never_usable()
        case "IDEMPOTENCY_CONFLICT":
            return conflict()
        case "NOT_FOUND":
            return NotFound("There is no such member or program.", path=[value["what"]])
        case code:
            raise RuntimeError(f"The ledger kernel refused with an unknown code: {code}")


def _ring_values(values: list[dict[str, Any]]) -> None:
    _ring(rings_of(values))


def _ring(rings: Sequence[Ring]) -> None:
    if rings:
        ring_after_commit(rings)
        knock_if_promised({ring.name for ring in rings})
