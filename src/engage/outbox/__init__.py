"""Promised work: `record(event)` and `ask(job)` in the caller's transaction, `@on` and `@job` to carry it out.

An outbox row exists if and only if its cause has committed, and is done when its effect commits with it.
See docs/adr/0005-outbox-row-is-the-job.md and docs/jobs.md.
"""

from engage.outbox.asking import Asked, ask
from engage.outbox.checkpoints import RowResult, Step
from engage.outbox.events import Event, OutboxEvent
from engage.outbox.faults import Hopeless, TargetDown
from engage.outbox.kinds import Bounds, Priority
from engage.outbox.record import knock_if_promised, record
from engage.outbox.registry import handlers_json, job, on
from engage.outbox.runs import JobCancelled, Run
from engage.outbox.schedule import CatchUp

__all__ = [
    "Asked",
    "Bounds",
    "CatchUp",
    "Event",
    "Hopeless",
    "JobCancelled",
    "OutboxEvent",
    "Priority",
    "RowResult",
    "Run",
    "Step",
    "TargetDown",
    "ask",
    "handlers_json",
    "job",
    "knock_if_promised",
    "on",
    "record",
]
