"""Lives of members by chance: every command of the ledger, in any order, while time passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from engage.base import clock, db
from engage.base.actor import SYSTEM
from engage.base.errors import Refusal
from engage.domains.ledger import service
from engage.domains.ledger.policy.types import BonusStep, ExpiryKind, PolicyTerms, ReturnedKind
from engage.domains.ledger.types import GiftPosted, HoldPosted, Posted, Shortfall, TransferKind
from engage.domains.lifecycle import service as lifecycle
from tests.ledger.books import NOON, STAFF, earn, new_key, new_member
from tests.ledger.merging import merge
from tests.ledger.publishing import program_with, publish, rolling

HOUR = timedelta(hours=1)
MERGED_AFTER = 8
TERMS = (
    rolling("P2D", gift_hops_max=2, top_up_bonus=(BonusStep(Decimal(10), 500),), top_up_bonus_valid_for="P1D"),
    rolling(
        "P2D", returned_kind=ReturnedKind.REISSUED, returned_grace="P1D", gift_accept_within="P1D", gift_hops_max=3
    ),
    PolicyTerms(ExpiryKind.INACTIVITY, "P1D", expiry_activities=(TransferKind.EARN, TransferKind.SPEND)),
    rolling("P3D", returned_kind=ReturnedKind.REISSUED, returned_grace="P2D", gift_fee_fixed=1),
)
"""Policies of every kind that matters to what time does."""


@dataclass(frozen=True)
class Step:
    """One command: what, by whom, how many points, for how long; `pick` chooses among what there is to act upon."""

    what: str
    who: int = 0
    amount: int = 20
    hours: int = 12
    pick: int = 0
    flag: bool = False

    def part(self) -> int | None:
        """Some points, or all that there are."""
        return self.amount if self.flag else None


class Life:
    """Two members, two programs, and what has happened to them."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.now = NOON
        self.members: list[UUID] = []
        self.programs: list[str] = []
        self.posted: list[Posted] = []
        self.frozen: set[UUID] = set()
        self.merged = False

    async def begin(self) -> None:
        self.wait(timedelta())
        self.members = [await new_member(), await new_member()]
        self.programs = [await program_with(TERMS[0]), await program_with(TERMS[1])]
        one, two = self.programs
        await service.publish_exchange_rate(SYSTEM, from_program=one, to_program=two, numerator=2, denominator=3)
        await db.execute(
            "INSERT INTO channels (id, code, name) VALUES (gen_random_uuid(), 'pos', 'Till') ON CONFLICT DO NOTHING"
        )

    def wait(self, time: timedelta) -> None:
        self.now += time
        self.stack.enter_context(clock.frozen(self.now))

    async def do(self, step: Step) -> None:
        """Do it; a refusal changes nothing, or posts what was due."""
        with suppress(Refusal):
            done = await _DOES[step.what](self, step)
            if isinstance(done, Posted):
                self.posted.append(done)

    def whose(self, step: Step) -> dict[str, Any]:
        program = self.programs[step.pick % 4 == 3]
        return {"member_id": self.members[step.who], "program": program, "idempotency_key": new_key()}

    def some(self, step: Step, *kinds: TransferKind, of: type[Posted] = Posted) -> UUID:
        """One of what was posted, of these kinds where they are named."""
        found = [one for one in self.posted if isinstance(one, of) and (not kinds or one.kind in kinds)]
        if not found:
            raise Refusal("Nothing was posted yet.")
        return found[step.pick % len(found)].transfer_id


async def _earn(life: Life, step: Step) -> Posted:
    whose = life.whose(step)
    usable_at = life.now + HOUR * step.hours if step.flag else None
    expires_at = (usable_at or life.now) + HOUR * (step.pick % 50) if step.pick % 3 == 1 else None
    return await earn(
        whose["member_id"], whose["program"], step.amount * 3, usable_at=usable_at, expires_at=expires_at,
        on_confirmation=not step.flag and step.pick % 5 == 0,
    )  # fmt: skip


async def _confirm(life: Life, step: Step) -> Posted:
    return await service.confirm_pending(
        STAFF, transfer_id=life.some(step, TransferKind.EARN), idempotency_key=new_key(),
        expires_at=life.now + HOUR * step.hours if step.flag else None,
    )  # fmt: skip


async def _cancel(life: Life, step: Step) -> Posted:
    earning = life.some(step, TransferKind.EARN)
    return await service.cancel_pending(STAFF, transfer_id=earning, idempotency_key=new_key(), amount=step.part())


async def _spend(life: Life, step: Step) -> Posted:
    take = service.pay_stored_value if step.flag else service.spend_points
    return await take(STAFF, amount=step.amount, **life.whose(step))


async def _hold(life: Life, step: Step) -> Posted:
    hold = service.hold_stored_value if step.flag else service.hold_points
    return await hold(STAFF, amount=step.amount, deadline=life.now + HOUR * step.hours, **life.whose(step))


async def _capture(life: Life, step: Step) -> Posted:
    return await service.capture_hold(
        STAFF, hold_id=life.some(step, TransferKind.HOLD, of=HoldPosted), idempotency_key=new_key(),
        amount=step.part(), keep_rest=step.pick % 2 == 0,
    )  # fmt: skip


