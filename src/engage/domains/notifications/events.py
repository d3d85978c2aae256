"""What notifications say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from engage.domains.members.events import member_stream
from engage.outbox import Event


@dataclass(frozen=True, slots=True)
class MessageAdded(Event):
    """A message came into an inbox. Audience: the member."""

    NAME: ClassVar[str] = "notifications.message_added.v1"

    member_id: UUID
    message_id: UUID
    code: str

    @property
    def stream(self) -> str:
        """The member's own."""
        return member_stream(self.member_id)


@dataclass(frozen=True, slots=True)
class MessagesRead(Event):
    """A member has read messages. Audience: the member, on other devices."""

    NAME: ClassVar[str] = "notifications.messages_read.v1"

    member_id: UUID
    count: int

    @property
    def stream(self) -> str:
        """The member's own."""
        return member_stream(self.member_id)
