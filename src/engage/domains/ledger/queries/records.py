"""What reads of the ledger's history answer. Figures of stored value are minor units of `money`, an ISO 4217 code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engage.domains.ledger.types import (
    AccountKind,
    Balance,
    Bucket,
    CurrencyKind,
    GiftRecord,
    HoldRecord,
    LotState,
    TransferKind,
)


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A member's money in one program."""

    money: str
    balance: Balance


@dataclass(frozen=True, slots=True)
class LinkedTransfer:
    """Another transfer in a few words; whose it is may be nothing for the reader."""

    id: UUID
    kind: TransferKind
    amount: int
    posted_at: datetime
    member_id: UUID
    program: str
    currency: CurrencyKind


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """One leg of a transfer: of a bucket of the member's account, or of the `house` account."""

    bucket: Bucket
    house: AccountKind | None
    amount: int
    balance_after: int | None


@dataclass(frozen=True, slots=True)
class DebtRecord:
    """Points that a transfer left a member owing; `remaining` as far as payments are posted."""

    id: UUID
    amount: int
    remaining: int
    forgiven: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TransferDetails:
    """What a statement does not say of a transfer by itself; `reversals` are the first hundred."""

    entries: tuple[EntryRecord, ...]
    left_to_reverse: int | None
    reverses: LinkedTransfer | None
    reversals: tuple[LinkedTransfer, ...]
    counterpart: LinkedTransfer | None
    hold: HoldRecord | None
    debt: DebtRecord | None
    gift: GiftRecord | None

    @property
    def available_change(self) -> int:
        """By how much the available points changed."""
        return sum(entry.amount for entry in self.entries if entry.bucket is Bucket.AVAILABLE)


@dataclass(frozen=True, slots=True)
class LotShare:
    """What a transfer changed of a lot; `number` is that of the allocation, None where it made the lot."""

    number: int | None
    lot_id: UUID
    amount: int
    held: int


@dataclass(frozen=True, slots=True)
class LotRecord:
    """Points that came at once and expire at once, as they stand now; `source` made them."""

    id: UUID
    member_id: UUID
    program: str
    currency: CurrencyKind
    money: str | None
    state: LotState
    amount: int
    remaining: int
    held: int
    earned_at: datetime
    usable_at: datetime | None
    expires_at: datetime | None
    hops: int
    source: LinkedTransfer


@dataclass(frozen=True, slots=True)
class LotMove:
    """One movement of a lot: the first, number 0, made it."""

    number: int
    transfer_id: UUID
    kind: TransferKind
    reason: str
    amount: int
    held: int
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class LotLink:
    """A lot that another one came from or went to, and the transfer that made it."""

    id: UUID
    amount: int
    source: LinkedTransfer


@dataclass(frozen=True, slots=True)
class TopUpRecord:
    """Money that a member paid in, and how much of it was paid back."""

    id: UUID
    member_id: UUID
    program: str
    money: str
    amount: int
    bonus: int
    refunded: int
    channel: str
    store: str | None
    payment_reference: str
    paid_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProgramPoints:
    """Figures of a program, gross of what was `reversed`; `adjusted` is net. `members` counts accounts.

    `outstanding`, which is owed now, is issued + adjusted + exchanged_in + returned - spent - expired - donated
    - forfeited - fees - exchanged_out - clawed_back.
    """

    members: int
    issued: int
    spent: int
    expired: int
    reversed: int
    outstanding: int
    donated: int = 0
    forfeited: int = 0
    adjusted: int = 0
    exchanged_in: int = 0
    exchanged_out: int = 0
    gifted: int = 0
    fees: int = 0
    clawed_back: int = 0
    returned: int = 0
    debt: int = 0


@dataclass(frozen=True, slots=True)
class ProgramValue:
    """Figures of a program's stored value, gross. `members` counts accounts.

    `outstanding` is topped_up + bonus + returned - paid - refunded - taken_back - expired.
    """

    members: int
    money: str
    topped_up: int
    bonus: int
    paid: int
    refunded: int
    taken_back: int
    returned: int
    expired: int
    outstanding: int
