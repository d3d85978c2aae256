"""Commands of webhook endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    TooManyWebhooks,
    UnknownEvent,
    WebhookDisabled,
)
from engage.api.fields import mutation
from engage.api.relay import global_id, local_id
from engage.api.webhooks import KIND, WebhookEndpoint, endpoint_nodes
from engage.base.actor import Actor
from engage.domains.webhooks import service
from engage.domains.webhooks.types import WebhookRecord

ID = "The endpoint's id."


@strawberry.input(description="A new webhook endpoint.")
class CreateWebhookEndpointInput:
    """See createWebhookEndpoint."""

    url: str = strawberry.field(description="Where to post: https, a public host, at most 500 characters.")
    events: list[str] = strawberry.field(description="1 to 50 wire names of events, or * for all; see webhookEvents.")
    description: str = strawberry.field(default="", description="What people call it; at most 200 characters.")


@strawberry.input(description="What is to be changed of a webhook endpoint; what is left out or null stays.")
class UpdateWebhookEndpointInput:
    """See updateWebhookEndpoint."""

    id: strawberry.ID = strawberry.field(description=ID)
    url: str | None = strawberry.field(default=None, description="Where to post from now on, also what waits.")
    events: list[str] | None = strawberry.field(default=None, description="What to tell from now on.")
    description: str | None = strawberry.field(default=None, description="What people call it.")


@strawberry.input(description="A webhook endpoint to be paused.")
class PauseWebhookEndpointInput:
    """See pauseWebhookEndpoint."""

    id: strawberry.ID = strawberry.field(description=ID)


@strawberry.input(description="A webhook endpoint to be resumed.")
class ResumeWebhookEndpointInput:
    """See resumeWebhookEndpoint."""

    id: strawberry.ID = strawberry.field(description=ID)


@strawberry.input(description="A webhook endpoint to be deleted.")
class DeleteWebhookEndpointInput:
    """See deleteWebhookEndpoint."""

    id: strawberry.ID = strawberry.field(description=ID)


@strawberry.input(description="A webhook endpoint whose secret is to be exchanged.")
class RotateWebhookSecretInput:
    """See rotateWebhookSecret."""

    id: strawberry.ID = strawberry.field(description=ID)
    overlap_hours: int = strawberry.field(
        default=service.OVERLAP_HOURS, description="The former secret signs too for so long: 0 to 168."
    )


@strawberry.input(description="Events to be told again: either `since`, or `stream` with `afterPosition`.")
class ReplayWebhookInput:
    """See replayWebhook."""

    id: strawberry.ID = strawberry.field(description=ID)
    since: datetime | None = strawberry.field(default=None, description="All that was recorded from then on.")
    stream: str | None = strawberry.field(default=None, description="The events of one stream, such as member:<id>.")
    after_position: int | None = strawberry.field(
        default=None, description="Those of the stream after this position; from the first if left out."
    )


@strawberry.input(description="A webhook endpoint to be sent a test.")
class TestWebhookInput:
    """See testWebhook."""

    id: strawberry.ID = strawberry.field(description=ID)


@strawberry.type(description="The endpoint is there, and is told what happens from now on.")
class CreateWebhookEndpointPayload:
    """See createWebhookEndpoint."""

    endpoint: WebhookEndpoint = strawberry.field(description="The new endpoint.")
    secret: str = strawberry.field(description="Its deliveries are signed with this; it is not shown again.")


@strawberry.type(description="The endpoint is changed.")
class UpdateWebhookEndpointPayload:
    """See updateWebhookEndpoint."""

    endpoint: WebhookEndpoint = strawberry.field(description="As it is now.")


@strawberry.type(description="The endpoint is paused.")
class PauseWebhookEndpointPayload:
    """See pauseWebhookEndpoint."""

    endpoint: WebhookEndpoint = strawberry.field(description="As it is now.")


@strawberry.type(description="The endpoint is told again what happens.")
class ResumeWebhookEndpointPayload:
    """See resumeWebhookEndpoint."""

    endpoint: WebhookEndpoint = strawberry.field(description="As it is now.")


@strawberry.type(description="The endpoint is gone.")
class DeleteWebhookEndpointPayload:
    """See deleteWebhookEndpoint."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.type(description="Deliveries are signed with a new secret.")
