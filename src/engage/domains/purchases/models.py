"""Tables of purchases."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields
from tortoise.models import Model


class Purchase(Model):
    """One order of one member."""

    id = fields.UUIDField(primary_key=True)
    member_id = fields.UUIDField()
    program_id = fields.UUIDField()
    channel = fields.CharField(max_length=32)
    store = fields.CharField(max_length=32, null=True)
    order_no = fields.CharField(max_length=64)
    amount = fields.DecimalField(max_digits=16, decimal_places=4)
    currency = fields.CharField(max_length=3, description="ISO 4217.")
    quantity = fields.IntField(null=True)
    points = fields.BigIntField(description="Given for this order.")
    content_hash = fields.BinaryField(description="Tells a repetition from another order of the same number.")
    purchased_at = fields.DatetimeField()
    recorded_at = fields.DatetimeField()

    class Meta:
        table = "purchases"
        unique_together = (("program_id", "channel", "order_no"),)


class PurchaseLine(Model):
    """One item of an order."""

    id = fields.BigIntField(primary_key=True, generated=True)
    purchase: fields.ForeignKeyRelation[Purchase] = fields.ForeignKeyField(
        "engage.Purchase", related_name="lines", on_delete=fields.RESTRICT, db_index=False
    )
    purchase_id: UUID
    line_no = fields.IntField(description="1, 2, 3 … in its order.")
    item = fields.CharField(max_length=64)
    category = fields.CharField(max_length=64, null=True)
    brand = fields.CharField(max_length=64, null=True)
    quantity = fields.IntField()
    amount = fields.DecimalField(max_digits=16, decimal_places=4)

    class Meta:
        table = "purchase_lines"
        unique_together = (("purchase_id", "line_no"),)
