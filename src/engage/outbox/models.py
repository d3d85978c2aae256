"""The outbox: one row per (event, handler) or per tick of a schedule. The row is the job."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model


class OutboxRow(Model):
    """Work that was promised. It is done when `finished_at` commits together with the handler's effect.

    READY when due and not leased, LEASED until `leased_until`, DONE with `finished_at`, DEAD with `dead_at`.
    `attempts` counts leases, less those given back unused. `last_error` tells kind and place, nothing about a person.
    """

    id = fields.UUIDField(primary_key=True)
    handler = fields.CharField(max_length=120)
    event_id = fields.UUIDField(null=True)
    stream = fields.CharField(max_length=80, null=True)
    payload = fields.JSONField[dict[str, object]]()
    created_at = fields.DatetimeField()
    due_at = fields.DatetimeField()
    attempts = fields.IntField(db_default=0)
    lease = fields.IntField(db_default=0, description="Fencing token: grows with each lease, never back.")
    leased_until = fields.DatetimeField(null=True)
    last_error = fields.CharField(max_length=500, null=True)
    finished_at = fields.DatetimeField(null=True)
    dead_at = fields.DatetimeField(null=True)

    class Meta:
        table = "outbox"
        unique_together = (("event_id", "handler"),)


class ScheduleTick(Model):
    """A moment at which a schedule was due. Unique by (name, tick), so that no tick is run twice."""

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(max_length=80)
    tick = fields.DatetimeField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "schedule_ticks"
        unique_together = (("name", "tick"),)
