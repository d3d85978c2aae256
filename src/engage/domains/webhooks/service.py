"""All writes of webhooks.

A name is looked up before the transaction of a command, never inside: a name server may take its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from engage.base import clock, db, sealing
from engage.base.actor import ADMIN_ROLES, Actor, Scope, require
from engage.base.audit import named
from engage.base.errors import InvalidInput
from engage.base.ids import new_id
from engage.domains.webhooks import addresses, rules, signing
from engage.domains.webhooks.errors import TooManyWebhooks, WebhookDisabled
from engage.domains.webhooks.events import EndpointDisabled, Ping
from engage.domains.webhooks.models import WebhookEndpoint
from engage.domains.webhooks.queries import no_endpoint, record_of
from engage.domains.webhooks.types import DELIVER, DisabledReason, WebhookRecord, WebhookState
from engage.outbox import Asked, ask, lanes, record
from engage.outbox.catalogue import known_events
from engage.outbox.replays import promise_to
from engage.outbox.targets import hasten

ENDPOINTS_MAX = 100
"""Each costs a look at every claim, and a row for every event that it subscribes to."""

HASTENED_MAX = 500
"""Rows that are tried at once when an endpoint is resumed; what failed beyond that is tried within half an hour."""

OVERLAP_HOURS = 24

_CREATING = 0x776562686F6F6B73  # "webhooks": endpoints are counted by one command at a time

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WithSecret:
    """An endpoint with its secret, which is told this one time."""

    endpoint: WebhookRecord
    secret: str

    @property
    def id(self) -> UUID:
        """The endpoint's."""
        return self.endpoint.id


@db.recorded
@named("create_webhook_endpoint")
async def create_endpoint(actor: Actor, *, url: str, events: Sequence[str], description: str = "") -> WithSecret:
    """Tell an address of others what happens from now on, signed with the secret that is answered.

    Raises Forbidden, InvalidInput, UnknownEvent, TooManyWebhooks.
    """
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    wanted = rules.check_events(events, known_events())
    text = rules.check_description(description)
    await _check_address(url)
    return await _create(actor, url, wanted, text)


async def _check_address(url: str) -> None:
    parts = rules.check_url(url, plain=addresses.private_allowed())
    await addresses.check_host(parts.hostname or "", rules.port_of(parts))


@db.command
async def _create(actor: Actor, url: str, events: list[str], description: str) -> WithSecret:
    await db.execute("SELECT pg_advisory_xact_lock($1)", _CREATING)
    if await WebhookEndpoint.all().count() >= ENDPOINTS_MAX:
        raise TooManyWebhooks(
            f"There are {ENDPOINTS_MAX} webhook endpoints, as many as there may be: delete one.", limit=ENDPOINTS_MAX
        )
    endpoint_id, secret = new_id(), signing.new_secret()
    row = WebhookEndpoint(
        id=endpoint_id,
        url=url,
        description=description,
        events=events,
        state=WebhookState.ACTIVE,
        secret=sealing.seal(secret, str(endpoint_id)),
        created_at=clock.now(),
        created_by=actor.id,
    )
    await row.save(force_create=True)
    await lanes.route(DELIVER, str(endpoint_id), events)
    _log("webhooks.created", row, actor)
    return WithSecret(record_of(row), secret)


@db.recorded
@named("update_webhook_endpoint")
async def update_endpoint(
    actor: Actor,
    endpoint_id: UUID,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
) -> WebhookRecord:
    """Change what is given. Another address is tried at once, with what waits; other events count from now on.

    Raises Forbidden, InvalidInput, UnknownEvent, NotFound.
    """
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    wanted = None if events is None else rules.check_events(events, known_events())
    text = None if description is None else rules.check_description(description)
    if url is not None:
        await _check_address(url)
    return await _update(actor, endpoint_id, url, wanted, text)


@db.command
async def _update(
    actor: Actor, endpoint_id: UUID, url: str | None, events: list[str] | None, description: str | None
) -> WebhookRecord:
    row = await _locked(endpoint_id)
    moved = url is not None and url != row.url
    row.url = row.url if url is None else url
    row.events = row.events if events is None else events
    row.description = row.description if description is None else description
    await row.save(update_fields=["url", "events", "description"])
    if row.state is not WebhookState.DISABLED:
        await lanes.route(DELIVER, str(row.id), row.events)
    if moved:
        await lanes.forget_failures(DELIVER, str(row.id))
        await hasten(DELIVER, str(row.id), HASTENED_MAX)
    _log("webhooks.updated", row, actor)
    return record_of(row)


@db.command
@named("pause_webhook_endpoint")
async def pause_endpoint(actor: Actor, endpoint_id: UUID) -> WebhookRecord:
    """Have what happens wait, in order. Raises Forbidden, NotFound, WebhookDisabled."""
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    row = await _locked(endpoint_id)
    _refuse_disabled(row)
    if row.state is WebhookState.ACTIVE:
        row.state = WebhookState.PAUSED
        await row.save(update_fields=["state"])
        await lanes.pause(DELIVER, str(row.id), by=actor.id)
        _log("webhooks.paused", row, actor)
    return record_of(row)


