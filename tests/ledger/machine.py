"""The ledger and its model side by side: what both are told, and how they are compared."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from engage.base import clock, db
from engage.base.errors import Refusal
from engage.base.readings import Fetch, fetch_together
from engage.domains.ledger import queries, service
from engage.domains.ledger.types import Balance, ExpirySchedule, Posted
from tests.ledger.books import NOON, assert_all_whole, new_member, new_program
from tests.ledger.model import Account, Hold, Lot, Person, Program, Refused, Transfer
from tests.ledger.model_giving import Correction, Gift, Model, TopUp

T = TypeVar("T")
A = TypeVar("A")
Runs = Callable[[Awaitable[Any]], Any]
Said = Callable[[], Awaitable[Any]]

MEMBERS = 3
STEP = timedelta(milliseconds=1)
"""Between two commands, so that lots of different ones are in the order of their ids."""

picks = st.integers(0, 7)
amounts = st.integers(1, 60)
parts = st.none() | st.integers(1, 40)
hours = st.integers(1, 96)

_LOTS = """
SELECT l.id, l.state, l.amount, l.remaining, l.held, l.earned_at, l.usable_at, l.expires_at, l.origin_lot_id,
       a.member_id, c.program_code, c.kind
  FROM lots l JOIN accounts a ON a.id = l.account_id JOIN currencies c ON c.id = a.currency_id
 WHERE a.next_due_at IS NULL OR a.next_due_at > $1 ORDER BY l.id
"""
_FIGURES = """
SELECT a.member_id, c.program_code, c.kind, a.next_due_at IS NULL OR a.next_due_at > $1 AS settled,
       e.available, e.pending, e.held, e.debt
  FROM accounts a JOIN currencies c ON c.id = a.currency_id, engage.ledger_effective(a, $1) e
 WHERE a.member_id IS NOT NULL
"""
_HOLDS = """
SELECT h.id, h.state, h.remaining, h.deadline FROM holds h JOIN accounts a ON a.id = h.account_id
 WHERE a.next_due_at IS NULL OR a.next_due_at > $1
