"""All commands of the ledger at once, by many on few members: each key has one effect, and the ledger stays whole."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from engage.base import clock, db
from engage.base.errors import Refusal
from engage.base.settings import Settings
from engage.domains.ledger import service
from engage.domains.ledger.service import Adjusted
from engage.domains.ledger.types import Cause, Earning, GiftPosted, HoldPosted, Posted, Shortfall, TransferKind
from engage.domains.lifecycle.service import freeze_member, thaw_member
from engage.domains.members.service import lock_members
from engage.migrations import orm_config
from tests.ledger import words
from tests.ledger.books import NOON, STAFF, assert_all_whole, balance, earn, new_key, new_member, new_program, spend
from tests.ledger.machine_points import POLICIES
from tests.ledger.publishing import publish

TASKS = 64
MEMBERS = 8
TIMES = 3
"""How often each command is sent, all at once."""

Command = Callable[[], Awaitable[Any]]

KEYED = (
    "earn", "earn", "earn_later", "confirm", "cancel", "spend", "donate", "hold", "hold", "capture", "release",
    "reverse", "reverse", "restore", "claw", "deduct", "gift", "gift", "accept", "decline", "withdraw", "exchange",
    "adjust", "approve", "top_up", "pay", "hold_value", "refund",
)  # fmt: skip
OTHERS = ("bulk", "sweep", "freeze", "thaw", "merge", "publish", "rate")
"""Commands without a key, or with nothing to repeat."""


class Storm:
    """Commands by chance, on what the ones before have made."""

    def __init__(self, seed: int, members: list[UUID], programs: list[str]) -> None:
        self.dice = random.Random(seed)  # noqa: S311 -- a load, not a secret
        self.members, self.programs = members, programs
        self.transfers: list[UUID] = []
        self.holds: list[UUID] = []
        self.gifts: list[UUID] = []
        self.top_ups: list[UUID] = []
        self.corrections: list[UUID] = []
        self.effects: Counter[str] = Counter()

    async def work(self, commands: int) -> None:
        for _ in range(commands):
            if self.dice.random() < 0.15:
                await words.tried(getattr(self, self.dice.choice(OTHERS))(), Refusal)
            else:
                name = self.dice.choice(KEYED)
                await self.send(name, getattr(self, name)())

    async def send(self, name: str, command: Command) -> None:
        """The same command some times at once: one effect, equal answers. Any of them may come at a bad moment."""
        said = await asyncio.gather(*(words.tried(self.run(command), Refusal) for _ in range(TIMES)))
        answers = [one for one in said if not isinstance(one, Refusal)]
        if not answers:
            return
        self.effects[name] += 1
        if isinstance(answers[0], Adjusted):
            posted = {one.posted and one.posted.transfer_id for one in answers}
            assert len(posted) == len({one.adjustment and one.adjustment.id for one in answers}) == 1, answers
        else:
            assert len({replace(one, replayed=True) for one in answers}) == 1, answers
        if name != "approve":  # what was approved before is answered again by every key
            assert sum(not one.replayed for one in answers) == 1, answers
        self.learn(answers[0])

    async def run(self, command: Command) -> Any:
        return await command()

    def learn(self, answer: Any) -> None:
        if isinstance(answer, Adjusted):
            if answer.adjustment is not None:
                self.corrections.append(answer.adjustment.id)
            if answer.posted is None:
                return
            answer = answer.posted
        assert isinstance(answer, Posted)
        self.transfers.append(answer.transfer_id)
        if isinstance(answer, GiftPosted):
            self.gifts.append(answer.gift_id)
        elif isinstance(answer, HoldPosted):
            self.holds.append(answer.hold_id)
        elif answer.kind is TransferKind.TOP_UP:
            self.top_ups.append(answer.transfer_id)

    def who(self) -> UUID:
        return self.dice.choice(self.members)

    def where(self) -> str:
        return self.dice.choice(self.programs)

    def some(self) -> int:
        return self.dice.randint(1, 30)

    def part(self) -> int | None:
        return self.dice.choice([None, self.dice.randint(1, 20)])

    def at(self) -> datetime:
        return clock.now() + timedelta(hours=self.dice.randint(1, 60))

    def of(self, things: list[UUID], command: Callable[..., Awaitable[Any]], *values: Any, **more: Any) -> Command:
        """A command on one of the latest of these things; an earning where there are none yet."""
        if not things:
            return self.earn()
        return partial(command, self.dice.choice(things[-20:]), *values, key=new_key(), **more)

    def earn(self) -> Command:
        expires_at = self.dice.choice([None, self.at()])
        return partial(earn, self.who(), self.where(), 2 * self.some(), new_key(), expires_at=expires_at)

    def earn_later(self) -> Command:
        usable_at = self.dice.choice([None, self.at()])
        return partial(
            earn, self.who(), self.where(), self.some(), new_key(), usable_at=usable_at, on_confirmation=not usable_at
        )

    def confirm(self) -> Command:
        return self.of(self.transfers, words.confirm)

    def cancel(self) -> Command:
        return self.of(self.transfers, words.cancel, self.part())

    def spend(self) -> Command:
        return partial(spend, self.who(), self.where(), self.some(), new_key())

    def donate(self) -> Command:
        return partial(words.donate, self.who(), self.where(), self.some(), new_key())

    def hold(self) -> Command:
        return partial(words.hold, self.who(), self.where(), self.some(), new_key(), deadline=self.at())

    def capture(self) -> Command:
        return self.of(self.holds, words.capture, self.part(), keep_rest=self.dice.random() < 0.5)

    def release(self) -> Command:
        return self.of(self.holds, words.release, self.part())

    def reverse(self) -> Command:
        return self.of(self.transfers, words.reverse, self.part(), shortfall=self.dice.choice(list(Shortfall)))

    def restore(self) -> Command:
        return self.of(self.transfers, words.restore, self.part())

    def claw(self) -> Command:
        return partial(words.claw, self.who(), self.where(), self.some(), new_key())

    def deduct(self) -> Command:
        return partial(
            words.deduct, self.who(), self.where(), self.part(), new_key(), from_pending=True, from_held=True,
            shortfall=self.dice.choice(list(Shortfall)),
        )  # fmt: skip

    def gift(self) -> Command:
        return partial(words.gift, self.who(), self.who(), self.where(), self.some(), new_key())

    def accept(self) -> Command:
        return self.of(self.gifts, words.accept)

    def decline(self) -> Command:
        return self.of(self.gifts, words.decline)

    def withdraw(self) -> Command:
        return self.of(self.gifts, words.withdraw)

    def exchange(self) -> Command:
        source, target = self.dice.sample(self.programs, 2)
        return partial(words.exchange, self.who(), source, target, self.some(), new_key())

    def adjust(self) -> Command:
        amount = self.some() * self.dice.choice([-1, 1])
        return partial(words.adjust, self.who(), self.where(), amount, new_key())

    def approve(self) -> Command:
        return partial(words.approve, self.dice.choice(self.corrections)) if self.corrections else self.earn()

    def top_up(self) -> Command:
        return partial(
            words.top_up, self.who(), self.where(), 10 * self.some(), new_key(), payment_reference=new_key(),
            paid_at=clock.now(), channel="till",
        )  # fmt: skip

    def pay(self) -> Command:
        return partial(words.pay, self.who(), self.where(), self.some(), new_key())

    def hold_value(self) -> Command:
        return partial(words.hold_value, self.who(), self.where(), self.some(), new_key(), deadline=self.at())

    def refund(self) -> Command:
        return self.of(self.top_ups, words.refund, self.part())

    async def bulk(self) -> None:
        program, wanted = self.where(), self.dice.sample(self.members, 3)
        cause, amount = Cause("purchase", new_key()), self.some()

        @db.command
        async def post() -> None:
            await lock_members(wanted)
            members = await db.fetch("SELECT id FROM members WHERE id = ANY ($1) AND merged_into_id IS NULL", wanted)
            lines = [Earning(one["id"], amount, cause, clock.now() - timedelta(days=1)) for one in members]
            await service.post_earnings(STAFF, program, lines)

        await post()

    async def merge(self) -> None:
        """Two become one, and a new member joins; not often, and not the one who is frozen now and then."""
        pair = self.dice.sample(self.members[1:], 2)
        if self.dice.random() < 0.7:
            return

        @db.command
        async def both() -> bool:
            await lock_members(pair)
            free = "SELECT count(*) FROM members WHERE id = ANY ($1) AND merged_into_id IS NULL"
            if await db.fetch_value(free, pair) < len(pair):
                return False
            await words.merge(*pair)
            return True

        if await both():
            self.members[self.members.index(pair[0])] = await new_member()
            self.effects["merge"] += 1

    async def sweep(self) -> None:
        await service.sweep_due(3)

    async def freeze(self) -> None:
        await freeze_member(STAFF, member_id=self.members[0], reason="STORM")

    async def thaw(self) -> None:
        await thaw_member(STAFF, member_id=self.members[0], reason="STORM")

    async def publish(self) -> None:
        await publish(self.where(), self.dice.choice(POLICIES))

    async def rate(self) -> None:
        source, target = self.dice.sample(self.programs, 2)
        await words.publish_rate(source, target, self.dice.randint(1, 3), self.dice.randint(1, 3))


@pytest.fixture(scope="module")
async def connected(config: Settings) -> AsyncIterator[Settings]:
    """A process whose commands may wait for each other for long."""
    waits = {"acquire_timeout_s": 60.0, "lock_timeout_ms": 60_000, "statement_timeout_ms": 60_000}
    patient = config.model_copy(update=waits)
    await db.connect(patient, orm_config(patient.database_url))
    yield patient
    await db.disconnect()


@pytest.mark.parametrize(
    ("days", "commands"), [(3, 4), pytest.param(30, 8, marks=pytest.mark.long)], ids=["short", "long"]
)
async def test_whatever_comes_at_once_each_key_has_one_effect(connected: Settings, days: int, commands: int) -> None:
    assert connected.database_url
    await words.open_channel()
    programs = [await new_program() for _ in range(2)]
    storm = Storm(days, [await new_member() for _ in range(MEMBERS)], programs)
    for day in range(days):
        with clock.frozen(NOON + timedelta(days=day)):
            await storm.publish()
            await storm.rate()
            async with asyncio.TaskGroup() as group:
                for _ in range(TASKS):
                    group.create_task(storm.work(commands))
        await assert_all_whole()
    assert len(storm.effects) > len(set(KEYED)) // 2, storm.effects
    with clock.frozen(NOON + timedelta(days=days + 2)):
        before = [await balance(one, program) for one in storm.members for program in programs]
        while await service.sweep_due(10):
            pass
        assert [await balance(one, program) for one in storm.members for program in programs] == before
    await assert_all_whole()