class RotateWebhookSecretPayload:
    """See rotateWebhookSecret."""

    endpoint: WebhookEndpoint = strawberry.field(description="As it is now.")
    secret: str = strawberry.field(description="The new secret; it is not shown again.")


@strawberry.type(description="A job tells the events again.")
class ReplayWebhookPayload:
    """See replayWebhook."""

    job_id: strawberry.ID = strawberry.field(description="The job's id, to watch it.")
    asked_before: bool = strawberry.field(
        description="Whether the endpoint had a replay under way, which is the one named here; yours was not begun."
    )


@strawberry.type(description="A test is on its way.")
class TestWebhookPayload:
    """See testWebhook."""

    message_id: str = strawberry.field(description="The header webhook-id that the test will have.")


CreateWebhookEndpointResult = Annotated[
    CreateWebhookEndpointPayload | InvalidInput | Forbidden | UnknownEvent | TooManyWebhooks | OutcomeUnknown,
    strawberry.union("CreateWebhookEndpointResult", description="What createWebhookEndpoint answers."),
]
UpdateWebhookEndpointResult = Annotated[
    UpdateWebhookEndpointPayload | InvalidInput | NotFound | Forbidden | UnknownEvent | OutcomeUnknown,
    strawberry.union("UpdateWebhookEndpointResult", description="What updateWebhookEndpoint answers."),
]
PauseWebhookEndpointResult = Annotated[
    PauseWebhookEndpointPayload | InvalidInput | NotFound | Forbidden | WebhookDisabled | OutcomeUnknown,
    strawberry.union("PauseWebhookEndpointResult", description="What pauseWebhookEndpoint answers."),
]
ResumeWebhookEndpointResult = Annotated[
    ResumeWebhookEndpointPayload | InvalidInput | NotFound | Forbidden | OutcomeUnknown,
    strawberry.union("ResumeWebhookEndpointResult", description="What resumeWebhookEndpoint answers."),
]
DeleteWebhookEndpointResult = Annotated[
    DeleteWebhookEndpointPayload | InvalidInput | NotFound | Forbidden | OutcomeUnknown,
    strawberry.union("DeleteWebhookEndpointResult", description="What deleteWebhookEndpoint answers."),
]
RotateWebhookSecretResult = Annotated[
    RotateWebhookSecretPayload | InvalidInput | NotFound | Forbidden | OutcomeUnknown,
    strawberry.union("RotateWebhookSecretResult", description="What rotateWebhookSecret answers."),
]
ReplayWebhookResult = Annotated[
    ReplayWebhookPayload | InvalidInput | NotFound | Forbidden | WebhookDisabled | OutcomeUnknown,
    strawberry.union("ReplayWebhookResult", description="What replayWebhook answers."),
]
TestWebhookResult = Annotated[
    TestWebhookPayload | InvalidInput | NotFound | Forbidden | WebhookDisabled | OutcomeUnknown,
    strawberry.union("TestWebhookResult", description="What testWebhook answers."),
]


async def _shown(actor: Actor, record: WebhookRecord) -> WebhookEndpoint:
    [node] = await endpoint_nodes(actor, [record])
    return node


