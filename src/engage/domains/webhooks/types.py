"""Plain values of webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

DELIVER = "webhooks.deliver"
"""The name of the handler; with an endpoint's id as target, its rows are what that endpoint is to be told."""

EVERY_EVENT = "*"
"""What subscribes to all events that there are and will be."""


class WebhookState(StrEnum):
    """Whether an endpoint is told what happens."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    """What happens waits, in order, to be told later."""

    DISABLED = "DISABLED"
    """Nothing is told and nothing waits; what waited is dead."""


class DisabledReason(StrEnum):
    """Why engage has disabled an endpoint."""

    GONE = "GONE"
    """It answered 410."""

    FAILING = "FAILING"
    """It has failed for ENGAGE_WEBHOOK_DISABLE_AFTER_HOURS without a success."""


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """An endpoint as it stands, without its secrets. The former secret signs too until `former_until`."""

    id: UUID
    url: str
    description: str
    events: tuple[str, ...]
    state: WebhookState
    disabled_at: datetime | None
    disabled_reason: DisabledReason | None
    former_until: datetime | None
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Receiver:
    """What is needed to tell an endpoint something; `secrets` are sealed, the present one first."""

    id: UUID
    url: str
    state: WebhookState
    secrets: tuple[bytes, ...]
