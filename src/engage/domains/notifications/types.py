"""Plain values of notifications."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class MessageCode(StrEnum):
    """What a message is about; each has its texts in rules.py."""

    POINTS_EXPIRING = "POINTS_EXPIRING"


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A message in an inbox; its words are made for a language by `rules.words`."""

    id: UUID
    code: MessageCode
    params: dict[str, object]
    created_at: datetime
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class OwnedMessage:
    """A message, whose it is, and the language of texts for them."""

    message: MessageRecord
    member_id: UUID
    locale: str


@dataclass(frozen=True, slots=True)
class Words:
    """A message in one language."""

    title: str
    body: str
