"""All reads of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from engage.base import clock
from engage.base.actor import ADMIN_ROLES, Actor, Scope, require
from engage.base.errors import NotFound
from engage.base.listings import Listing
from engage.base.paging import NEWEST_FIRST, Page, Window
from engage.base.readings import Fetch, Read, Reading, fetch_together, read_alone
from engage.domains.webhooks.models import WebhookEndpoint
from engage.domains.webhooks.types import DELIVER, Receiver, WebhookRecord
from engage.outbox.targets import FIGURES, TargetFigures


async def list_endpoints(actor: Actor, window: Window) -> Page[WebhookRecord]:
    """Endpoints, newest first. Raises Forbidden, InvalidInput."""
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_READ)
    return await _ENDPOINTS.page(window)


async def get_endpoint(actor: Actor, endpoint_id: UUID, *, read: Read = read_alone) -> WebhookRecord:
    """One endpoint. Raises Forbidden, NotFound."""
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_READ)
    found = await read(ENDPOINTS, endpoint_id)
    if found is None:
        raise no_endpoint()
    return found


async def get_endpoint_figures(actor: Actor, endpoint_id: UUID, *, read: Read = read_alone) -> TargetFigures:
    """How an endpoint does: failures, and what waits for it. Raises Forbidden."""
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_READ)
    return await read(FIGURES, endpoint_id, DELIVER)


async def load_endpoint_figures(actor: Actor, endpoint_ids: Sequence[UUID]) -> dict[UUID, TargetFigures]:
    """The same of many. Raises Forbidden."""
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_READ)
    [found] = await fetch_together([Fetch(FIGURES, tuple(endpoint_ids), (DELIVER,))])
    return {one: found[str(one)] for one in endpoint_ids}


async def find_receiver(endpoint_id: UUID) -> Receiver | None:
    """What is needed to tell an endpoint something, for the handler; the former secret while it holds."""
    row = await WebhookEndpoint.get_or_none(id=endpoint_id)
    if row is None:
        return None
    holds = row.former_secret is not None and row.former_until is not None and clock.now() < row.former_until
    secrets = (row.secret, row.former_secret) if holds else (row.secret,)
    return Receiver(row.id, row.url, row.state, tuple(one for one in secrets if one is not None))


async def find_endpoint(endpoint_id: UUID) -> WebhookRecord | None:
    """One endpoint if it is there, for jobs."""
    row = await WebhookEndpoint.get_or_none(id=endpoint_id)
    return None if row is None else record_of(row)


async def load_known(endpoint_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these endpoints there are, for jobs."""
    found = await WebhookEndpoint.filter(id__in=list(endpoint_ids)).values_list("id", flat=True)
    return {UUID(str(one)) for one in found}


def no_endpoint() -> NotFound:
    """The refusal of an id that no endpoint has."""
    return NotFound("There is no such webhook endpoint.", path=["id"])


def record_of(row: WebhookEndpoint) -> WebhookRecord:
    """An endpoint without its secrets."""
    return WebhookRecord(
        id=row.id,
        url=row.url,
        description=row.description,
        events=tuple(row.events),
        state=row.state,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        former_until=row.former_until,
        created_at=row.created_at,
        created_by=row.created_by,
    )


_ENDPOINTS = Listing(
    NEWEST_FIRST,
    "SELECT * FROM webhook_endpoints WHERE id {past} $2 ORDER BY id {sort} LIMIT $1",
    row=lambda row: record_of(WebhookEndpoint(**row)),
    key=lambda record: (record.id,),
)

# Secrets stay where they are.
_BY_ID = """
SELECT w.id::text, to_json(w) FROM (
  SELECT id, url, description, events, state, disabled_at, disabled_reason, former_until, created_at, created_by
    FROM webhook_endpoints WHERE id = ANY ($1)) w
"""

ENDPOINTS: Reading[WebhookRecord | None] = Reading(_BY_ID, lambda value: record_of(WebhookEndpoint(**value)), None)
"""Endpoints by their ids."""
