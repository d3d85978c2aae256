"""Plain values of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

POINTS_MAX = 2**53 - 1
"""The largest figure that a JSON number holds exactly (RFC 8259, section 6), and so the largest amount."""


class CurrencyKind(StrEnum):
    """Points, or stored value in minor units of money."""

    POINTS = "POINTS"
    CASH = "CASH"


class AccountKind(StrEnum):
    """A member's account, or what the house writes the other side of a transfer to."""

    MEMBER = "MEMBER"
    ISSUED = "ISSUED"
    REDEEMED = "REDEEMED"
    EXPIRED = "EXPIRED"
    FORFEITED = "FORFEITED"
    DONATED = "DONATED"
    EXCHANGED = "EXCHANGED"
    ADJUSTED = "ADJUSTED"


HOUSE_KINDS = tuple(kind for kind in AccountKind if kind is not AccountKind.MEMBER)


class Bucket(StrEnum):
    """Which figure of an account an entry moves; HOUSE for the accounts of the house."""

    AVAILABLE = "AVAILABLE"
    PENDING = "PENDING"
    HELD = "HELD"
    DEBT = "DEBT"
    HOUSE = "HOUSE"


class TransferKind(StrEnum):
    """What a transfer does."""

    EARN = "EARN"
    SPEND = "SPEND"
    MATURE = "MATURE"
    EXPIRE = "EXPIRE"


class LotState(StrEnum):
    """PENDING until usable, OPEN while points are left, CLOSED when none are."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class Balance:
    """A member's points in one program: what can be spent now, later, is held, and is owed by the member."""

    available: int = 0
    pending: int = 0
    held: int = 0
    debt: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """What a transfer goes back to, such as ("purchase", its id); codes and ids only."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer of a command that moved points.

    `position` is where the change stands in the member's stream; `replayed` says that the key was seen before
    and this is the first answer again.
    """

    transfer_id: UUID
    member_id: UUID
    program: str
    amount: int
    balance: Balance
    position: int
    posted_at: datetime
    replayed: bool


@dataclass(frozen=True, slots=True)
class Earning:
    """One line of a bulk earning. `expires_at` None means never."""

    member_id: UUID
    amount: int
    cause: Cause
    earned_at: datetime
    expires_at: datetime | None = None
    usable_at: datetime | None = None
    reason: str = "PURCHASE"


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """One line of a statement: `amount` is signed as the member sees it, `version` orders it."""

    id: UUID
    kind: TransferKind
    amount: int
    reason: str
    cause: Cause | None
    posted_at: datetime
    balance_after: int
    version: int


@dataclass(frozen=True, slots=True)
class ExpiryLine:
    """Points that expire on one day in the program's zone."""

    expires_on: date
    amount: int


@dataclass(frozen=True, slots=True)
class ExpirySchedule:
    """What expires when: the next days one by one, what comes `later`, and what `never` does.

    Adds up to the available balance.
    """

    lines: tuple[ExpiryLine, ...]
    later: int
    never: int

    @property
    def total(self) -> int:
        """All of it, which is what is available."""
        return sum(line.amount for line in self.lines) + self.later + self.never


@dataclass(frozen=True, slots=True)
class ProgramPoints:
    """Figures of a program: issued, spent and expired are gross of what was `reversed`.

    `outstanding` is what is owed now: available, pending and held less debt. `members` counts accounts.
    """

    members: int
    issued: int
    spent: int
    expired: int
    reversed: int
    outstanding: int


@dataclass(frozen=True, slots=True)
class PointsChange:
    """The transfer behind a change of a balance."""

    transfer_id: UUID
    kind: TransferKind
    amount: int
    reason: str
    cause: Cause | None
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class PointsSeen:
    """What a subscriber of a balance sees: the balance after `from_position`..`position` of the member's stream.

    `change` is None in a snapshot; `reset` says that what was known before is void; `cursor` resumes from here.
    """

    cursor: str
    position: int
    from_position: int
    balance: Balance
    reset: bool
    change: PointsChange | None
