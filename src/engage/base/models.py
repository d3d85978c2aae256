"""The one table of `base`: answers kept for repeated commands."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model


class IdempotencyAnswer(Model):
    """The answer of a command that was done, found again by its key; see `engage.base.idempotency`."""

    id = fields.UUIDField(primary_key=True, description="Hash of scope, operation and key.")
    input_hash = fields.BinaryField()
    answer = fields.JSONField[dict[str, object]](description="Ids, figures and position; nothing about a person.")
    keep_until = fields.DatetimeField(db_index=True)

    class Meta:
        table = "idempotency_answers"
