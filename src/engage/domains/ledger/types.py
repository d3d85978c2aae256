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
    TRANSFERRED = "TRANSFERRED"
    FEES = "FEES"


HOUSE_KINDS = tuple(kind for kind in AccountKind if kind is not AccountKind.MEMBER)


class Bucket(StrEnum):
    """Which figure of an account an entry moves; HOUSE for the accounts of the house."""

    AVAILABLE = "AVAILABLE"
    PENDING = "PENDING"
    HELD = "HELD"
    DEBT = "DEBT"
    HOUSE = "HOUSE"


class TransferKind(StrEnum):
    """What a transfer does. docs/ledger.md has a line on each, with the legs that it may have."""

    EARN = "EARN"
    CONFIRM = "CONFIRM"
    MATURE = "MATURE"
    EXPIRE = "EXPIRE"
    SPEND = "SPEND"
    HOLD = "HOLD"
    CAPTURE = "CAPTURE"
    RELEASE = "RELEASE"
    REVERSE = "REVERSE"
    CLAWBACK = "CLAWBACK"
    DEBT_PAID = "DEBT_PAID"
    GIFT = "GIFT"
    RECEIVE = "RECEIVE"
    FEE = "FEE"
    DONATE = "DONATE"
    EXCHANGE_OUT = "EXCHANGE_OUT"
    EXCHANGE_IN = "EXCHANGE_IN"
    DEDUCT = "DEDUCT"
    RESTORE = "RESTORE"
    ADJUST_UP = "ADJUST_UP"
    ADJUST_DOWN = "ADJUST_DOWN"
    TOP_UP = "TOP_UP"
    REFUND = "REFUND"
    MERGE_OUT = "MERGE_OUT"
    MERGE_IN = "MERGE_IN"


class LotState(StrEnum):
    """PENDING until usable, OPEN while points are left, CLOSED when none are."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    CLOSED = "CLOSED"


class HoldPurpose(StrEnum):
    """What a hold is for: to be spent, or to be given to another member."""

    SPEND = "SPEND"
    GIFT = "GIFT"


class HoldState(StrEnum):
    """OPEN while anything is held; then how it ended. EXPIRED is past its deadline."""

    OPEN = "OPEN"
    CAPTURED = "CAPTURED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class GiftState(StrEnum):
    """OFFERED until the recipient decides; GIVEN went at once, without being offered."""

    GIVEN = "GIVEN"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"


class GiftLimitKind(StrEnum):
    """Which of the program's limits a gift goes beyond."""

    DAILY_POINTS = "DAILY_POINTS"
    DAILY_COUNT = "DAILY_COUNT"
    HOPS = "HOPS"


class AdjustmentState(StrEnum):
    """A large correction waits for a second person."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class Shortfall(StrEnum):
    """What becomes of points that should be taken and are not there."""

    REFUSE = "REFUSE"
    FORGO = "FORGO"
    DEBT = "DEBT"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """The answer of a command that moved points, or stored value in minor units.

    `amount` is signed as the member sees it; `position` is where the change stands in the member's stream; `replayed`
    says that the key was seen before and this is the first answer again.
    """

    transfer_id: UUID
    member_id: UUID
    program: str
    kind: TransferKind
    amount: int
    currency: CurrencyKind = CurrencyKind.POINTS
    balance: Balance
    position: int
    posted_at: datetime
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPosted(Posted):
    """What a command on a hold posted; `remaining` is still held after it."""

    hold_id: UUID
    deadline: datetime
    remaining: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnPosted(Posted):
    """Points that were given back; `remaining` of the transfer are left to reverse."""

    remaining: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenPosted(Posted):
    """Points taken back or away: `taken` of this member, missing, now debt; and what remains of the transfer."""

    taken: int
    shortfall: int
    debt: int
    remaining: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftPosted(Posted):
    """A gift that went or was offered until `deadline`, with its fee."""

    gift_id: UUID
    recipient_id: UUID
    fee: int
    deadline: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangePosted(Posted):
    """What was `received` in the other program, by which rate."""

    rate_id: UUID
    received: int
    received_transfer_id: UUID
    received_balance: Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePosted(Posted):
    """Stored value that was put in or paid back; `bonus` came or went with it."""

    bonus: int
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Earning:
    """One line of a bulk earning. `expires_at` None means by the program's policy."""

    member_id: UUID
    amount: int
    cause: Cause
    earned_at: datetime
    expires_at: datetime | None = None
    usable_at: datetime | None = None
    reason: str = "PURCHASE"
    note: str | None = None
    """Words of a person, kept beside the transfer."""


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """One line of a statement, in the order of `version`; figures of stored value are minor units of `money`."""

    id: UUID
    kind: TransferKind
    amount: int
    reason: str
    cause: Cause | None
    posted_at: datetime
    balance_after: int
    version: int
    reverses_id: UUID | None
    refers_id: UUID | None
    member_id: UUID
    program: str
    currency: CurrencyKind
    money: str | None


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


@dataclass(frozen=True, slots=True)
class RateRecord:
    """A published exchange rate: `numerator` points of `to_program` for `denominator` of `from_program`."""

    id: UUID
    from_program: str
    to_program: str
    version: int
    numerator: int
    denominator: int
    effective_at: datetime
    ends_at: datetime | None
    published_at: datetime


@dataclass(frozen=True, slots=True)
class RatePublished(RateRecord):
    """The answer of publishing a rate; `position` is where it stands in the stream of the program that gives."""

    position: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class AdjustmentRecord:
    """A correction that waits for a second person, or was decided."""

    id: UUID
    member_id: UUID
    program: str
    amount: int
    reason: str
    note: str | None
    expires_at: datetime | None
    state: AdjustmentState
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    transfer_id: UUID | None


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """Points that are or were set aside."""

    id: UUID
    member_id: UUID
    purpose: HoldPurpose
    state: HoldState
    amount: int
    remaining: int
    deadline: datetime
    created_at: datetime
    closed_at: datetime | None
    program: str
    currency: CurrencyKind
    money: str | None


@dataclass(frozen=True, slots=True)
class GiftRecord:
    """A gift from one member to another, with its message as long as that is kept."""

    id: UUID
    program: str
    sender_id: UUID
    recipient_id: UUID
    amount: int
    fee: int
    state: GiftState
    message: str | None
    deadline: datetime | None
    created_at: datetime
    decided_at: datetime | None
