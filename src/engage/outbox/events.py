"""What is said and what is heard: `Event` for those who record, `OutboxEvent` for those who carry out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, cast
from uuid import UUID


class Event(ABC):
    """Something that has happened, told in the past tense. Subclasses are frozen dataclasses with a wire name.

    The data hold ids, figures and codes only: events are never changed, so nothing about a person may be in them.
    """

    NAME: ClassVar[str]
    """Wire name with version, such as `ledger.points_spent.v1`; at most 80 characters."""

    @property
    @abstractmethod
    def stream(self) -> str:
        """Where it has its position, such as `member:<id>`; at most 80 characters."""

    def data(self) -> dict[str, object]:
        """The fields of the dataclass as JSON can hold them: times as they are, ids and decimals as texts."""
        return {one.name: _told(getattr(self, one.name)) for one in fields(cast("Any", self))}


def _told(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)  # the driver's ids are of a class of their own, which JSON does not know
    return f"{value:f}" if isinstance(value, Decimal) else value


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """A recorded event as a handler gets it."""

    id: UUID
    """Of the event, the same for every handler and attempt: fit to be a message id outside of the house."""

    name: str
    stream: str
    position: int
    data: dict[str, Any]
    recorded_at: datetime
    attempt: int
    """1 for the first."""

    target: str = ""
    """Of a routed handler: whom this row is for."""

    row_id: UUID | None = None
    """Of the row in the outbox: what admins know this piece of work by."""
