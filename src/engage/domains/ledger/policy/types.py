"""Plain values of a points policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from engage.domains.ledger.types import TransferKind


class ExpiryKind(StrEnum):
    """How the end of points is found.

    NEVER; ROLLING a duration after they become usable; FIXED on the same day of each year; CALENDAR at the end of a
    month, quarter or year; INACTIVITY a duration after the member's last activity.
    """

    NEVER = "NEVER"
    ROLLING = "ROLLING"
    FIXED = "FIXED"
    CALENDAR = "CALENDAR"
    INACTIVITY = "INACTIVITY"


class ExpiryRound(StrEnum):
    """What a moment of expiry is rounded up to the end of, in the program's zone."""

    NONE = "NONE"
    DAY = "DAY"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


class ExpiryPeriod(StrEnum):
    """The calendar period at whose end points expire, in the program's zone."""

    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


class ReturnedKind(StrEnum):
    """What becomes of points that come back to a lot which expired meanwhile."""

    LOST = "LOST"
    REISSUED = "REISSUED"


class MovedExpiry(StrEnum):
    """Whether points that change hands keep their end, or get that of points given now."""

    KEEP = "KEEP"
    RENEW = "RENEW"


@dataclass(frozen=True, slots=True)
class BonusStep:
    """What a top-up of `from_amount` or more gets on top: per mille of it, and a fixed amount, of money."""

    from_amount: Decimal
    per_mille: int = 0
    fixed: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """All rules of a program's ledger, named as the columns of their table are. None means no such limit.

    Durations are ISO 8601. What is left out is as it is where nothing was published.
    """

    expiry_kind: ExpiryKind
    expiry_after: str | None = None
    expiry_round: ExpiryRound = ExpiryRound.NONE
    expiry_month: int | None = None
    expiry_day: int | None = None
    expiry_period: ExpiryPeriod | None = None
    expiry_count: int | None = None
    expiry_activities: tuple[TransferKind, ...] = (TransferKind.EARN, TransferKind.SPEND)
    returned_kind: ReturnedKind = ReturnedKind.LOST
    returned_grace: str | None = None
    hold_longest: str = "P30D"
    gift_daily_points: int | None = None
    gift_daily_count: int | None = None
    gift_fee_per_mille: int = 0
    gift_fee_fixed: int = 0
    gift_expiry: MovedExpiry = MovedExpiry.KEEP
    gift_accept_within: str | None = None
    gift_hops_max: int = 1
    exchange_expiry: MovedExpiry = MovedExpiry.RENEW
    adjust_alone_max: int | None = None
    top_up_bonus: tuple[BonusStep, ...] = ()
    top_up_bonus_valid_for: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """One version of a program's policy. Version 0 was never published: it is what the program itself says."""

    program: str
    version: int
    effective_at: datetime
    published_at: datetime
    published_by: str
    terms: PolicyTerms


@dataclass(frozen=True, slots=True)
class PublishedPolicy:
    """The answer of publishing; `position` is where it stands in the program's stream."""

    policy: PolicyRecord
    position: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class ExpiryMonth:
    """What expires in a month that begins on `month`, in the program's zone; None for what never does."""

    month: date | None
    amount: int
    proposed: int


@dataclass(frozen=True, slots=True)
class ExpiryOutlook:
    """What expires when, by months, as the ends are; and as they would be by a version that was asked about."""

    months: tuple[ExpiryMonth, ...]
    sooner: int
    later: int
    lots: int

    @property
    def total(self) -> int:
        """All points, available and pending."""
        return sum(line.amount for line in self.months)


@dataclass(frozen=True, slots=True)
class PreviewRecord:
    """A preview that can be had done until a day after it was made."""

    id: UUID
    program: str
    version: int
    notice: str
    outlook: ExpiryOutlook
    previewed_at: datetime
