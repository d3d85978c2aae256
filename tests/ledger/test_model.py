"""A state machine that does everything to the ledger in any order, and a model that says what must come of it.

The short profile runs in `make test`; `--hypothesis-profile=long` runs for many minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from engage.base import clock, db
from engage.base.settings import Settings
from engage.domains.ledger.errors import InsufficientPoints
from engage.domains.ledger.service import sweep_due
from engage.domains.ledger.types import Balance, Posted
from engage.migrations import orm_config
from tests.ledger.books import (
    NOON,
    assert_whole,
    balance,
    earn,
    events,
    new_key,
    new_member,
    new_program,
    schedule,
    spend,
)

LONG = 100
"""So many examples are the long profile's, whose examples are longer too."""

Runs = Callable[[Awaitable[Any]], Any]
Said = tuple[Callable[[], Awaitable[Posted]], Posted]


@dataclass
class ModelLot:
    """Points that came together."""

    remaining: int
    earned_at: datetime
    usable_at: datetime
    expires_at: datetime | None

    def is_usable(self, now: datetime) -> bool:
        return self.usable_at <= now and (self.expires_at is None or self.expires_at > now)


class ModelAccount:
    """What a member has, in the plainest way: nothing is posted, everything follows from the lots and the time."""

    def __init__(self) -> None:
        self.lots: list[ModelLot] = []

    def balance(self, now: datetime) -> Balance:
        return Balance(
            available=sum(lot.remaining for lot in self.lots if lot.is_usable(now)),
            pending=sum(lot.remaining for lot in self.lots if lot.usable_at > now),
        )

    def spend(self, amount: int, now: datetime) -> None:
        usable = [lot for lot in self.lots if lot.is_usable(now)]
        for lot in sorted(usable, key=lambda lot: (lot.expires_at is None, lot.expires_at or now, lot.earned_at)):
            taken = min(amount, lot.remaining)
            lot.remaining -= taken
            amount -= taken


class LedgerMachine(RuleBasedStateMachine):
    """Two members of one program, the ledger and the model side by side."""

    said = Bundle("said")
    who = st.integers(0, 1)
    hours = st.integers(1, 72)

    def __init__(self, run: Runs) -> None:
        super().__init__()
        self.run = run
        self.now = NOON
        self.stack = ExitStack()
        self.stack.enter_context(clock.frozen(self.now))
        self.run(empty_tables())
        self.program: str = self.run(new_program())
        self.members: list[UUID] = [self.run(new_member()) for _ in range(2)]
        self.models = [ModelAccount(), ModelAccount()]

    def teardown(self) -> None:
        self.stack.close()

    @rule(target=said, who=who, amount=st.integers(1, 50), later=st.none() | hours, valid=st.none() | hours)
    def earns(self, who: int, amount: int, later: int | None, valid: int | None) -> Said:
        usable_at = None if later is None else self.now + timedelta(hours=later)
        expires_at = None if valid is None else (usable_at or self.now) + timedelta(hours=valid)
        key = new_key()

        def say() -> Awaitable[Posted]:
            return earn(self.members[who], self.program, amount, key, usable_at=usable_at, expires_at=expires_at)

        posted = self.run(say())
        self.models[who].lots.append(ModelLot(amount, self.now, usable_at or self.now, expires_at))
        assert posted.balance == self.models[who].balance(self.now)
        return say, posted

    @rule(target=said, who=who, amount=st.integers(1, 80))
    def spends(self, who: int, amount: int) -> Any:
        key = new_key()

        def say() -> Awaitable[Posted]:
            return spend(self.members[who], self.program, amount, key)

        before = self.models[who].balance(self.now)
        if amount > before.available:
            with pytest.raises(InsufficientPoints) as caught:
                self.run(say())
            assert caught.value.extras == {"available": before.available, "required": amount}
            return multiple()
        posted = self.run(say())
        self.models[who].spend(amount, self.now)
        assert posted.balance == self.models[who].balance(self.now)
        return say, posted

    @rule(said=said)
    def says_it_again(self, said: Said) -> None:
        say, first = said
        assert self.run(say()) == replace(first, replayed=True)

    @rule(hours=hours)
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.stack.enter_context(clock.frozen(self.now))

    @rule(limit=st.integers(1, 2))
    def sweeps(self, limit: int) -> None:
        assert 0 <= self.run(sweep_due(limit)) <= limit

    @invariant()
    def agrees_with_the_model(self) -> None:
        self.run(self.check())

    async def check(self) -> None:
        for member, model in zip(self.members, self.models, strict=True):
            expected = model.balance(self.now)
            assert await balance(member, self.program) == expected
            for days in (1, 100):
                assert (await schedule(member, self.program, days)).total == expected.available
            said = await events(member)
            if said and said[-1][2]["posted_at"] == self.now.isoformat():
                assert Balance(**said[-1][2]["balance"]) == expected
        await assert_whole()


async def empty_tables() -> None:
    """Forget the example before, so that verifying costs the same for the last as for the first."""
    await db.execute(
        "TRUNCATE transfers, entries, lots, allocations, accounts, stream_heads, events, members CASCADE"
    )


@pytest.fixture
def run(config: Settings) -> Iterator[Runs]:
    """Runs what is awaitable on a loop of this test's own, in a connected process, on tables that may be emptied."""

    async def until_done(work: Awaitable[Any]) -> Any:
        return await work

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(db.connect(config, orm_config(config.database_url)))
        for table in ("transfers", "entries", "allocations", "events"):
            runner.run(db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        try:
            yield lambda work: runner.run(until_done(work))
        finally:
            runner.run(db.disconnect())


def test_the_ledger_agrees_with_a_plain_model(run: Runs) -> None:
    examples = max(settings().max_examples // 3, 1)
    steps = 12 if examples < LONG else 40
    machine = cast("type[LedgerMachine]", partial(LedgerMachine, run))
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps))
