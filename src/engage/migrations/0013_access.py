"""API keys, and what is no longer accepted."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops

from engage.base.actor import Role
from engage.base.grants import Mark


class Migration(migrations.Migration):
    dependencies = [("engage", "0012_audit")]

    initial = False

    operations = [
        ops.CreateModel(
            name="ApiKey",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("name", fields.CharField(max_length=80)),
                (
                    "role",
                    fields.CharEnumField(
                        description="Never MEMBER.",
                        enum_type=Role,
                        max_length=16,
                    ),
                ),
                (
                    "scopes",
                    fields.JSONField(description="What it is confined to.", encoder=JSON_DUMPS, decoder=loads),
                ),
                (
                    "secret_hash",
                    fields.BinaryField(description="SHA-256 of the secret, which has 256 random bits."),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("created_by", fields.CharField(max_length=80)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("last_used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("revoked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("revoked_by", fields.CharField(null=True, max_length=80)),
            ],
            options={
                "table": "api_keys",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "What a till or a service comes with. Its secret is known to its bearer alone; here is a hash of it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Revocation",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                (
                    "mark",
                    fields.CharEnumField(
                        description="TOKEN, SUBJECT, MEMBER or KEY.",
                        enum_type=Mark,
                        max_length=16,
                    ),
                ),
                ("value", fields.CharField(max_length=80)),
                ("revoked_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ("revoked_by", fields.CharField(max_length=80)),
                (
                    "keep_until",
                    fields.DatetimeField(
                        db_index=True,
                        description="No token that it is about holds any longer.",
                        auto_now=False,
                        auto_now_add=False,
                    ),
                ),
            ],
            options={
                "table": "revocations",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "What is no longer accepted. Gateways look for new rows all the time, and remember them.",
            },
            bases=["Model"],
        ),
    ]