@db.command
@named("resume_webhook_endpoint")
async def resume_endpoint(actor: Actor, endpoint_id: UUID) -> WebhookRecord:
    """Tell what waits, and what happens from now on; also of an endpoint that was disabled, or that fails.

    What happened while it was disabled is not told: see `replay`. Raises Forbidden, NotFound.
    """
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    row = await _locked(endpoint_id)
    row.state, row.disabled_at, row.disabled_reason = WebhookState.ACTIVE, None, None
    await row.save(update_fields=["state", "disabled_at", "disabled_reason"])
    await lanes.route(DELIVER, str(row.id), row.events)
    await lanes.resume(DELIVER, str(row.id))
    await hasten(DELIVER, str(row.id), HASTENED_MAX)
    _log("webhooks.resumed", row, actor)
    return record_of(row)


@db.command
@named("delete_webhook_endpoint")
async def delete_endpoint(actor: Actor, endpoint_id: UUID) -> None:
    """Forget an endpoint; what waits for it is never told, and goes within the hour. Raises Forbidden, NotFound."""
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    row = await _locked(endpoint_id)
    await row.delete()
    await lanes.route(DELIVER, str(row.id), [])
    await lanes.pause(DELIVER, str(row.id), by=actor.id)
    _log("webhooks.deleted", row, actor)


@db.command
@named("rotate_webhook_secret")
async def rotate_secret(actor: Actor, endpoint_id: UUID, *, overlap_hours: int = OVERLAP_HOURS) -> WithSecret:
    """Sign with a new secret, which is answered; for some hours the present one signs too.

    One that was still holding from an earlier rotation ends. Raises Forbidden, InvalidInput, NotFound.
    """
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    overlap = rules.check_overlap(overlap_hours)
    row = await _locked(endpoint_id)
    row.former_secret, row.former_until = (row.secret, clock.now() + overlap) if overlap else (None, None)
    secret = signing.new_secret()
    row.secret = sealing.seal(secret, str(row.id))
    await row.save(update_fields=["secret", "former_secret", "former_until"])
    _log("webhooks.secret_rotated", row, actor)
    return WithSecret(record_of(row), secret)


@db.command
@named("replay_webhook")
async def replay(
    actor: Actor,
    endpoint_id: UUID,
    *,
    since: datetime | None = None,
    stream: str | None = None,
    after_position: int | None = None,
) -> Asked:
    """Ask for a job that tells events of the log again: all since a moment, or of one stream after a position.

    Those to which the endpoint subscribes, in the order of their streams; what waits anyway is told once. One job of
    an endpoint runs at a time. Raises Forbidden, InvalidInput, NotFound, WebhookDisabled.
    """
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    row = await _locked(endpoint_id)
    _refuse_disabled(row)
    now = clock.now()
    args: dict[str, object] = {"endpoint": str(row.id), "asked_at": now.isoformat()}
    if since is not None and stream is None and after_position is None:
        args["since"] = rules.check_since(since, now).isoformat()
    elif stream is not None and since is None:
        rules.check_place(stream, after_position or 0)
        args |= {"stream": stream, "after": after_position or 0}
    else:
        raise InvalidInput("Say since when, or which stream and after which position.", path=["since"])
    asked = await ask(actor, "webhooks.replay", args, key=str(row.id))
    _log("webhooks.replay_asked", row, actor)
    return asked


@db.command
@named("test_webhook")
async def send_test(actor: Actor, endpoint_id: UUID) -> UUID:
    """Tell one endpoint `webhooks.ping.v1`, whatever it subscribes to; answers the message's id.

    Raises Forbidden, NotFound, WebhookDisabled.
    """
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    row = await _locked(endpoint_id)
    _refuse_disabled(row)
    return await promise_to(DELIVER, str(row.id), Ping(row.id))


@db.command
@named("disable_webhook_endpoint")
async def disable_endpoint(
    actor: Actor, endpoint_id: UUID, reason: DisabledReason, *, url: str | None = None
) -> bool:
    """Tell an endpoint nothing more, for the handler and jobs; whether it was disabled by this call.

    With `url` only while that is still its address. What waits is buried by a job. Raises Forbidden. Says
    EndpointDisabled.
    """
    require(actor, ADMIN_ROLES, Scope.WEBHOOKS_WRITE)
    row = await WebhookEndpoint.select_for_update().get_or_none(id=endpoint_id)
    if row is None or row.state is WebhookState.DISABLED or (url is not None and url != row.url):
        return False
    now = clock.now()
    row.state, row.disabled_at, row.disabled_reason = WebhookState.DISABLED, now, reason
    await row.save(update_fields=["state", "disabled_at", "disabled_reason"])
    await lanes.route(DELIVER, str(row.id), [])
    await lanes.pause(DELIVER, str(row.id), by=actor.id)
    await lanes.forget_failures(DELIVER, str(row.id))
    await ask(actor, "webhooks.bury", {"endpoint": str(row.id)}, key=str(row.id))
    await record(EndpointDisabled(row.id, reason, now))
    db.after_commit(lambda: logger.error("webhooks.disabled", endpoint=str(row.id), reason=reason.value))
    return True


async def _locked(endpoint_id: UUID) -> WebhookEndpoint:
    row = await WebhookEndpoint.select_for_update().get_or_none(id=endpoint_id)
    if row is None:
        raise no_endpoint()
    return row


def _refuse_disabled(row: WebhookEndpoint) -> None:
    if row.state is WebhookState.DISABLED:
        raise WebhookDisabled("This endpoint is disabled: put it right and resume it first.", path=["id"])


def _log(done: str, row: WebhookEndpoint, actor: Actor) -> None:
    """Who did what, once it has committed; never the address, which may hold somebody's secret."""
    db.after_commit(lambda: logger.info(done, endpoint=str(row.id), by=actor.id))
