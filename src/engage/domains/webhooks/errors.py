"""Expected refusals of webhooks."""

from __future__ import annotations

from engage.base.errors import Refusal


class UnknownEvent(Refusal):
    """No event has this wire name; `known` lists those there are."""

    code = "UNKNOWN_EVENT"


class TooManyWebhooks(Refusal):
    """There are as many endpoints as there may be: `limit`."""

    code = "TOO_MANY_WEBHOOKS"


class WebhookDisabled(Refusal):
    """The endpoint is disabled: it has to be resumed first."""

    code = "WEBHOOK_DISABLED"
