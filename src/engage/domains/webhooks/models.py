"""The table of endpoints."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model

from engage.domains.webhooks.types import DisabledReason, WebhookState


class WebhookEndpoint(Model):
    """An address of others that is told what happens. Its secrets are sealed, see `engage.base.sealing`."""

    id = fields.UUIDField(primary_key=True)
    url = fields.CharField(max_length=500)
    description = fields.CharField(max_length=200)
    events = fields.JSONField[list[str]](description="Wire names, or `*`; while not DISABLED, its routes are these.")
    state = fields.CharEnumField(WebhookState, max_length=16, description="ACTIVE, PAUSED or DISABLED.")
    secret = fields.BinaryField()
    former_secret = fields.BinaryField(null=True)
    former_until = fields.DatetimeField(null=True, description="The former secret signs too until then.")
    disabled_at = fields.DatetimeField(null=True)
    disabled_reason: DisabledReason | None = fields.CharEnumField(  # type: ignore[assignment]  # its types know no null
        DisabledReason, max_length=16, null=True, description="GONE or FAILING."
    )
    created_at = fields.DatetimeField()
    created_by = fields.CharField(max_length=80, description="Who asked for it: the subject of a token.")

    class Meta:
        table = "webhook_endpoints"
