"""Promised work: `record(event)` inside the caller's transaction, `@on` and `@job` for who carries it out.

An outbox row exists if and only if its cause has committed, and is done when its effect commits with it.
See docs/adr/0005-outbox-row-is-the-job.md.
"""

from engage.outbox.events import Event, OutboxEvent, Tick
from engage.outbox.record import knock_if_promised, record
from engage.outbox.registry import handlers_json, job, on
from engage.outbox.schedule import CatchUp

__all__ = [
    "CatchUp",
    "Event",
    "OutboxEvent",
    "Tick",
    "handlers_json",
    "job",
    "knock_if_promised",
    "on",
    "record",
]
