"""Plain values of members."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class MemberState(StrEnum):
    """What a member may do: only an ACTIVE one moves points."""

    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"
    SUSPENDED = "SUSPENDED"
    CANCELLED = "CANCELLED"
    ERASED = "ERASED"


@dataclass(frozen=True, slots=True)
class IdentityRef:
    """A person as one channel names them: channel code and identifier, as submitted."""

    channel: str
    identifier: str


@dataclass(frozen=True, slots=True)
class KnownIdentity:
    """An identity on file."""

    channel: str
    identifier: str
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """A member's profile as it stands."""

    id: UUID
    state: MemberState
    display_name: str | None
    locale: str
    birthday: date | None
    created_at: datetime
    identities: tuple[KnownIdentity, ...]
    masked: bool = False
    """Whether what is personal was left out or masked for who asks."""


@dataclass(frozen=True, slots=True)
class ProgramRecord:
    """A program's settings as they stand."""

    id: UUID
    code: str
    name: str
    time_zone: str
    money_currency: str
    points_per_unit: Decimal
    points_valid_for: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PlaceRecord:
    """A store or a channel: data that orders refer to by code."""

    id: UUID
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class LockedMember:
    """A member whose lock is held; the survivor, where the one who was named has been merged."""

    id: UUID
    state: MemberState
    frozen_at: datetime | None
