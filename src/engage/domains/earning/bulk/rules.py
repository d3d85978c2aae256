"""Decisions of bulk points on plain values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from engage.base.errors import IdempotencyConflict, InvalidInput
from engage.base.idempotency import make_key
from engage.domains.earning.bulk.types import BulkInstructions, BulkOperation, CheckedRow, PointsRow
from engage.domains.ledger import rules as ledger
from engage.domains.ledger.types import Cause
from engage.domains.members.rules import normalise_identifier
from engage.domains.members.types import IdentityRef

ROW_KEY_MAX = 80


def check_row(row: PointsRow, wanted: BulkInstructions, now: datetime) -> CheckedRow:
    """Normalise and check one row by itself, and make its key of that of the work and its own.

    Raises InvalidInput, which names the field.
    """
    ledger.check_amount(row.amount if wanted.operation is BulkOperation.EARN else abs(row.amount))
    ledger.check_reason(row.reason)
    ledger.check_window(row.usable_at, row.expires_at, now)
    if wanted.operation is BulkOperation.ADJUST:
        _check_correction(row)
    clean = replace(
        row,
        row_key=_check_row_key(row.row_key),
        member=_normalised(row.member),
        amount=int(row.amount),
        cause=_check_cause(row.cause),
        usable_at=_in_utc(row.usable_at, "usableAt"),
        expires_at=_in_utc(row.expires_at, "expiresAt"),
        note=_check_note(row.note),
    )
    scope = f"{wanted.program}\0{wanted.operation}\0{wanted.key}"
    content = [clean.member, clean.amount, clean.reason, clean.cause, clean.usable_at, clean.expires_at, clean.note]
    return CheckedRow(clean, make_key(scope, "bulk_points", clean.row_key, content))


def used_otherwise(row: PointsRow) -> IdempotencyConflict:
    """The refusal of a row whose key was used for other content."""
    return IdempotencyConflict(
        f"Row {row.row_key!r} was there before with other content; take a new key for a new row.", path=["rowKey"]
    )


def _check_correction(row: PointsRow) -> None:
    if row.usable_at is not None:
        raise InvalidInput("Corrected points can be used at once; leave this out.", path=["usableAt"])
    if row.expires_at is not None and row.amount < 0:
        raise InvalidInput("Points that are taken away have no end; leave this out.", path=["expiresAt"])


def _check_row_key(text: str) -> str:
    key = text.strip()
    if not 1 <= len(key) <= ROW_KEY_MAX or not key.isprintable():
        raise InvalidInput(f"A row key has 1 to {ROW_KEY_MAX} printable characters.", path=["rowKey"])
    return key


def _normalised(member: UUID | IdentityRef) -> UUID | IdentityRef:
    if isinstance(member, UUID):
        return member
    return IdentityRef(member.channel, normalise_identifier(member.channel, member.identifier, path="member"))


def _check_cause(cause: Cause | None) -> Cause | None:
    if cause is None:
        return None
    clean = Cause(cause.type.strip(), cause.id.strip())
    ledger.check_cause(clean)
    for name, text in (("type", clean.type), ("id", clean.id)):
        if not text.isprintable():
            raise InvalidInput("A cause has printable characters alone.", path=["cause", name])
    return clean


def _in_utc(at: datetime | None, path: str) -> datetime | None:
    try:
        return None if at is None else at.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput("This is beyond what can be stored.", path=[path]) from error


def _check_note(text: str | None) -> str | None:
    note = ledger.check_message(text, path="note")
    if note is not None and "\n" in note:
        raise InvalidInput("The note of a row is one line.", path=["note"])
    return note
