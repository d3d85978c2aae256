"""The tables of API keys and revocations."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model

from engage.base.actor import Role
from engage.base.grants import Mark


class ApiKey(Model):
    """What a till or a service comes with. Its secret is known to its bearer alone; here is a hash of it."""

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(max_length=80)
    role = fields.CharEnumField(Role, max_length=16, description="Never MEMBER.")
    scopes = fields.JSONField[list[str]](description="What it is confined to.")
    secret_hash = fields.BinaryField(description="SHA-256 of the secret, which has 256 random bits.")
    created_at = fields.DatetimeField()
    created_by = fields.CharField(max_length=80)
    expires_at = fields.DatetimeField()
    last_used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    revoked_by = fields.CharField(max_length=80, null=True)

    class Meta:
        table = "api_keys"


class Revocation(Model):
    """What is no longer accepted. Gateways look for new rows all the time, and remember them."""

    id = fields.UUIDField(primary_key=True)
    mark = fields.CharEnumField(Mark, max_length=16, description="TOKEN, SUBJECT, MEMBER or KEY.")
    value = fields.CharField(max_length=80)
    revoked_at = fields.DatetimeField(db_index=True)
    revoked_by = fields.CharField(max_length=80)
    keep_until = fields.DatetimeField(db_index=True, description="No token that it is about holds any longer.")

    class Meta:
        table = "revocations"
