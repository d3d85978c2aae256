"""Webhook endpoints for tests that try every operation, under known ids; nothing is posted to them."""

from __future__ import annotations

from uuid import UUID

from engage.api.relay import global_id
from engage.base import clock, db, sealing
from engage.base.ids import new_id
from engage.domains.webhooks import signing
from engage.domains.webhooks.types import DELIVER
from engage.outbox import lanes

PUBLIC = "93.184.215.14"
"""An address of the Internet, so that nothing has to be looked up."""

URL = f"https://{PUBLIC}/hook"
EVENT = "ledger.points_spent.v1"
PRESENT, DELETED, DISABLED = new_id(), new_id(), new_id()

_PUT = """
    INSERT INTO webhook_endpoints (id, url, description, events, state, secret, created_at, created_by)
      VALUES ($1, $2, '', jsonb_build_array($3::text), $6, $4, $5, 'tests')
      ON CONFLICT (id) DO UPDATE SET state = excluded.state, disabled_at = NULL, disabled_reason = NULL
"""


def endpoint_gid(id_: UUID) -> str:
    """The id as the API has it."""
    return global_id("WebhookEndpoint", id_)


async def put_webhooks() -> None:
    """Have the three there, one of them disabled, whatever became of them."""
    for one in (PRESENT, DELETED, DISABLED):
        state = "DISABLED" if one == DISABLED else "ACTIVE"
        await db.execute(_PUT, one, URL, EVENT, sealing.seal(signing.new_secret(), str(one)), clock.now(), state)
        await lanes.route(DELIVER, str(one), [EVENT])
        await lanes.resume(DELIVER, str(one))