@strawberry.type
class WebhooksMutation:
    """Commands of webhooks."""

    @mutation("Have an address told what happens from now on. Role: ADMIN. Scope: webhooks:write.")
    async def create_webhook_endpoint(
        self,
        info: Info,
        data: Annotated[CreateWebhookEndpointInput, strawberry.argument(name="input", description="The endpoint.")],
    ) -> CreateWebhookEndpointResult:
        """See engage.domains.webhooks.service.create_endpoint."""
        actor = context_of(info).actor
        made = await service.create_endpoint(actor, url=data.url, events=data.events, description=data.description)
        return CreateWebhookEndpointPayload(endpoint=await _shown(actor, made.endpoint), secret=made.secret)

    @mutation("Change an endpoint's address, events or description. Role: ADMIN. Scope: webhooks:write.")
    async def update_webhook_endpoint(
        self,
        info: Info,
        data: Annotated[UpdateWebhookEndpointInput, strawberry.argument(name="input", description="What to change.")],
    ) -> UpdateWebhookEndpointResult:
        """See engage.domains.webhooks.service.update_endpoint."""
        actor = context_of(info).actor
        record = await service.update_endpoint(
            actor,
            local_id(KIND, data.id, path=["id"]),
            url=data.url,
            events=data.events,
            description=data.description,
        )
        return UpdateWebhookEndpointPayload(endpoint=await _shown(actor, record))

    @mutation("Have what happens wait, in order, until the endpoint is resumed. Role: ADMIN. Scope: webhooks:write.")
    async def pause_webhook_endpoint(
        self,
        info: Info,
        data: Annotated[PauseWebhookEndpointInput, strawberry.argument(name="input", description="Which.")],
    ) -> PauseWebhookEndpointResult:
        """See engage.domains.webhooks.service.pause_endpoint."""
        actor = context_of(info).actor
        record = await service.pause_endpoint(actor, local_id(KIND, data.id, path=["id"]))
        return PauseWebhookEndpointPayload(endpoint=await _shown(actor, record))

    @mutation(
        "Have an endpoint told again: one that was paused or disabled, or that fails, at once. Role: ADMIN."
        " Scope: webhooks:write."
    )
    async def resume_webhook_endpoint(
        self,
        info: Info,
        data: Annotated[ResumeWebhookEndpointInput, strawberry.argument(name="input", description="Which.")],
    ) -> ResumeWebhookEndpointResult:
        """See engage.domains.webhooks.service.resume_endpoint."""
        actor = context_of(info).actor
        record = await service.resume_endpoint(actor, local_id(KIND, data.id, path=["id"]))
        return ResumeWebhookEndpointPayload(endpoint=await _shown(actor, record))

    @mutation("Forget an endpoint, with what waits for it. Role: ADMIN. Scope: webhooks:write.")
    async def delete_webhook_endpoint(
        self,
        info: Info,
        data: Annotated[DeleteWebhookEndpointInput, strawberry.argument(name="input", description="Which.")],
    ) -> DeleteWebhookEndpointResult:
        """See engage.domains.webhooks.service.delete_endpoint."""
        await service.delete_endpoint(context_of(info).actor, local_id(KIND, data.id, path=["id"]))
        return DeleteWebhookEndpointPayload(id=data.id)

    @mutation(
        "Sign an endpoint's deliveries with a new secret, and for some hours with both. Role: ADMIN."
        " Scope: webhooks:write."
    )
    async def rotate_webhook_secret(
        self,
        info: Info,
        data: Annotated[RotateWebhookSecretInput, strawberry.argument(name="input", description="Which.")],
    ) -> RotateWebhookSecretResult:
        """See engage.domains.webhooks.service.rotate_secret."""
        actor = context_of(info).actor
        made = await service.rotate_secret(
            actor, local_id(KIND, data.id, path=["id"]), overlap_hours=data.overlap_hours
        )
        return RotateWebhookSecretPayload(endpoint=await _shown(actor, made.endpoint), secret=made.secret)

    @mutation(
        "Tell an endpoint events of the log again, those to which it subscribes. Role: ADMIN. Scope: webhooks:write."
    )
    async def replay_webhook(
        self,
        info: Info,
        data: Annotated[ReplayWebhookInput, strawberry.argument(name="input", description="Which events.")],
    ) -> ReplayWebhookResult:
        """See engage.domains.webhooks.service.replay."""
        asked = await service.replay(
            context_of(info).actor,
            local_id(KIND, data.id, path=["id"]),
            since=data.since,
            stream=data.stream,
            after_position=data.after_position,
        )
        return ReplayWebhookPayload(job_id=global_id("Job", asked.id), asked_before=not asked.new)

    @mutation(
        "Send an endpoint the event webhooks.ping.v1, whatever it subscribes to. Role: ADMIN. Scope: webhooks:write."
    )
    async def test_webhook(
        self,
        info: Info,
        data: Annotated[TestWebhookInput, strawberry.argument(name="input", description="Which.")],
    ) -> TestWebhookResult:
        """See engage.domains.webhooks.service.send_test."""
        message_id = await service.send_test(context_of(info).actor, local_id(KIND, data.id, path=["id"]))
        return TestWebhookPayload(message_id=str(message_id))
