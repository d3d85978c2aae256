"""What members say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from engage.outbox import Event


@dataclass(frozen=True, slots=True)
class MemberRegistered(Event):
    """A new member. Audience: the member and staff."""

    NAME: ClassVar[str] = "members.registered.v1"

    member_id: UUID
    registered_at: datetime

    @property
    def stream(self) -> str:
        """The member's own."""
        return member_stream(self.member_id)

    def data(self) -> dict[str, object]:
        """Id and time."""
        return {"member_id": str(self.member_id), "registered_at": self.registered_at}


@dataclass(frozen=True, slots=True)
class MemberFrozen(Event):
    """No points go from this member any more. Audience: the member and staff."""

    NAME: ClassVar[str] = "members.frozen.v1"

    member_id: UUID
    reason: str
    frozen_at: datetime

    @property
    def stream(self) -> str:
        """The member's own."""
        return member_stream(self.member_id)


@dataclass(frozen=True, slots=True)
class MemberThawed(Event):
    """Points of this member move again. Audience: the member and staff."""

    NAME: ClassVar[str] = "members.thawed.v1"

    member_id: UUID
    reason: str
    thawed_at: datetime

    @property
    def stream(self) -> str:
        """The member's own."""
        return member_stream(self.member_id)


def member_stream(member_id: UUID) -> str:
    """The stream of everything that happens to one member, over all domains."""
    return f"member:{member_id}"
