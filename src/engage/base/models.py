"""The tables of `base`: answers kept for repeated commands, and the audit log."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model

from engage.base.actor import Role
from engage.base.origin import Via


class IdempotencyAnswer(Model):
    """The answer of a command that was done, found again by its key; see `engage.base.idempotency`."""

    id = fields.UUIDField(primary_key=True, description="Hash of scope, operation and key.")
    input_hash = fields.BinaryField()
    answer = fields.JSONField[dict[str, object]](description="Ids, figures and position; nothing about a person.")
    keep_until = fields.DatetimeField(db_index=True)

    class Meta:
        table = "idempotency_answers"


class AuditRow(Model):
    """Who did what to whom, from where, with which result. Append only; see `engage.base.audit`."""

    id = fields.UUIDField(primary_key=True)
    at = fields.DatetimeField()
    actor = fields.CharField(max_length=80, description="Subject of the token.")
    role = fields.CharEnumField(Role, max_length=16)
    via = fields.CharEnumField(Via, max_length=16)
    command = fields.CharField(max_length=64)
    subjects = fields.JSONField[dict[str, object]](description="Ids and codes among the arguments, by name.")
    member_id = fields.UUIDField(null=True, description="Whom it is about.")
    result = fields.CharField(max_length=64, description="OK, REPLAYED, the code of a refusal, or FAILED.")
    request_id = fields.CharField(max_length=64, null=True)
    address = fields.CharField(max_length=45, null=True, description="Of the client; may have to be erased.")
    credential = fields.CharField(max_length=80, null=True, description="Id of the token or key.")

    class Meta:
        table = "audit_log"
