"""Decisions of the ledger on plain values."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from engage.base.errors import InvalidInput
from engage.domains.ledger.types import POINTS_MAX, Cause

_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
CAUSE_TYPE_MAX = 32
CAUSE_ID_MAX = 80
HORIZON = timedelta(days=366 * 100)


def check_amount(amount: int, *, path: str = "amount") -> int:
    """A number of points that can be moved. Raises InvalidInput outside 1..2^53 - 1."""
    if not 1 <= amount <= POINTS_MAX or amount % 1:
        raise InvalidInput(f"An amount is a whole number from 1 to {POINTS_MAX}; {amount} is outside.", path=[path])
    return amount


def check_reason(reason: str) -> str:
    """A reason code. Raises InvalidInput."""
    if not _REASON.fullmatch(reason):
        raise InvalidInput("A reason is a code of A-Z, 0-9 and _, such as REDEMPTION.", path=["reason"])
    return reason


def check_cause(cause: Cause | None) -> Cause | None:
    """What a transfer refers to, by codes and ids. Raises InvalidInput."""
    if cause is not None:
        if not 1 <= len(cause.type) <= CAUSE_TYPE_MAX:
            raise InvalidInput(f"A cause's type has 1 to {CAUSE_TYPE_MAX} characters.", path=["cause", "type"])
        if not 1 <= len(cause.id) <= CAUSE_ID_MAX:
            raise InvalidInput(f"A cause's id has 1 to {CAUSE_ID_MAX} characters.", path=["cause", "id"])
    return cause


def check_window(usable_at: datetime | None, expires_at: datetime | None, now: datetime) -> None:
    """When points can be used. Whether the end is past already is the kernel's to say, which knows repetitions.

    Raises InvalidInput where the end lies before the beginning or beyond a century, and for a time without a zone.
    """
    for name, at in (("usableAt", usable_at), ("expiresAt", expires_at)):
        if at is not None and at.tzinfo is None:
            raise InvalidInput("This needs a time zone, such as the Z in 2026-03-10T12:00:00Z.", path=[name])
        if at is not None and at > now + HORIZON:
            raise InvalidInput("This lies more than a hundred years ahead.", path=[name])
    if expires_at is not None and usable_at is not None and expires_at <= usable_at:
        raise never_usable()


def never_usable() -> InvalidInput:
    """The refusal of points that would expire before anyone could use them."""
    return InvalidInput("Points must be usable for a while before they expire.", path=["expiresAt"])
