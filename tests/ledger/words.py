"""Short words for the commands of the ledger, with all filled in that a test does not care about."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from engage.base import clock, db
from engage.base.actor import SYSTEM, Actor, Role
from engage.base.errors import Refusal
from engage.domains.ledger import service
from engage.domains.ledger.service import Adjusted
from engage.domains.ledger.types import (
    Balance,
    ExchangePosted,
    GiftPosted,
    HoldPosted,
    Posted,
    RateRecord,
    ReturnPosted,
    TakenPosted,
    ValuePosted,
)
from engage.domains.members.errors import AlreadyExists
from engage.domains.members.service import create_channel, lock_members
from tests.ledger.books import STAFF, new_key

ADMIN = Actor("desk-1", Role.ADMIN)
SECOND = Actor("desk-2", Role.ADMIN)
JUDGE = Actor("moderator-3", Role.MODERATOR)

R = TypeVar("R")


async def hold(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> HoldPosted:
    return await service.hold_points(
        STAFF, member_id=member_id, program=program, amount=amount, idempotency_key=key or new_key(), **more
    )


async def capture(hold_id: UUID, amount: int | None = None, key: str | None = None, **more: Any) -> HoldPosted:
    return await service.capture_hold(STAFF, hold_id=hold_id, amount=amount, idempotency_key=key or new_key(), **more)


async def release(hold_id: UUID, amount: int | None = None, key: str | None = None, **more: Any) -> HoldPosted:
    return await service.release_hold(STAFF, hold_id=hold_id, amount=amount, idempotency_key=key or new_key(), **more)


async def donate(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> Posted:
    return await service.donate_points(
        STAFF,
        member_id=member_id,
        program=program,
        amount=amount,
        idempotency_key=key or new_key(),
        **({"good_cause": "reforestation"} | more),
    )


async def confirm(transfer_id: UUID, key: str | None = None, **more: Any) -> Posted:
    return await service.confirm_pending(STAFF, transfer_id=transfer_id, idempotency_key=key or new_key(), **more)


async def cancel(transfer_id: UUID, amount: int | None = None, key: str | None = None, **more: Any) -> TakenPosted:
    return await service.cancel_pending(
        STAFF, transfer_id=transfer_id, amount=amount, idempotency_key=key or new_key(), **more
    )


async def reverse(transfer_id: UUID, amount: int | None = None, key: str | None = None, **more: Any) -> ReturnPosted:
    """Take back what took points: they come back to the member."""
    answer = await service.reverse_transfer(
        STAFF, transfer_id=transfer_id, amount=amount, idempotency_key=key or new_key(), **more
    )
    return cast("ReturnPosted", answer)


async def take_back(transfer_id: UUID, amount: int | None = None, key: str | None = None, **more: Any) -> TakenPosted:
    """The same of what gave points: they are taken back from the member."""
    answer = await service.reverse_transfer(
        STAFF, transfer_id=transfer_id, amount=amount, idempotency_key=key or new_key(), **more
    )
    return cast("TakenPosted", answer)


async def claw(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> TakenPosted:
    return await service.clawback_points(
        STAFF, member_id=member_id, program=program, amount=amount, idempotency_key=key or new_key(), **more
    )


async def deduct(
    member_id: UUID, program: str, amount: int | None, key: str | None = None, **more: Any
) -> TakenPosted:
    return await service.deduct_points(
        JUDGE, member_id=member_id, program=program, amount=amount, idempotency_key=key or new_key(), **more
    )


async def restore(transfer_id: UUID, amount: int | None = None, key: str | None = None, **more: Any) -> ReturnPosted:
    return await service.restore_points(
        JUDGE, transfer_id=transfer_id, amount=amount, idempotency_key=key or new_key(), **more
    )


async def gift(
    member_id: UUID, recipient_id: UUID, program: str, amount: int, key: str | None = None, **more: Any
) -> GiftPosted:
    return await service.gift_points(
        STAFF,
        member_id=member_id,
        recipient_id=recipient_id,
        program=program,
        amount=amount,
        idempotency_key=key or new_key(),
        **more,
    )


async def accept(gift_id: UUID, key: str | None = None) -> GiftPosted:
    return await service.accept_gift(STAFF, gift_id=gift_id, idempotency_key=key or new_key())


async def decline(gift_id: UUID, key: str | None = None) -> GiftPosted:
    return await service.decline_gift(STAFF, gift_id=gift_id, idempotency_key=key or new_key())


async def withdraw(gift_id: UUID, key: str | None = None) -> GiftPosted:
    return await service.withdraw_gift(STAFF, gift_id=gift_id, idempotency_key=key or new_key())


async def publish_rate(
    from_program: str, to_program: str, numerator: int, denominator: int, **more: Any
) -> RateRecord:
    return await service.publish_exchange_rate(
        ADMIN,
        from_program=from_program,
        to_program=to_program,
        numerator=numerator,
        denominator=denominator,
        **more,
    )


async def exchange(
    member_id: UUID, from_program: str, to_program: str, amount: int, key: str | None = None, **more: Any
) -> ExchangePosted:
    return await service.exchange_points(
        STAFF,
        member_id=member_id,
        from_program=from_program,
        to_program=to_program,
        amount=amount,
        idempotency_key=key or new_key(),
        **more,
    )


async def adjust(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> Adjusted:
    return await service.adjust_points(
        ADMIN,
        member_id=member_id,
        program=program,
        amount=amount,
        idempotency_key=key or new_key(),
        **({"reason": "GOODWILL"} | more),
    )


async def approve(adjustment_id: UUID, actor: Actor = SECOND) -> Adjusted:
    return await service.approve_adjustment(actor, adjustment_id=adjustment_id)


async def open_channel(code: str = "till") -> str:
    """A channel that is there, in whichever test comes first."""
    with contextlib.suppress(AlreadyExists):
        await create_channel(SYSTEM, code=code, name=code)
    return code


async def top_up(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> ValuePosted:
    given: dict[str, Any] = {
        "channel": await open_channel(),
        "payment_reference": new_key(),
        "paid_at": clock.now(),
    } | more
    return await service.top_up(
        STAFF, member_id=member_id, program=program, amount=amount, idempotency_key=key or new_key(), **given
    )


async def pay(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> Posted:
    return await service.pay_stored_value(
        STAFF, member_id=member_id, program=program, amount=amount, idempotency_key=key or new_key(), **more
    )


async def hold_value(member_id: UUID, program: str, amount: int, key: str | None = None, **more: Any) -> HoldPosted:
    return await service.hold_stored_value(
        STAFF, member_id=member_id, program=program, amount=amount, idempotency_key=key or new_key(), **more
    )


async def refund(transfer_id: UUID, amount: int | None = None, key: str | None = None, **more: Any) -> ValuePosted:
    return await service.refund_top_up(
        STAFF, transfer_id=transfer_id, amount=amount, idempotency_key=key or new_key(), **more
    )


@db.command
async def merge(absorbed_id: UUID, survivor_id: UUID) -> None:
    """Merge as the lifecycle does: under both locks, in one transaction."""
    await lock_members([absorbed_id, survivor_id])
    await service.merge_accounts(ADMIN, absorbed_id=absorbed_id, survivor_id=survivor_id)
    await db.execute("UPDATE members SET merged_into_id = $2 WHERE id = $1", absorbed_id, survivor_id)


@db.command
async def freeze(member_id: UUID) -> None:
    await lock_members([member_id])
    await db.execute("UPDATE members SET state = 'FROZEN', frozen_at = $2 WHERE id = $1", member_id, clock.now())


@db.command
async def thaw(member_id: UUID) -> None:
    await lock_members([member_id])
    frozen_at: datetime = await db.fetch_value("SELECT frozen_at FROM members WHERE id = $1", member_id)
    await db.execute("UPDATE members SET state = 'ACTIVE', frozen_at = NULL WHERE id = $1", member_id)
    await service.resume_clocks(member_id, frozen_at)


async def put(member_id: UUID, state: str) -> None:
    """Have a member be suspended or cancelled."""
    await db.execute("UPDATE members SET state = $2 WHERE id = $1", member_id, state)


async def value(member_id: UUID, program: str) -> Balance:
    """The effective balance of stored value."""
    row = await db.fetch_row(
        "SELECT e.* FROM accounts a, engage.ledger_effective(a, $3) e"
        " WHERE a.member_id = $1 AND a.currency_id = engage.ledger_currency($2, 'CASH')",
        member_id,
        program,
        clock.now(),
    )
    return Balance() if row is None else Balance(*row)


async def left(member_id: UUID, program: str) -> list[int]:
    """What remains of each lot, in the order in which they were made."""
    rows = await db.fetch(
        "SELECT l.remaining FROM lots l JOIN transfers t ON t.id = l.source_id"
        " WHERE l.member_id = $1 AND t.currency_id = engage.ledger_currency($2)"
        " ORDER BY t.version_after, l.earned_at, l.expires_at, l.id",
        member_id,
        program,
    )
    return [row[0] for row in rows]


async def ends(member_id: UUID, program: str) -> list[datetime | None]:
    """When the points that are left expire, earliest first."""
    rows = await db.fetch(
        "SELECT l.expires_at FROM lots l JOIN accounts a ON a.id = l.account_id"
        " WHERE l.member_id = $1 AND a.currency_id = engage.ledger_currency($2) AND l.remaining > 0"
        " ORDER BY l.expires_at",
        member_id,
        program,
    )
    return [row[0] for row in rows]


async def lot_rows(member_id: UUID) -> list[tuple[Any, ...]]:
    """All that the lots of a member say, to be compared."""
    return [tuple(row) for row in await db.fetch("SELECT * FROM lots WHERE member_id = $1 ORDER BY id", member_id)]


async def tried(command: Coroutine[Any, Any, R], *kinds: type[Refusal]) -> R | Refusal:
    """What a command answered, or its refusal if that is of these kinds."""
    try:
        return await command
    except kinds as refusal:
        return refusal
