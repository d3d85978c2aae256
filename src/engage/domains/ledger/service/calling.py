"""How commands call the kernel: one statement, whose answer is a posted transfer or the refusal that stands in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import orjson

from engage.base import audit, clock, db
from engage.base.actor import Actor
from engage.base.audit import CARRIED
from engage.base.idempotency import keep_until, make_key
from engage.base.ids import new_id
from engage.base.settings import settings
from engage.domains.ledger import rules
from engage.domains.ledger.queries import balance_of
from engage.domains.ledger.service.refusing import TOLD_IN_MONEY, refusal_of
from engage.domains.ledger.types import Cause, CurrencyKind, Posted, TakenPosted, TransferKind
from engage.outbox import handlers_json, knock_if_promised
from engage.realtime.bell import ring_after_commit
from engage.realtime.rings import Ring, rings_of

P = TypeVar("P", bound=Posted)

NO_OTHERS: Mapping[str, str] = {}
OF_TRANSFER = {"memberId": "transferId"}
"""Of commands that name their member by one of their transfers."""


# Rows are made of plain values in the database: a driver that is given a composite type asks the server about it once
# on each connection, which is a round trip more.
_CALL = "ROW($1::uuid, $2::bytea, $3::timestamptz, $4::text, $5::timestamptz, $6::jsonb)::engage.ledger_call"
_MEMO = "ROW($7::uuid, $8::text, $9::text, $10::text)::engage.ledger_memo"
_ENTRY = (
    "ROW($11::uuid, $5, $4, $12::text, $13::text, $14::text, $15::jsonb, $16::uuid, $17::text, $18::text, $19::text)"
    "::engage.audit_entry"
)
_FIRST = 11 + CARRIED
NOT_CARRIED = (None,) * CARRIED


def statement(function: str, values: int) -> str:
    """The statement that calls a function of the kernel with the call, the memo and so many values more.

    What it has done it also records, in the same statement, where it is the whole command.
    """
    more = "".join(f", ${nth}" for nth in range(_FIRST, _FIRST + values))
    return f"SELECT engage.audited(engage.{function}({_CALL}, {_MEMO}{more}), {_ENTRY})"


async def call(
    actor: Actor,
    sql: str,
    *values: object,
    scope: UUID,
    operation: str,
    idempotency_key: str,
    command_input: Sequence[object],
    reason: str,
    cause: Cause | None = None,
    paths: Mapping[str, str] = NO_OTHERS,
    money: Callable[[], Awaitable[str | None]] | None = None,
) -> dict[str, Any]:
    """Run one command of the kernel; answers what it posted.

    `scope`, `operation` and `idempotency_key` find the first answer, `command_input` tells whether it was the same
    command. `paths` are the command's own names for what the kernel finds wrong. `money` answers the currency of the
    stored value that it may move, where figures of refusals are to be told in it.
    Raises InvalidInput for a malformed key, reason or cause, and what the kernel refuses.
    """
    rules.check_reason(reason)
    rules.check_cause(cause)
    now = clock.now()
    key = make_key(str(scope), operation, idempotency_key, [*command_input, reason, cause])
    kept = keep_until(now, settings().idempotency_keep_days)
    entry = db.entry_to_carry()
    answer = await db.fetch_value(
        sql,
        *(key.id, key.input_hash, kept, actor.id, now, handlers_json()),
        *(new_id(), reason, cause and cause.type, cause and cause.id),
        *(NOT_CARRIED if entry is None else entry.carried()),
        *values,
    )
    value: dict[str, Any] = orjson.loads(answer)
    ring_values(value.get("rings") or [])
    if "refusal" in value:
        if money is not None and value["refusal"] in TOLD_IN_MONEY:
            value["money"] = await money()
        refusal = refusal_of(value)
        refusal.path = refusal.path and [paths.get(one, one) for one in refusal.path]
        raise refusal
    if entry is None:
        audit.about(UUID(value["member_id"]))
    else:
        entry.written = True
    return value


def posted(value: dict[str, Any], make: Callable[..., P], **more: object) -> P:
    """What the kernel posted, as a value that may tell more."""
    return make(
        transfer_id=UUID(value["transfer_id"]),
        member_id=UUID(value["member_id"]),
        program=value["program"],
        kind=TransferKind(value["kind"]),
        amount=value["amount"],
        currency=CurrencyKind(value["currency"]),
        balance=balance_of(value["balance"]),
        position=value["position"],
        posted_at=datetime.fromisoformat(value["posted_at"]),
        replayed=value["replayed"],
        **more,
    )


def taken(value: dict[str, Any]) -> TakenPosted:
    """The same of points that were taken."""
    figures = {name: value[name] for name in ("taken", "shortfall", "debt", "remaining")}
    return posted(value, TakenPosted, **figures)


def ring_values(values: list[dict[str, Any]]) -> None:
    """Tell subscribers and workers of these events once the transaction has committed."""
    ring(rings_of(values))


def ring(rings: Sequence[Ring]) -> None:
    """The same with rings."""
    if rings:
        ring_after_commit(rings)
        knock_if_promised({one.name for one in rings})
