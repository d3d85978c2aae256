from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engage.base import clock, db
from engage.base.ids import new_id
from engage.outbox import Bounds, OutboxEvent
from engage.outbox.registry import Registry
from tests.outbox.working import (
    Happened,
    happen,
    undone,
    work_off,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("ordered", [True, False])
async def test_events_of_a_stream_are_run_in_order_where_the_handler_says_so(
    clean: Registry, *, ordered: bool
) -> None:
    done: list[int] = []

    @clean.on(Happened, ordered=ordered)
    async def note(event: OutboxEvent) -> None:
        if event.position == 2 and event.attempt == 1:
            raise ValueError("not yet")
        done.append(event.position)

    with clock.frozen(NOW):
        await happen(4, new_id())
        await happen(1, new_id())
        while await work_off(clean):
            pass
    with clock.frozen(NOW + timedelta(minutes=1)):
        while await work_off(clean):
            pass
    assert await undone() == 0
    if ordered:
        assert sorted(done[:2]) == [1, 1], "another stream does not wait"
        assert done[2:] == [2, 3, 4]
    else:
        assert done[-1] == 2, "the others did not wait for it"


async def test_a_dead_event_no_longer_holds_up_its_stream(clean: Registry) -> None:
    done: list[int] = []

    @clean.on(Happened, ordered=True, bounds=Bounds(attempts_max=1))
    async def note(event: OutboxEvent) -> None:
        if event.position == 1:
            raise ValueError("never")
        done.append(event.position)

    await happen(3, new_id())
    while await work_off(clean):
        pass
    assert done == [2, 3]
    assert await db.fetch_value("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL") == 1
