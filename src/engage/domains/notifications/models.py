"""The in-app inbox."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model


class Message(Model):
    """One message to one member: a text by code with its figures, put into words when it is read."""

    id = fields.UUIDField(primary_key=True)
    member_id = fields.UUIDField()
    code = fields.CharField(max_length=64)
    params = fields.JSONField[dict[str, object]]()
    created_at = fields.DatetimeField()
    read_at = fields.DatetimeField(null=True)

    class Meta:
        table = "messages"
