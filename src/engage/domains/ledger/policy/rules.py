"""Whether a points policy can be, decided on plain values."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime
from decimal import Decimal

from engage.base.errors import InvalidInput
from engage.domains.ledger.policy.types import (
    BonusStep,
    ExpiryKind,
    ExpiryRound,
    PolicyTerms,
    ReturnedKind,
)
from engage.domains.ledger.rules import HORIZON, minor_units, money_of
from engage.domains.ledger.types import POINTS_MAX, TransferKind
from engage.domains.members.rules import check_duration

COUNT_MAX = 1_000
"""Periods to wait, gifts a day: more is a slip of the hand."""

HOPS_MAX = 100
BONUS_STEPS_MAX = 20
FEE_PER_MILLE_MAX = 1_000
BONUS_PER_MILLE_MAX = 10_000
"""A gift costs at most all of itself; a top-up earns at most ten times itself."""

_PASSING = frozenset({TransferKind.MATURE, TransferKind.EXPIRE, TransferKind.RELEASE, TransferKind.DEBT_PAID})
"""What time does: as an activity it would keep points alive from whenever the sweep comes to post it."""

_LEAP_YEAR = 2000

_BELONGS = {
    "expiry_after": frozenset({ExpiryKind.ROLLING, ExpiryKind.INACTIVITY}),
    "expiry_month": frozenset({ExpiryKind.FIXED}),
    "expiry_day": frozenset({ExpiryKind.FIXED}),
    "expiry_period": frozenset({ExpiryKind.CALENDAR}),
    "expiry_count": frozenset({ExpiryKind.CALENDAR}),
}


def check_terms(terms: PolicyTerms) -> None:
    """Raise InvalidInput, which names the field, where these rules cannot be or contradict each other."""
    _check_expiry(terms)
    _check_durations(terms)
    _check_returned(terms)
    for name, value, highest in (
        ("giftDailyPoints", terms.gift_daily_points, POINTS_MAX),
        ("giftDailyCount", terms.gift_daily_count, COUNT_MAX),
        ("giftFeePerMille", terms.gift_fee_per_mille, FEE_PER_MILLE_MAX),
        ("giftFeeFixed", terms.gift_fee_fixed, POINTS_MAX),
        ("giftHopsMax", terms.gift_hops_max, HOPS_MAX),
        ("adjustAloneMax", terms.adjust_alone_max, POINTS_MAX),
    ):
        _check_figure(value, highest, name)


def check_effective(effective_at: datetime | None, now: datetime) -> None:
    """When a policy is to hold from. Whether that is past is for `refuse_past`, after repetitions are known.

    Raises InvalidInput for a time without a zone or beyond a century.
    """
    if effective_at is not None and effective_at.tzinfo is None:
        raise InvalidInput("This needs a time zone, such as the Z in 2026-03-10T12:00:00Z.", path=["effectiveAt"])
    if effective_at is not None and effective_at > now + HORIZON:
        raise InvalidInput("This lies more than a hundred years ahead.", path=["effectiveAt"])


def refuse_past(effective_at: datetime, now: datetime) -> None:
    """Raise InvalidInput for a moment that is over: rules never change what they were."""
    if effective_at < now:
        raise InvalidInput("A policy holds from now on or from later; leave this out for now.", path=["effectiveAt"])


def bonus_in_minor_units(steps: tuple[BonusStep, ...], currency: str) -> list[dict[str, int]]:
    """The steps of a bonus as they are stored. Raises InvalidInput for too many, unsorted or impossible ones."""
    if len(steps) > BONUS_STEPS_MAX:
        raise InvalidInput(f"A bonus has at most {BONUS_STEPS_MAX} steps.", path=["policy", "topUpBonus"])
    stored: list[dict[str, int]] = []
    for number, step in enumerate(steps):
        at = ("topUpBonus", str(number))
        begin = _minor_units(step.from_amount, currency, *at, "fromAmount")
        if stored and begin <= stored[-1]["from"]:
            raise _wrong("The steps of a bonus go up: this is not above the one before it.", *at, "fromAmount")
        _check_figure(step.per_mille, BONUS_PER_MILLE_MAX, *at, "perMille")
        fixed = _minor_units(step.fixed, currency, *at, "fixed")
        stored.append({"from": begin, "per_mille": step.per_mille, "fixed": fixed})
    return stored


def bonus_of(stored: list[dict[str, int]], currency: str) -> tuple[BonusStep, ...]:
    """The steps of a bonus out of what is stored."""
    return tuple(
        BonusStep(money_of(one["from"], currency), one["per_mille"], money_of(one["fixed"], currency))
        for one in stored
    )


def _check_expiry(terms: PolicyTerms) -> None:
    kind = terms.expiry_kind
    for column, kinds in _BELONGS.items():
        given = getattr(terms, column) is not None
        if given and kind not in kinds:
            raise _wrong(f"This is for expiry of the kind {' or '.join(sorted(kinds))}, not {kind}.", _name(column))
        if not given and kind in kinds:
            raise _wrong(f"Expiry of the kind {kind} needs this.", _name(column))
    if terms.expiry_round is not ExpiryRound.NONE and kind not in _BELONGS["expiry_after"]:
        raise _wrong(f"Expiry of the kind {kind} ends with a day anyway: this is NONE.", "expiryRound")
    if terms.expiry_month is not None and terms.expiry_day is not None:
        if not 1 <= terms.expiry_month <= 12:  # noqa: PLR2004 -- months of a year
            raise _wrong("A month lies from 1 to 12.", "expiryMonth")
        last = monthrange(_LEAP_YEAR, terms.expiry_month)[1]
        if not 1 <= terms.expiry_day <= last:
            raise _wrong(f"A day of this month lies from 1 to {last}.", "expiryDay")
    _check_figure(terms.expiry_count, COUNT_MAX, "expiryCount")
    activities = terms.expiry_activities
    if not activities or len(set(activities)) < len(activities) or _PASSING & set(activities):
        raise _wrong(
            "These are kinds of transfers, each once and at least one, such as EARN and SPEND; not MATURE, EXPIRE,"
            " RELEASE or DEBT_PAID, which time does.",
            "expiryActivities",
        )


def _check_durations(terms: PolicyTerms) -> None:
    for column in ("expiry_after", "returned_grace", "hold_longest", "gift_accept_within", "top_up_bonus_valid_for"):
        check_duration(getattr(terms, column), path=["policy", _name(column)])


def _check_returned(terms: PolicyTerms) -> None:
    reissued = terms.returned_kind is ReturnedKind.REISSUED
    if reissued and terms.returned_grace is None:
        raise _wrong("REISSUED needs this: how long the points can be used again.", "returnedGrace")
    if not reissued and terms.returned_grace is not None:
        raise _wrong("This is for REISSUED; points that are LOST have no grace.", "returnedGrace")


def _check_figure(value: float | None, highest: int, *at: str) -> None:
    if value is not None and (not 0 <= value <= highest or value % 1):
        raise _wrong(f"This is a whole number from 0 to {highest:,}.", *at)


def _minor_units(amount: Decimal, currency: str, *at: str) -> int:
    return minor_units(amount, currency, path=["policy", *at], least=0)


def _wrong(message: str, *at: str) -> InvalidInput:
    return InvalidInput(message, path=["policy", *at])


def _name(column: str) -> str:
    """The API's name of a column."""
    first, *others = column.split("_")
    return first + "".join(word.title() for word in others)
