"""A job that is run here while the database goes away. The process is connected through a wire that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.errors import Unavailable
from engage.base.settings import Settings
from engage.migrations import orm_config
from engage.outbox import Asked, ask, here, runs
from engage.outbox.here import HOLD_S, run_here
from engage.outbox.registry import Registry
from engage.outbox.types import JobState
from tests.outbox.gates import Gate
from tests.outbox.stepping import KIND, LAST, counts, done_rows, with_steps
from tests.outbox.working import EFFECTS, forget_all
from tests.realtime.wire import Wire, wired

ALL = list(range(1, LAST + 1))


@pytest.fixture(scope="module")
async def wire(config: Settings) -> AsyncIterator[Wire]:
    async with wired(config.database_url, 5432) as wire:
        far = config.model_copy(update={"database_url": wire.url, "acquire_timeout_s": 1.0})
        await db.connect(far, orm_config(far.database_url))
        await db.execute(EFFECTS)
        yield wire
        await db.disconnect()


@pytest.fixture
async def clean(wire: Wire, registry: Registry) -> Registry:  # noqa: ARG001 -- connected first
    await forget_all()
    return registry


async def test_it_is_waited_for(clean: Registry, wire: Wire) -> None:
    gate, away = Gate(3), asyncio.Event()
    with_steps(clean, within=gate.pass_by)
    asked = await ask(SYSTEM, KIND, hold_s=HOLD_S)
    running = asyncio.create_task(run_here(asked, lambda seen: away.set() if seen.away else None))
    await gate.reached.wait()
    await wire.cut(for_good=True)
    gate.open.set()
    async with asyncio.timeout(30):
        await away.wait()
    await wire.mend()
    assert (await running).state is JobState.DONE
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))


async def test_but_not_for_ever(clean: Registry, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(3)
    with_steps(clean, within=gate.pass_by)
    asked = await ask(SYSTEM, KIND, hold_s=1.0)
    running = asyncio.create_task(run_here(asked, hold_s=1.0))
    await gate.reached.wait()
    with monkeypatch.context() as patch:
        patch.setattr(here, "PATIENCE_S", 0.3)
        patch.setattr(runs, "PATIENCE_S", 0.3)
        await wire.cut(for_good=True)
        gate.open.set()
        with pytest.raises(Unavailable, match=r"has not answered for .* so does the same command"):
            await running
    await wire.mend()
    assert (await run_here(Asked(asked.id, new=False))).state is JobState.DONE
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))
