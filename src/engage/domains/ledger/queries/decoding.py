"""Plain values out of the JSON that the ledger's reads answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base.ids import read_id
from engage.base.readings import moment_of
from engage.domains.ledger.queries.records import DebtRecord, EntryRecord, LinkedTransfer, LotLink, TopUpRecord
from engage.domains.ledger.types import (
    AccountKind,
    Balance,
    Bucket,
    Cause,
    CurrencyKind,
    GiftRecord,
    GiftState,
    HoldPurpose,
    HoldRecord,
    HoldState,
    TransferKind,
    TransferRecord,
)


def balance_of(value: dict[str, int]) -> Balance:
    """The balance in an answer or event of the kernel."""
    return Balance(value["available"], value["pending"], value["held"], value["debt"])


def id_of(value: str | None) -> UUID | None:
    """An id, where there is one."""
    return None if value is None else read_id(value)


def transfer_of(row: list[Any]) -> TransferRecord:
    """A line of a statement, from `engage.ledger_transfer_row`."""
    transfer_id, kind, amount, reason, cause_type, cause_id, posted_at, balance_after, version, *others = row
    reverses_id, refers_id, member_id, program, currency, money = others
    return TransferRecord(
        id=read_id(transfer_id),
        kind=TransferKind(kind),
        amount=amount,
        reason=reason,
        cause=None if cause_type is None else Cause(cause_type, cause_id),
        posted_at=datetime.fromisoformat(posted_at),
        balance_after=balance_after,
        version=version,
        reverses_id=id_of(reverses_id),
        refers_id=id_of(refers_id),
        member_id=read_id(member_id),
        program=program,
        currency=CurrencyKind(currency),
        money=money,
    )


def link_of(row: list[Any]) -> LinkedTransfer:
    """Another transfer, from `engage.ledger_transfer_link`."""
    transfer_id, kind, amount, posted_at, member_id, program, currency = row
    return LinkedTransfer(
        id=read_id(transfer_id),
        kind=TransferKind(kind),
        amount=amount,
        posted_at=datetime.fromisoformat(posted_at),
        member_id=read_id(member_id),
        program=program,
        currency=CurrencyKind(currency),
    )


def entry_of(row: list[Any]) -> EntryRecord:
    """A leg of a transfer."""
    bucket, house, amount, balance_after = row
    return EntryRecord(Bucket(bucket), None if house is None else AccountKind(house), amount, balance_after)


def hold_of(row: list[Any]) -> HoldRecord:
    """A hold, from `engage.ledger_hold_row`."""
    hold_id, member_id, purpose, state, amount, remaining, deadline, created_at, closed_at, *where = row
    program, currency, money = where
    return HoldRecord(
        id=read_id(hold_id),
        member_id=read_id(member_id),
        purpose=HoldPurpose(purpose),
        state=HoldState(state),
        amount=amount,
        remaining=remaining,
        deadline=datetime.fromisoformat(deadline),
        created_at=datetime.fromisoformat(created_at),
        closed_at=moment_of(closed_at),
        program=program,
        currency=CurrencyKind(currency),
        money=money,
    )


def gift_of(row: list[Any]) -> GiftRecord:
    """A gift, from `engage.ledger_gift_row`."""
    gift_id, program, sender_id, recipient_id, amount, fee, state, message, deadline, created_at, decided_at = row
    return GiftRecord(
        id=read_id(gift_id),
        program=program,
        sender_id=read_id(sender_id),
        recipient_id=read_id(recipient_id),
        amount=amount,
        fee=fee,
        state=GiftState(state),
        message=message,
        deadline=moment_of(deadline),
        created_at=datetime.fromisoformat(created_at),
        decided_at=moment_of(decided_at),
    )


def top_up_of(row: list[Any]) -> TopUpRecord:
    """A top-up, from `engage.ledger_top_up_row`."""
    top_up_id, member_id, program, money, amount, bonus, refunded, channel, store, reference, *moments = row
    paid_at, created_at = moments
    return TopUpRecord(
        id=read_id(top_up_id),
        member_id=read_id(member_id),
        program=program,
        money=money,
        amount=amount,
        bonus=bonus,
        refunded=refunded,
        channel=channel,
        store=store,
        payment_reference=reference,
        paid_at=datetime.fromisoformat(paid_at),
        created_at=datetime.fromisoformat(created_at),
    )


def debt_of(row: list[Any]) -> DebtRecord:
    """A debt."""
    debt_id, amount, remaining, forgiven, created_at = row
    return DebtRecord(read_id(debt_id), amount, remaining, forgiven, datetime.fromisoformat(created_at))


def lot_link_of(row: list[Any]) -> LotLink:
    """A lot at the other end, from `engage.ledger_lot_link`."""
    lot_id, amount, source = row
    return LotLink(read_id(lot_id), amount, link_of(source))
