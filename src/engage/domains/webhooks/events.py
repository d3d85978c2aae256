"""What webhooks say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from engage.outbox import Event


def webhook_stream(endpoint_id: UUID) -> str:
    """The stream of what happens to an endpoint."""
    return f"webhook:{endpoint_id}"


@dataclass(frozen=True, slots=True)
class EndpointDisabled(Event):
    """engage has disabled an endpoint; `reason` is a DisabledReason. Audience: admins, by other endpoints."""

    NAME: ClassVar[str] = "webhooks.endpoint_disabled.v1"

    endpoint_id: UUID
    reason: str
    disabled_at: datetime

    @property
    def stream(self) -> str:
        """The endpoint's own."""
        return webhook_stream(self.endpoint_id)

    def data(self) -> dict[str, object]:
        """Id, code and time."""
        return {"endpoint_id": str(self.endpoint_id), "reason": self.reason, "disabled_at": self.disabled_at}


@dataclass(frozen=True, slots=True)
class Ping(Event):
    """A test of one endpoint, sent to that alone; it is not in the event log."""

    NAME: ClassVar[str] = "webhooks.ping.v1"

    endpoint_id: UUID

    @property
    def stream(self) -> str:
        """The endpoint's own."""
        return webhook_stream(self.endpoint_id)

    def data(self) -> dict[str, object]:
        """The id."""
        return {"endpoint_id": str(self.endpoint_id)}
