"""Event log, stream heads and epoch."""

from __future__ import annotations

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model


class StreamHead(Model):
    """How far a stream has come. Locked last in a command, so that positions have no gaps."""

    id = fields.CharField(primary_key=True, max_length=80, description="The stream, such as member:<id>.")
    position = fields.BigIntField(description="Position of the newest event.")
    kept_from = fields.BigIntField(db_default=1, description="Lowest position that the log still holds.")

    class Meta:
        table = "stream_heads"


class Event(Model):
    """One change, immutable. Holds ids, figures and codes only."""

    id = fields.UUIDField(primary_key=True)
    stream = fields.CharField(max_length=80)
    position = fields.BigIntField(description="1, 2, 3 … in its stream.")
    name = fields.CharField(max_length=80, description="Wire name, such as ledger.points_spent.v1.")
    data = fields.JSONField[dict[str, object]]()
    recorded_at = fields.DatetimeField()

    class Meta:
        table = "events"
        unique_together = (("stream", "position"),)
        indexes = (Index(fields=("recorded_at",)),)


class Epoch(Model):
    """One row: changes when positions may be used again, after a restore; see `engage db epoch`."""

    id = fields.IntField(primary_key=True)
    token = fields.CharField(max_length=40)

    class Meta:
        table = "stream_epoch"
