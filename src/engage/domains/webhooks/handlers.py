"""Telling endpoints what happens: one handler, with endpoints as its targets."""

from __future__ import annotations

from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

import orjson

from engage.base import clock, sealing
from engage.base.actor import SYSTEM
from engage.domains.webhooks import addresses, queries, service, signing
from engage.domains.webhooks.types import DELIVER, DisabledReason, Receiver, WebhookState
from engage.outbox import Bounds, Hopeless, OutboxEvent, TargetDown, on

BOUNDS = Bounds(attempts_max=12, retry_for=timedelta(days=1), timeout_s=20, in_flight_max=4)

RETRY_AFTER_MAX = timedelta(hours=1)
"""A receiver that asks for more is tried after this."""

GONE = 410
DOWN = {408, 429}
"""With every 5xx: the receiver as a whole cannot take anything now."""

PATIENT = {429, 503}
"""Those with which a receiver may say for how long."""


class NotAccepted(Exception):  # noqa: N818 -- named for the condition
    """The receiver does not accept this message; others it may."""


@on(name=DELIVER, routed=True, outside=True, ordered=True, bounds=BOUNDS)
async def deliver(event: OutboxEvent) -> None:
    """Post an event to the endpoint that its row is for."""
    from engage.domains.webhooks import posting  # noqa: PLC0415 -- loads httpx, which only workers need

    receiver = await queries.find_receiver(UUID(event.target))
    if receiver is None:
        raise Hopeless("There is no such endpoint any more.")
    if receiver.state is WebhookState.DISABLED:
        raise Hopeless("The endpoint is disabled: resume it, then retry this or replay.")
    body = body_of(event)
    try:
        answer = await posting.post(receiver.url, headers_of(event, receiver, body), body)
    except (posting.NoAnswer, addresses.PrivateAddress, sealing.CannotUnseal) as error:
        raise TargetDown(str(error)) from error
    await _judge(answer.status, answer.retry_after, receiver)


def body_of(event: OutboxEvent) -> bytes:
    """What is posted; the same for every attempt."""
    return orjson.dumps(
        {
            "id": str(event.id),
            "type": event.name,
            "timestamp": event.recorded_at.astimezone(UTC),
            "stream": event.stream,
            "position": event.position,
            "data": event.data,
        }
    )


def headers_of(event: OutboxEvent, receiver: Receiver, body: bytes) -> dict[str, str]:
    """Those of Standard Webhooks: the id of the event, the time of this attempt, the signatures.

    Raises sealing.CannotUnseal.
    """
    keys = [sealing.unseal(one, str(receiver.id)) for one in receiver.secrets]
    timestamp = int(clock.now().timestamp())
    return {
        "webhook-id": str(event.id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign(keys, str(event.id), timestamp, body),
    }


async def _judge(status: int, retry_after: str | None, receiver: Receiver) -> None:
    """Return if the receiver has the event; raise what is to become of it if not."""
    words = f"The receiver answered {status}."
    if 200 <= status < 300:  # noqa: PLR2004 -- what HTTP calls a success
        return
    if status == GONE:
        await service.disable_endpoint(SYSTEM, receiver.id, DisabledReason.GONE, url=receiver.url)
        raise Hopeless(words)
    if status in DOWN or status >= 500:  # noqa: PLR2004 -- what HTTP calls the server's fault
        raise TargetDown(words, pause_of(retry_after) if status in PATIENT else None)
    raise NotAccepted(words)


def pause_of(retry_after: str | None) -> timedelta | None:
    """How long a receiver wants to be left alone, an hour at most: seconds, or a date."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    try:
        if text.isascii() and text.isdigit():
            return min(timedelta(seconds=int(text[:9])), RETRY_AFTER_MAX)
        until = parsedate_to_datetime(text)
        pause = (until if until.tzinfo else until.replace(tzinfo=UTC)) - clock.now()
    except (ValueError, OverflowError):
        return None
    return min(max(pause, timedelta()), RETRY_AFTER_MAX)