async def _release(life: Life, step: Step) -> Posted:
    hold = life.some(step, TransferKind.HOLD, of=HoldPosted)
    return await service.release_hold(STAFF, hold_id=hold, idempotency_key=new_key(), amount=step.part())


async def _reverse(life: Life, step: Step) -> Posted:
    return await service.reverse_transfer(
        STAFF, transfer_id=life.some(step), idempotency_key=new_key(), amount=step.part(),
    )  # fmt: skip


async def _claw_back(life: Life, step: Step) -> Posted:
    return await service.clawback_points(STAFF, amount=step.amount, **life.whose(step))


async def _deduct(life: Life, step: Step) -> Posted:
    return await service.deduct_points(
        SYSTEM, amount=step.amount, from_pending=step.flag, from_held=step.hours % 2 == 0, shortfall=Shortfall.DEBT,
        **life.whose(step),
    )  # fmt: skip


async def _restore(life: Life, step: Step) -> Posted:
    taken = life.some(step, TransferKind.DEDUCT, TransferKind.CLAWBACK)
    amount = step.part()
    return await service.restore_points(SYSTEM, transfer_id=taken, idempotency_key=new_key(), amount=amount)


async def _give(life: Life, step: Step) -> Posted:
    other = life.members[1 - step.who]
    return await service.gift_points(STAFF, recipient_id=other, amount=step.amount, **life.whose(step))


async def _decide(life: Life, step: Step) -> Posted:
    decide = (service.accept_gift, service.decline_gift, service.withdraw_gift)[step.hours % 3]
    return await decide(STAFF, gift_id=life.some(step, TransferKind.HOLD, of=GiftPosted), idempotency_key=new_key())


async def _exchange(life: Life, step: Step) -> Posted:
    one, two = life.programs
    return await service.exchange_points(
        STAFF, member_id=life.members[step.who], from_program=one, to_program=two, amount=step.amount,
        idempotency_key=new_key(),
    )  # fmt: skip


async def _adjust(life: Life, step: Step) -> Posted | None:
    amount = step.amount if step.flag else -step.amount
    done = await service.adjust_points(STAFF, amount=amount, reason="WRONG", **life.whose(step))
    return done.posted


async def _donate(life: Life, step: Step) -> Posted:
    return await service.donate_points(STAFF, amount=step.amount, good_cause="trees", **life.whose(step))


async def _top_up(life: Life, step: Step) -> Posted:
    return await service.top_up(
        STAFF,
        amount=step.amount * 50,
        channel="pos",
        payment_reference=new_key(),
        paid_at=life.now,
        **life.whose(step),
    )


async def _refund(life: Life, step: Step) -> Posted:
    paid_in = life.some(step, TransferKind.TOP_UP)
    amount = step.part()
    return await service.refund_top_up(STAFF, transfer_id=paid_in, idempotency_key=new_key(), amount=amount)


async def _freeze(life: Life, step: Step) -> None:
    """Freeze the member, or thaw them."""
    member = life.members[step.who]
    if member in life.frozen:
        life.frozen.remove(member)
        await lifecycle.thaw_member(STAFF, member_id=member, reason="OVER")
    elif not life.merged:
        life.frozen.add(member)
        await lifecycle.freeze_member(STAFF, member_id=member, reason="DOUBT")


async def _merge(life: Life, step: Step) -> None:
    """Merge one member into the other, once, where both are active and something has happened."""
    if not (life.frozen or life.merged or len(life.posted) < MERGED_AFTER):
        life.merged = True
        await merge(life.members[step.who], life.members[1 - step.who])


async def _sweep(_: Life, step: Step) -> None:
    await service.sweep_due(step.amount)


async def _publish(life: Life, step: Step) -> None:
    await publish(life.programs[step.who], TERMS[step.pick % len(TERMS)])


async def _reschedule(life: Life, step: Step) -> None:
    program = life.programs[step.pick % 4 == 3]
    version = (await publish(program, TERMS[step.pick % len(TERMS)])).policy.version
    await service.reschedule_lots(program, version, life.now + HOUR * step.hours, UUID(int=0), 100)


async def _wait(life: Life, step: Step) -> None:
    life.wait(HOUR * step.hours)


_DOES: dict[str, Callable[[Life, Step], Awaitable[Posted | None]]] = {
    "earn": _earn, "confirm": _confirm, "cancel": _cancel, "spend": _spend, "hold": _hold, "capture": _capture,
    "release": _release, "reverse": _reverse, "claw back": _claw_back, "deduct": _deduct, "restore": _restore,
    "give": _give, "decide": _decide, "exchange": _exchange, "adjust": _adjust, "donate": _donate, "top up": _top_up,
    "refund": _refund, "freeze": _freeze, "merge": _merge, "sweep": _sweep, "publish": _publish,
    "reschedule": _reschedule, "wait": _wait,
}  # fmt: skip

OFTEN = (
    "earn", "earn", "earn", "earn", "wait", "wait", "hold", "hold", "capture", "release", "give", "decide", "spend",
    "reverse", "top up",
)  # fmt: skip

steps = st.builds(
    Step,
    what=st.sampled_from([*OFTEN, *_DOES]),
    who=st.sampled_from([0, 0, 1]),
    amount=st.integers(1, 40),
    hours=st.integers(1, 40),
    pick=st.integers(0, 60),
    flag=st.booleans(),
)
