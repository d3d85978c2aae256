"""A load of all commands of the ledger, each repeated with its key until it is answered.

It calls the commands in this process, on the database beneath the killed processes. What clients can say over the API
they say in `spending`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from engage.api.errors import meaning
from engage.base import clock, db
from engage.base.actor import Actor, Role
from engage.base.errors import Unavailable
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.domains.ledger.types import Posted
from engage.migrations import orm_config
from tests.ledger.books import new_member, new_program
from tests.ledger.words import open_channel

MOVER = Actor("mover", Role.ADMIN)
PAUSE_S = 0.1
CHANNEL = "till"

Step = Callable[..., Awaitable[Any]]


@dataclass
class Moves:
    """What was asked for and what was answered, by idempotency key; `done` is the latest answer of each command."""

    program: str
    target: str
    asked: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, Posted] = field(default_factory=dict)
    repeated: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, key: str, amount: int, command: Step) -> Any:
        """What a command answers, whatever it takes."""
        self.asked[key] = amount
        while True:
            try:
                answer = await command(idempotency_key=key)
            except Exception as error:
                if not isinstance(meaning(error), Unavailable | TimeoutError):
                    raise
                self.repeated += 1
                await asyncio.sleep(PAUSE_S)
            else:
                posted: Any = answer.posted if isinstance(answer, service.Adjusted) else answer
                assert abs(posted.amount) == amount, posted
                self.acknowledged[key] = posted
                return posted


@dataclass
class Mover:
    """One client with a member of its own, and another to give to: so that it knows what each command has to move."""

    name: str
    moves: Moves
    member_id: UUID
    other_id: UUID
    number: int = 0

    async def move_until_stopped(self) -> None:
        while not self.moves.stopped.is_set():
            await self.round()

    async def say(self, amount: int, command: Step, /, **more: Any) -> Any:
        self.number += 1
        return await self.moves.say(f"{self.name}-{self.number}", amount, partial(command, MOVER, **more))

    async def own(self, amount: int, command: Step, /, **more: Any) -> Any:
        """A command on points of the member."""
        return await self.say(
            amount, command, member_id=self.member_id, program=self.moves.program, amount=amount, **more
        )

    async def round(self) -> None:
        """Everything once. What each takes is there before it."""
        await self.own(50, service.earn_points)
        waiting = await self.own(5, service.earn_points, on_confirmation=True)
        await self.say(5, service.confirm_pending, transfer_id=waiting.transfer_id)
        held = await self.own(20, service.hold_points)
        captured = await self.say(8, service.capture_hold, hold_id=held.hold_id, amount=8, keep_rest=True)
        await self.say(12, service.release_hold, hold_id=held.hold_id)
        await self.say(3, service.reverse_transfer, transfer_id=captured.transfer_id, amount=3)
        spent = await self.own(10, service.spend_points)
        await self.say(10, service.reverse_transfer, transfer_id=spent.transfer_id)
        await self.own(5, service.gift_points, recipient_id=self.other_id)
        await self.own(1, service.donate_points, good_cause="trees")
        taken = await self.own(6, service.deduct_points)
        await self.say(6, service.restore_points, transfer_id=taken.transfer_id)
        await self.own(2, service.clawback_points)
        await self.own(3, service.adjust_points, reason="GOODWILL")
        await self.say(
            4, service.exchange_points, member_id=self.member_id, from_program=self.moves.program,
            to_program=self.moves.target, amount=4,
        )  # fmt: skip
        await self.money()

    async def money(self) -> None:
        reference = f"{self.name}-{self.number}"
        paid_in = await self.own(
            100, service.top_up, channel=CHANNEL, payment_reference=reference, paid_at=clock.now()
        )
        await self.own(30, service.pay_stored_value)
        held = await self.own(20, service.hold_stored_value)
        await self.say(20, service.capture_hold, hold_id=held.hold_id)
        await self.say(10, service.refund_top_up, transfer_id=paid_in.transfer_id, amount=10)


@asynccontextmanager
async def moving(info: dict[str, Any], movers: int) -> AsyncIterator[tuple[Moves, list[Mover]]]:
    """So many clients, connected to the database of an `engage dev`; they begin when they are told to."""
    config = Settings(
        database_url=info["database_url"], redis_url="redis://127.0.0.1:1", jwt_secret=SecretStr("-" * 32), port=0,
        development=True,
    )  # fmt: skip
    await db.connect(config, orm_config(config.database_url), application="mover")
    try:
        await open_channel(CHANNEL)
        moves = Moves(await new_program(), await new_program())
        await service.publish_exchange_rate(
            MOVER, from_program=moves.program, to_program=moves.target, numerator=1, denominator=1
        )
        members = [await new_member() for _ in range(movers)]
        yield moves, [Mover(f"mover-{nth}", moves, member, members[nth - 1]) for nth, member in enumerate(members)]
    finally:
        await db.disconnect()


BESIDES = ("RECEIVE", "EXCHANGE_IN")
"""What is posted along with what a command answers."""


async def assert_each_move_is_there_once(moves: Moves) -> None:
    """As many as were asked for, each with the transfer that was acknowledged, and nothing else."""
    assert set(moves.acknowledged) == set(moves.asked)
    expected = {posted.transfer_id: moves.asked[key] for key, posted in moves.acknowledged.items()}
    assert len(expected) == len(moves.asked), "two keys were answered with one transfer"
    rows = await db.fetch(
        "SELECT id, amount FROM transfers WHERE actor_id = $1 AND kind <> ALL ($2)", MOVER.id, list(BESIDES)
    )
    assert {row["id"]: row["amount"] for row in rows} == expected
