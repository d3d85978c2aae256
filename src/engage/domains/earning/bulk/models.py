"""Tables of bulk points."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model

from engage.domains.ledger.types import AdjustmentState


class BulkCorrection(Model):
    """A bulk correction that waits for a second person, or was decided. Its id is that of its job."""

    id = fields.UUIDField(primary_key=True)
    program_code = fields.CharField(max_length=32)
    reason = fields.CharField(max_length=64)
    rows = fields.BigIntField()
    added = fields.BigIntField(description="Points that it gives, as far as its rows can be read.")
    removed = fields.BigIntField(description="Points that it takes away, likewise.")
    state = fields.CharEnumField(AdjustmentState, max_length=16)
    asked_by = fields.CharField(max_length=80)
    asked_at = fields.DatetimeField()
    decided_by = fields.CharField(max_length=80, null=True)
    decided_at = fields.DatetimeField(null=True)

    class Meta:
        table = "bulk_corrections"
