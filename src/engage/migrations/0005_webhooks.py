"""Webhooks out: endpoints of others that are told what happens."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops

from engage.domains.webhooks.types import DisabledReason, WebhookState


class Migration(migrations.Migration):
    dependencies = [("engage", "0004_jobs")]

    initial = False

    operations = [
        ops.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("url", fields.CharField(max_length=500)),
                ("description", fields.CharField(max_length=200)),
                (
                    "events",
                    fields.JSONField(
                        description="Wire names, or `*`; while not DISABLED, its routes are these.",
                        encoder=JSON_DUMPS,
                        decoder=loads,
                    ),
                ),
                (
                    "state",
                    fields.CharEnumField(
                        description="ACTIVE, PAUSED or DISABLED.", enum_type=WebhookState, max_length=16
                    ),
                ),
                ("secret", fields.BinaryField()),
                ("former_secret", fields.BinaryField(null=True)),
                (
                    "former_until",
                    fields.DatetimeField(
                        null=True,
                        description="The former secret signs too until then.",
                        auto_now=False,
                        auto_now_add=False,
                    ),
                ),
                ("disabled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "disabled_reason",
                    fields.CharEnumField(
                        null=True, description="GONE or FAILING.", enum_type=DisabledReason, max_length=16
                    ),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "created_by",
                    fields.CharField(description="Who asked for it: the subject of a token.", max_length=80),
                ),
            ],
            options={
                "table": "webhook_endpoints",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "An address of others that is told what happens. Its secrets are sealed, see `engage.base.sealing`.",
            },
            bases=["Model"],
        ),
    ]