"""
EMPTY = (
    "TRUNCATE transfers, entries, lots, allocations, accounts, stream_heads, events, members, holds, debts, gifts,"
    " exchange_rates, adjustments, top_ups, points_policies, transfer_notes, currencies, idempotency_answers CASCADE"
)


class Bench(RuleBasedStateMachine):
    """Three members of two programs. Rules say each command to both sides; an invariant compares them."""

    def __init__(self, run: Runs) -> None:
        super().__init__()
        self.run = run
        self.now = NOON
        self.clock = ExitStack()
        self.set_clock(NOON)
        self.run(db.execute(EMPTY))  # forget the example before, so that the last costs the same as the first
        zones = ("UTC", "Europe/Berlin")
        self.programs = [Program(self.run(new_program(zone=zone)), ZoneInfo(zone)) for zone in zones]
        self.people = [Person(self.run(new_member())) for _ in range(MEMBERS)]
        self.model = Model(NOON)
        self.holds: list[Hold] = []
        self.gifts: list[Gift] = []
        self.top_ups: list[TopUp] = []
        self.corrections: list[Correction] = []
        self.said: list[tuple[Said, Any]] = []
        self.lots: dict[Any, Lot] = {}

    def teardown(self) -> None:
        with self.clock:  # which other tests of this process do not share
            if sys.exc_info()[0] is None:  # else the example has failed already
                self.run(self.check_at_last())

    def set_clock(self, now: datetime) -> None:
        self.now = now
        self.clock.close()
        self.clock.enter_context(clock.frozen(now))

    def living(self) -> list[Person]:
        return [person for person in self.people if person.into is None]

    def who(self, pick: int) -> Person:
        """Anyone, also under the name of one who was merged."""
        return self.people[pick % len(self.people)]

    def rich(self, pick: int, side: int, currency: str = "POINTS") -> Person:
        """One who has something to spend, if anyone has: mostly under their own name."""
        program = self.programs[side]
        found = [one for one in self.living() if self.model.account(one, program, currency).balance.available]
        return found[pick % len(found)] if found and pick else self.who(pick)

    def do(self, expect: Callable[[], T], say: Callable[[], Awaitable[A]]) -> tuple[T, A] | None:
        """Say the same to the model and to the ledger; what both answer, or None where both refuse alike."""
        self.model.settle(self.now)
        try:
            expected = expect()
        except Refused as refused:
            self.is_refused(say, refused)
            return None
        answer = self.run(say())
        if isinstance(answer, Posted):
            self.check_answer(answer)
        self.said.append((say, answer))
        self.step()
        return expected, answer

    def is_refused(self, say: Said, expected: Refused) -> None:
        with pytest.raises(Refusal) as caught:
            self.run(say())
        found = caught.value
        assert found.code == expected.code, (found, expected)
        assert found.extras | expected.figures == found.extras, (found.extras, expected)
        self.step()

    def step(self) -> None:
        self.set_clock(self.now + STEP)

    def check_answer(self, answer: Posted) -> None:
        """It tells the balance that the command leaves behind."""
        account = self.model.accounts[answer.member_id, answer.program, str(answer.currency)]
        assert answer.balance == account.balance, (answer, account.balance)

    def keep(self, done: tuple[Transfer, Any] | None) -> Any:
        """Learn the id of what was posted; answers what the ledger said."""
        if done is None:
            return None
        done[0].id = done[1].transfer_id
        return done[1]

    def repeat(self, say: Said, first: Any) -> None:
        """The first answer again, and nothing else."""
        again = self.run(say())
        assert again == (replace(first, replayed=True) if isinstance(first, Posted) else first)

    @invariant()
    def agrees_with_the_model(self) -> None:
        self.model.settle(self.now)
        self.run(self.check())

    async def check(self) -> None:
        await self.check_reads()
        settled = set()
        for row in await db.fetch(_FIGURES, self.now):
            key = row["member_id"], row["program_code"], row["kind"]
            found = Balance(row["available"], row["pending"], row["held"], row["debt"])
            assert found == self.model.accounts[key].balance, (key, found, self.model.accounts[key].balance)
            if row["settled"]:
                settled.add(key)
        self.check_lots(await db.fetch(_LOTS, self.now), settled)
        holds = {hold.id: hold for hold in self.all_holds()}
        for row in await db.fetch(_HOLDS, self.now):
            hold = holds[row["id"]]
            expected = (hold.state, hold.remaining, hold.deadline)
            assert (row["state"], row["remaining"], row["deadline"]) == expected, dict(row)

    def all_holds(self) -> list[Hold]:
        return self.holds + [gift.hold for gift in self.gifts if gift.hold]

    async def check_reads(self) -> None:
        """What anyone reads is right at any moment, whatever was posted by then."""
        people = tuple(person.id for person in self.living())
        for program in self.programs:
            balances, schedules = await fetch_together(
                [
                    Fetch(queries.BALANCES, people, (program.code, self.now)),
                    Fetch(queries.SCHEDULES, people, (program.code, 2, self.now)),
                ]
            )
            for person in self.living():
                expected = self.model.account(person, program).balance
                balance: Balance = balances.get(str(person.id), queries.BALANCES.absent)
                schedule: ExpirySchedule = schedules.get(str(person.id), queries.SCHEDULES.absent)
                assert balance == expected, (person.id, program.code, balance, expected)
                assert schedule.total == expected.available

    def check_lots(self, rows: list[asyncpg.Record], settled: set[Any]) -> None:
        """Lot by lot, in accounts on which nothing is due."""
        unknown = [row for row in rows if row["id"] not in self.lots]
        while unknown:  # ids of one moment are in no order: a lot may come before the one that it came from
            left = [row for row in unknown if not self.recognise(row)]
            assert len(left) < len(unknown), f"no such lot in the model: {dict(left[0])}"
            unknown = left
        for row in rows:
            lot = self.lots[row["id"]]
            state = "CLOSED" if lot.remaining == 0 else "OPEN" if lot.matured else "PENDING"
            expected = (state, lot.remaining, lot.held, lot.usable_at, lot.expires_at, lot.earned_at)
            names = ("state", "remaining", "held", "usable_at", "expires_at", "earned_at")
            assert tuple(row[name] for name in names) == expected, (dict(row), expected)
        for key in settled:
            missing = [lot for lot in self.model.accounts[key].lots if lot.id is None]
            assert not missing, missing

    def recognise(self, row: asyncpg.Record) -> bool:
        """Whether a new lot of the ledger is one of the model that has no id yet, which has one then."""
        account: Account = self.model.accounts[row["member_id"], row["program_code"], row["kind"]]
        for lot in account.lots:
            origin = lot.origin.id if lot.origin else None
            like = (lot.id, origin, lot.amount, lot.expires_at, lot.earned_at)
            if like == (None, row["origin_lot_id"], row["amount"], row["expires_at"], row["earned_at"]):
                lot.id = row["id"]
                self.lots[row["id"]] = lot
                return True
        return False

    async def check_at_last(self) -> None:
        """Once everything is posted that is due, sums and verification find nothing."""
        while await service.sweep_due(5):
            pass
        self.model.settle(self.now)
        await self.check()
        await assert_all_whole()
