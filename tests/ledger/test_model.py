"""A state machine that does everything to the ledger in any order, and a model that says what must come of it.

The short profile runs in `make test`, `--hypothesis-profile=long` in `make prove`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from engage.base import db
from engage.base.settings import Settings
from engage.migrations import orm_config
from tests.ledger.machine import Runs
from tests.ledger.machine_giving import LedgerMachine

LONG = 500
"""So many examples of 100 steps the long profile has at the most: some minutes."""

HISTORY = ("transfers", "entries", "allocations", "events", "points_policies", "exchange_rates")


@pytest.fixture
def run(config: Settings) -> Iterator[Runs]:
    """Runs what is awaitable on a loop of this test's own, in a connected process, on tables that may be emptied."""

    async def until_done(work: Awaitable[Any]) -> Any:
        return await work

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(db.connect(config, orm_config(config.database_url)))
        for table in HISTORY:
            runner.run(db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        runner.run(db.execute("INSERT INTO channels (id, code, name) VALUES (gen_random_uuid(), 'till', 'Till')"))
        try:
            yield lambda work: runner.run(until_done(work))
        finally:
            runner.run(db.disconnect())


def test_the_ledger_agrees_with_a_plain_model(run: Runs) -> None:
    examples = min(settings().max_examples, LONG)
    steps = 100 if examples == LONG else 50
    machine = cast("type[LedgerMachine]", partial(LedgerMachine, run))
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps))
