"""How much lies ready and dead, for the metrics: read now and then, and told as it was then.

All workers tell the same, so whoever adds them up takes the maximum over workers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from engage.base import clock
from engage.base.actor import SYSTEM
from engage.base.metrics import REGISTRY
from engage.outbox import queries
from engage.outbox.loop import Loop
from engage.outbox.scheduler import Zones
from engage.outbox.types import LaneFigures, ScheduleRecord

READ_EVERY_S = 15.0
"""As often as metrics are usually scraped."""

STALE_S = 60.0
"""Figures that could not be read anew for so long are not told any more."""


class Backlog(Collector):
    """The figures of the outbox and its schedules, as they were read last."""

    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._metrics: Sequence[Metric] = ()
        self._read_at = 0.0
        self._loop = Loop("backlog", self._read)
        self.stop = self._loop.stop

    async def run(self) -> None:
        """Read and tell them until stopped."""
        REGISTRY.register(self)
        try:
            await self._loop.run()
        finally:
            REGISTRY.unregister(self)

    def collect(self) -> Iterator[Metric]:
        """For the scraping thread."""
        if time.monotonic() - self._read_at < STALE_S:
            yield from self._metrics

    async def _read(self) -> float:
        lanes = await queries.list_lanes(SYSTEM)
        schedules = await queries.list_schedules(SYSTEM, await self._zones())
        self._metrics = [*_of_kinds(lanes), _of_schedules(schedules)]
        self._read_at = time.monotonic()
        return READ_EVERY_S


def _of_kinds(lanes: Sequence[LaneFigures]) -> list[Metric]:
    """Targets of a kind are added up: there may be any number of them."""
    now = clock.now()
    waiting = GaugeMetricFamily("engage_jobs_waiting", "Due later.", labels=["kind"])
    ready = GaugeMetricFamily("engage_jobs_ready", "Due, and not yet taken.", labels=["kind"])
    dead = GaugeMetricFamily("engage_jobs_dead", "Given up, until somebody decides.", labels=["kind"])
    oldest = GaugeMetricFamily(
        "engage_jobs_oldest_due_seconds", "For how long the first of what is ready has been due.", labels=["kind"]
    )
    for kind in sorted({lane.kind for lane in lanes}):
        of_kind = [lane for lane in lanes if lane.kind == kind]
        due = [lane.oldest_due_at for lane in of_kind if lane.oldest_due_at is not None]
        waiting.add_metric([kind], sum(lane.waiting for lane in of_kind))
        ready.add_metric([kind], sum(lane.ready for lane in of_kind))
        dead.add_metric([kind], sum(lane.dead for lane in of_kind))
        oldest.add_metric([kind], (now - min(due)).total_seconds() if due else 0)
    return [waiting, ready, dead, oldest]


def _of_schedules(schedules: Sequence[ScheduleRecord]) -> Metric:
    """Programs of a schedule are put together: one that is late is enough."""
    late = GaugeMetricFamily(
        "engage_schedule_late", "1 when a tick is due for more than two minutes and was not made.", labels=["kind"]
    )
    for kind in sorted({one.name for one in schedules}):
        late.add_metric([kind], any(one.late for one in schedules if one.name == kind))
    return late
