"""Points come: earned by hand or in bulk, at once, later or on confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.base.errors import InvalidInput, Refusal
from engage.base.ids import new_id
from engage.domains.ledger import rules
from engage.domains.ledger.events import BALANCE_CHANGES, POINTS_EXPIRED
from engage.domains.ledger.queries import balance_of
from engage.domains.ledger.service.calling import OF_TRANSFER, call, posted, ring, statement, taken
from engage.domains.ledger.service.refusing import refusal_of
from engage.domains.ledger.types import POINTS_MAX, Cause, Earning, Posted, TakenPosted
from engage.outbox import handlers_json
from engage.realtime.rings import Ring

EARN = statement("ledger_earn", 6)
CONFIRM = statement("ledger_confirm", 2)
CANCEL = statement("ledger_reverse", 6)
NOTE_MANY = "SELECT engage.ledger_note($1, $2, $3)"
HOLDINGS = "SELECT member_id, points FROM engage.ledger_holdings($1, $2)"
EARN_MANY = "SELECT * FROM engage.ledger_post_earnings($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)"


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
    on_confirmation: bool = False,
) -> Posted:
    """Give `amount` points in one lot, by hand: what activities earn goes through `earning`.

    With `usable_at` they are pending until then, with `on_confirmation` until `confirm_pending`. Without `expires_at`
    the program's policy says when they expire, counted from when they can be used.
    Raises Forbidden, InvalidInput, NotFound, MemberNotActive, BalanceLimit, IdempotencyConflict.
    Says `ledger.points_earned.v1`, and `ledger.debt_paid.v1` where the member owes points.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    rules.check_amount(amount)
    rules.check_window(usable_at, expires_at, clock.now())
    if on_confirmation and (usable_at or expires_at):
        raise InvalidInput(
            "Points on confirmation have no times yet: give expiresAt to confirmPending.", path=["onConfirmation"]
        )
    value = await call(
        actor, EARN, member_id, program, amount, usable_at, expires_at, on_confirmation,
        scope=member_id, operation="earn_points", idempotency_key=idempotency_key,
        command_input=[program, amount, usable_at, expires_at, on_confirmation], reason=reason, cause=cause,
    )  # fmt: skip
    return posted(value, Posted)


@db.statement_command
async def confirm_pending(
    actor: Actor,
    *,
    transfer_id: UUID,
    idempotency_key: str,
    expires_at: datetime | None = None,
    reason: str = "CONFIRMED",
) -> Posted:
    """Make the pending points of an earning usable now, before their time or because they waited for this.

    Without `expires_at` those that waited expire by the program's policy, counted from now.
    Raises Forbidden, InvalidInput, NotFound, NotPending, MemberNotActive, IdempotencyConflict.
    Says `ledger.points_confirmed.v1`, and `ledger.debt_paid.v1` where the member owes points.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    rules.check_window(None, expires_at, clock.now())
    value = await call(
        actor, CONFIRM, transfer_id, expires_at,
        scope=transfer_id, operation="confirm_pending", idempotency_key=idempotency_key,
        command_input=[expires_at], reason=reason, paths=OF_TRANSFER,
    )  # fmt: skip
    return posted(value, Posted)


@db.statement_command
async def cancel_pending(
    actor: Actor,
    *,
    transfer_id: UUID,
    idempotency_key: str,
    amount: int | None = None,
    reason: str = "CANCELLED",
    cause: Cause | None = None,
) -> TakenPosted:
    """Take back pending points of an earning, all that are left or `amount` of them; they were never usable.

    Raises Forbidden, InvalidInput, NotFound, NotReversible, NotPending, ExceedsReversible, MemberNotActive,
    IdempotencyConflict. Says `ledger.points_clawed_back.v1`.
    """
    require(actor, STAFF_ROLES, Scope.POINTS_WRITE)
    rules.check_part(amount)
    value = await call(
        actor, CANCEL, transfer_id, amount, "CLAWBACK", ["EARN"], "REFUSE", True,
        scope=transfer_id, operation="cancel_pending", idempotency_key=idempotency_key,
        command_input=[amount], reason=reason, cause=cause, paths=OF_TRANSFER,
    )  # fmt: skip
    return taken(value)


async def post_earnings(actor: Actor, program: str, earnings: Sequence[Earning]) -> PostedEarnings:
    """Give points to many members at once, inside the caller's transaction and under the members' locks.

    Earnings of 0 open the account and move nothing. Whether all of it has room is to be seen before (`find_beyond`).
    Says `ledger.points_earned.v1` for each, `ledger.debt_paid.v1` where debt was paid, and
    `ledger.points_expired.v1` for what had expired already.
    """
    now = clock.now()
    transfers = [new_id() for _ in earnings]
    members = [one.member_id for one in earnings]
    rows = await db.fetch(
        EARN_MANY,
        program,
        members,
        transfers,
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
    if any(one.note for one in earnings):
        await db.execute(NOTE_MANY, transfers, members, [one.note for one in earnings])
    ring([Ring(row["stream"], row["position"], row["name"], orjson.loads(row["data"])) for row in rows])
    return PostedEarnings(rows)


async def find_beyond(program: str, wanted: Sequence[tuple[UUID, int]]) -> dict[int, Refusal]:
    """Which of these earnings (member and amount, in order) have no room in their account, by line, and why not.

    The caller holds the members' locks. What expires in time, or would pay debt, counts as if it stayed.
    """
    held: dict[UUID, int] = dict(await db.fetch(HOLDINGS, program, [member_id for member_id, _ in wanted]))
    beyond: dict[int, Refusal] = {}
    for line, (member_id, amount) in enumerate(wanted):
        balance = held.get(member_id, 0)
        if balance + amount > POINTS_MAX:
            beyond[line] = refusal_of(
                {"refusal": "BALANCE_LIMIT", "limit": POINTS_MAX, "balance": balance, "required": amount}
            )
        else:
            held[member_id] = balance + amount
    return beyond


class PostedEarnings:
    """What a bulk earning posted, by line (0, 1, 2 …). Decoded only when asked for."""

    def __init__(self, rows: Sequence[asyncpg.Record]) -> None:
        self._earned = {row["line"] - 1: row for row in rows if row["line"] is not None}
        last = max((at for at, row in enumerate(rows) if row["line"] is not None), default=len(rows))
        self._after = rows[last + 1 :]

    @property
    def expired(self) -> int:
        """How many of these points had expired already."""
        return sum(-int(orjson.loads(row["data"])["amount"]) for row in self._after if row["name"] == POINTS_EXPIRED)

    def find(self, line: int) -> Posted | None:
        """What was posted for one line, with the balance after all that followed; None for an amount of 0."""
        row = self._earned.get(line)
        if row is None:
            return None
        found = posted(orjson.loads(row["data"]) | {"position": row["position"], "replayed": False}, Posted)
        later = [
            after for after in self._after if after["stream"] == row["stream"] and after["name"] in BALANCE_CHANGES
        ]
        return replace(found, balance=balance_of(orjson.loads(later[-1]["data"])["balance"])) if later else found
