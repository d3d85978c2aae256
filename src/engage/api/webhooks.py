"""Webhook endpoints as the API shows them; their commands are in webhook_commands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.enums import describe
from engage.api.fields import field
from engage.api.node_kinds import Node, by_id
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id
from engage.base import clock
from engage.base.actor import Actor
from engage.base.paging import window
from engage.domains.webhooks import queries
from engage.domains.webhooks.types import DisabledReason, WebhookRecord, WebhookState
from engage.outbox.catalogue import known_events
from engage.outbox.targets import TargetFigures

KIND = "WebhookEndpoint"

strawberry.enum(WebhookState, description="Whether an endpoint is told what happens.")
describe(
    WebhookState,
    {
        WebhookState.ACTIVE: "It is told.",
        WebhookState.PAUSED: "What happens waits, in order, until it is resumed.",
        WebhookState.DISABLED: "Nothing is told and nothing waits, until it is resumed.",
    },
)

strawberry.enum(DisabledReason, name="WebhookDisabledReason", description="Why an endpoint was disabled.")
describe(
    DisabledReason,
    {
        DisabledReason.GONE: "It answered 410.",
        DisabledReason.FAILING: "It failed for ENGAGE_WEBHOOK_DISABLE_AFTER_HOURS without a success.",
    },
)


@strawberry.type(description="An address of others that is told what happens here, by signed HTTP requests.")
class WebhookEndpoint(Node):
    """With how it does."""

    url: str = strawberry.field(description="Where deliveries are posted.")
    description: str = strawberry.field(description="What people call it; may be empty.")
    events: list[str] = strawberry.field(description="Wire names that it subscribes to; * is every event.")
    state: WebhookState = strawberry.field(description="Whether it is told what happens.")
    disabled_at: datetime | None = strawberry.field(description="When it was disabled.")
    disabled_reason: DisabledReason | None = strawberry.field(description="Why it was disabled.")
    former_secret_until: datetime | None = strawberry.field(
        description="Deliveries are signed with the former secret too until then; null when with one alone."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    created_by: str = strawberry.field(description="Who made it: the subject of a token.")
    failures: int = strawberry.field(description="Failures of the receiver as a whole since its last success.")
    failing_since: datetime | None = strawberry.field(description="Since when it has failed without a success.")
    next_try_at: datetime | None = strawberry.field(description="Nothing is tried before then.")
    waiting: int = strawberry.field(description="Deliveries that wait; counted up to 10,000.")
    dead: int = strawberry.field(description="Deliveries that were given up; counted up to 10,000.")


def endpoint_node(record: WebhookRecord, figures: TargetFigures) -> WebhookEndpoint:
    """An endpoint for the API."""
    rotating = record.former_until is not None and record.former_until > clock.now()
    return WebhookEndpoint(
        id=global_id(KIND, record.id),
        url=record.url,
        description=record.description,
        events=list(record.events),
        state=record.state,
        disabled_at=record.disabled_at,
        disabled_reason=record.disabled_reason,
        former_secret_until=record.former_until if rotating else None,
        created_at=record.created_at,
        created_by=record.created_by,
        failures=figures.failures,
        failing_since=figures.failing_since,
        next_try_at=figures.not_before,
        waiting=figures.waiting,
        dead=figures.dead,
    )


async def endpoint_nodes(actor: Actor, records: Sequence[WebhookRecord]) -> list[WebhookEndpoint]:
    """Endpoints for the API, their figures read together."""
    figures = await queries.load_endpoint_figures(actor, [one.id for one in records])
    return [endpoint_node(one, figures[one.id]) for one in records]


@by_id(KIND)
async def _endpoint_by_id(context: Context, endpoint_id: UUID) -> WebhookEndpoint:
    actor, read = context.actor, context.together.load
    record, figures = await asyncio.gather(
        queries.get_endpoint(actor, endpoint_id, read=read),
        queries.get_endpoint_figures(actor, endpoint_id, read=read),
    )
    return endpoint_node(record, figures)


@strawberry.type
class WebhooksQuery:
    """Reads of webhooks."""

    @field("Webhook endpoints, newest first. Role: ADMIN. Scope: webhooks:read.")
    async def webhook_endpoints(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[WebhookEndpoint]:
        """At most a hundred there are."""
        actor = context_of(info).actor
        page = await queries.list_endpoints(actor, window(first, last, after, before))
        nodes = dict(zip([one.id for one in page.rows], await endpoint_nodes(actor, page.rows), strict=True))
        return connection(page, lambda row: nodes[row.id])

    @field("A webhook endpoint by id. Role: ADMIN. Scope: webhooks:read.")
    async def webhook_endpoint(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],  # noqa: A002 -- the API's name
    ) -> WebhookEndpoint | None:
        """With how it does."""
        return await _endpoint_by_id(info, id)

    @field("Wire names of the events that an endpoint can subscribe to. Any role.")
    async def webhook_events(self, info: Info) -> list[str]:
        """Sorted."""
        _ = context_of(info).actor
        return known_events()
