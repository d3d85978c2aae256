"""Steps of a job whose connection breaks: before their COMMIT, and after it when only the answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from engage.base import db
from engage.base.actor import SYSTEM
from engage.base.settings import Settings
from engage.migrations import orm_config
from engage.outbox import Run, ask
from engage.outbox.registry import Registry
from tests.outbox.stepping import KIND, LAST, counts, done_rows, with_steps
from tests.outbox.working import EFFECTS, forget_all, only_row, work_off
from tests.realtime.wire import Wire

COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"  # how the server says so
ALL = list(range(1, LAST + 1))


class FrayedWire(Wire):
    """Breaks when the server says that it has committed, as often as it is told."""

    breaks = 0

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.breaks and COMMITTED in data:
                    self.breaks -= 1
                    writer.transport.abort()
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass


@pytest.fixture
async def wire(config: Settings) -> AsyncIterator[FrayedWire]:
    """The process is connected to its database by this wire."""
    frayed = FrayedWire(config.database_url, 5432)
    await frayed.mend()
    await db.connect(config.model_copy(update={"database_url": frayed.url}), orm_config(frayed.url))
    await db.execute(EFFECTS)
    await forget_all()
    yield frayed
    await db.disconnect()
    await frayed.drop()


async def test_a_step_whose_commit_was_not_answered_is_counted_once(registry: Registry, wire: FrayedWire) -> None:
    tried: list[int] = []

    async def lose_answer(_run: Run, row: int) -> None:
        tried.append(row)
        if len(tried) in {1, 4}:
            wire.breaks = 1

    with_steps(registry, within=lose_answer)
    await ask(SYSTEM, KIND)
    await work_off(registry)
    assert wire.breaks == 0
    assert tried == [1, 1, 2, 3, 3, 4, 5, 6]
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))
    assert (await only_row())["attempts"] == 1


async def test_a_step_goes_on_when_the_database_is_back(registry: Registry, wire: FrayedWire) -> None:
    mending: list[asyncio.Task[None]] = []

    async def go_away(_run: Run, row: int) -> None:
        if row == 3 and not mending:
            await wire.cut(for_good=True)
            mending.append(asyncio.create_task(wire.mend()))

    with_steps(registry, within=go_away)
    await ask(SYSTEM, KIND)
    await work_off(registry)
    assert len(mending) == 1
    assert (await done_rows(), await counts()) == (ALL, (LAST, LAST, 0, LAST))
    assert (await only_row())["attempts"] == 1
