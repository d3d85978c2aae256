"""Decisions of the ledger on plain values."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from babel.numbers import get_currency_precision

from engage.base.errors import InvalidInput
from engage.domains.ledger.types import POINTS_MAX, Cause

_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
CAUSE_TYPE_MAX = 32
CAUSE_ID_MAX = 80
HORIZON = timedelta(days=366 * 100)
CLOCK_SKEW = timedelta(minutes=5)
RATE_FIGURE_MAX = 10**12
MESSAGE_MAX = 500
_GOOD_CAUSE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def check_amount(amount: int, *, path: str = "amount") -> int:
    """A number of points that can be moved. Raises InvalidInput outside 1..2^53 - 1."""
    if not 1 <= amount <= POINTS_MAX or amount % 1:
        raise InvalidInput(f"An amount is a whole number from 1 to {POINTS_MAX}; {amount} is outside.", path=[path])
    return amount


def minor_units(amount: Decimal, money: str, *, path: list[str], least: int = 1) -> int:
    """An amount of money in the smallest unit of its currency, which ISO 4217 tells.

    Raises InvalidInput, which names the field, below `least` of them, beyond 2^53 - 1 and for too many decimals.
    """
    digits = get_currency_precision(money)
    unit = Decimal(1).scaleb(-digits)
    if not amount.is_finite() or not least * unit <= amount <= POINTS_MAX * unit or amount % unit:
        raise InvalidInput(
            f"This is an amount of {money}, {least * unit:f} or more, with at most {digits} decimals.", path=path
        )
    return int(amount.scaleb(digits))


def money_of(minor: int, money: str) -> Decimal:
    """An amount of money, with all decimals of its currency, out of its smallest unit."""
    return Decimal(minor).scaleb(-get_currency_precision(money))


def check_part(amount: int | None) -> int | None:
    """A part of something that can be moved; None for all of it. Raises InvalidInput."""
    return None if amount is None else check_amount(amount)


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
        if at is None:
            continue
        check_zone(at, name)
        if at > now + HORIZON:
            raise InvalidInput("This lies more than a hundred years ahead.", path=[name])
    if expires_at is not None and usable_at is not None and expires_at <= usable_at:
        raise never_usable()


def check_deadline(deadline: datetime | None) -> datetime | None:
    """Until when something is held. Whether that is past already is the kernel's to say, which knows repetitions.

    Raises InvalidInput for a time without a zone.
    """
    if deadline is not None:
        check_zone(deadline, "deadline")
    return deadline


def check_past(at: datetime, now: datetime, *, path: str) -> datetime:
    """When something has happened. Raises InvalidInput for the future and for a time without a zone."""
    check_zone(at, path)
    if at > now + CLOCK_SKEW:
        raise InvalidInput("This lies in the future.", path=[path])
    return at


def check_period(effective_at: datetime | None, ends_at: datetime | None, now: datetime) -> datetime:
    """From when something published holds, by default now. Raises InvalidInput for a beginning in the past."""
    begins = now if effective_at is None else effective_at
    for name, at in (("effectiveAt", begins), ("endsAt", ends_at)):
        if at is not None:
            check_zone(at, name)
    if begins < now:
        raise InvalidInput("What is published holds from now on or later, never from the past.", path=["effectiveAt"])
    if ends_at is not None and ends_at <= begins:
        raise InvalidInput("The end lies after the beginning.", path=["endsAt"])
    return begins


def check_rate_figures(numerator: int, denominator: int) -> None:
    """How many points there for how many here. Raises InvalidInput outside 1 to a million million."""
    for name, figure in (("numerator", numerator), ("denominator", denominator)):
        if not 1 <= figure <= RATE_FIGURE_MAX or figure % 1:
            raise InvalidInput(f"This is a whole number from 1 to {RATE_FIGURE_MAX:,}.", path=[name])


def check_good_cause(code: str) -> str:
    """The code of a good cause. Raises InvalidInput."""
    if not _GOOD_CAUSE.fullmatch(code):
        raise InvalidInput("A good cause is a code of a-z, 0-9, - and _, such as reforestation.", path=["goodCause"])
    return code


def check_message(text: str | None, *, path: str = "message") -> str | None:
    """Words of a person, trimmed; None for none. Raises InvalidInput when too long or not printable."""
    if text is None or not (trimmed := text.strip()):
        return None
    if len(trimmed) > MESSAGE_MAX or not trimmed.replace("\n", "").isprintable():
        raise InvalidInput(f"At most {MESSAGE_MAX} printable characters fit here.", path=[path])
    return trimmed


def check_reference(reference: str) -> str:
    """The reference of a payment outside. Raises InvalidInput."""
    text = reference.strip()
    if not 1 <= len(text) <= CAUSE_ID_MAX or not text.isprintable():
        raise InvalidInput(f"A payment reference has 1 to {CAUSE_ID_MAX} characters.", path=["paymentReference"])
    return text


def check_zone(at: datetime, path: str) -> None:
    """Raise InvalidInput for a time without a zone."""
    if at.tzinfo is None:
        raise InvalidInput("This needs a time zone, such as the Z in 2026-03-10T12:00:00Z.", path=[path])
    try:
        at.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("This lies outside of the calendar.", path=[path]) from None


def never_usable() -> InvalidInput:
    """The refusal of points that would expire before anyone could use them."""
    return InvalidInput("Points must be usable for a while before they expire.", path=["expiresAt"])
