"""A member who can be asked to do anything that the ledger knows, and every command of it by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from engage.domains.ledger.service import Adjusted
from engage.domains.ledger.types import Posted, Shortfall
from tests.ledger.books import NOON, earn, new_member, new_program, spend
from tests.ledger.publishing import program_with, rolling
from tests.ledger.words import (
    adjust,
    cancel,
    capture,
    claw,
    deduct,
    donate,
    exchange,
    gift,
    hold,
    hold_value,
    pay,
    publish_rate,
    refund,
    release,
    restore,
    reverse,
    take_back,
    top_up,
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Who and what the commands are about: 1000 points, 1000 in value, and transfers of each kind to go back to."""

    member: UUID
    friend: UUID
    program: str
    other: str
    held: UUID
    pending: UUID
    earned: UUID
    spent: UUID
    deducted: UUID
    topped_up: UUID


async def set_stage() -> Stage:
    member, friend = await new_member(), await new_member()
    program, other = await program_with(rolling("P5Y")), await new_program()
    await publish_rate(program, other, 1, 1)
    earned = await earn(member, program, 1300)
    pending = await earn(member, program, 100, on_confirmation=True)
    held = await hold(member, program, 100)
    spent = await spend(member, program, 100)
    deducted = await deduct(member, program, 100)
    topped_up = await top_up(member, program, 1000)
    return Stage(
        member, friend, program, other, held.hold_id, pending.transfer_id, earned.transfer_id, spent.transfer_id,
        deducted.transfer_id, topped_up.transfer_id,
    )  # fmt: skip


Ask = Callable[[Stage, int, str], Awaitable[Posted]]


async def _adjust(stage: Stage, amount: int, key: str, **more: Any) -> Posted:
    answer: Adjusted = await adjust(stage.member, stage.program, amount, key, **more)
    assert answer.posted is not None
    return answer.posted


ON_MEMBERS: dict[str, Callable[..., Awaitable[Posted]]] = {
    "earn": earn,
    "spend": spend,
    "donate": donate,
    "hold": hold,
    "claw": lambda member, program, amount, key: claw(member, program, amount, key, shortfall=Shortfall.REFUSE),
    "deduct": lambda member, program, amount, key: deduct(member, program, amount, key, shortfall=Shortfall.REFUSE),
    "top_up": lambda member, program, amount, key: top_up(
        member, program, amount, key, payment_reference=key, paid_at=NOON
    ),
    "pay": pay,
    "hold_value": hold_value,
}
"""Commands that name a member and a program."""


def _on_stage(command: Callable[..., Awaitable[Posted]]) -> Ask:
    return lambda s, amount, key: command(s.member, s.program, amount, key)


COMMANDS: dict[str, Ask] = {
    **{name: _on_stage(command) for name, command in ON_MEMBERS.items()},
    "adjust": _adjust,
    "gift": lambda s, amount, key: gift(s.member, s.friend, s.program, amount, key),
    "exchange": lambda s, amount, key: exchange(s.member, s.program, s.other, amount, key),
    "capture": lambda s, amount, key: capture(s.held, amount, key),
    "release": lambda s, amount, key: release(s.held, amount, key),
    "cancel": lambda s, amount, key: cancel(s.pending, amount, key),
    "take_back": lambda s, amount, key: take_back(s.earned, amount, key),
    "reverse": lambda s, amount, key: reverse(s.spent, amount, key),
    "restore": lambda s, amount, key: restore(s.deducted, amount, key),
    "refund": lambda s, amount, key: refund(s.topped_up, amount, key),
}
"""All commands that take an amount and a key."""
