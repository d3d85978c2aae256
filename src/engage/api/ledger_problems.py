"""Problems of the ledger, each with the figures that a screen needs: points, or money where it is stored value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import strawberry

from engage.api.enums import (
    AdjustmentState,
    GiftLimitKind,
    GiftState,
    HoldState,
    LotState,
    MemberState,
    TransferKind,
)
from engage.api.problems import Problem, ProblemCode
from engage.api.purchases import Money
from engage.api.relay import global_id
from engage.api.scalars import Amount, Points
from engage.base.errors import Refusal
from engage.domains.ledger import errors, rules


@strawberry.type(description="The member has fewer points than are needed.")
class InsufficientPoints(Problem):
    """See engage.domains.ledger.errors."""

    available: Points = strawberry.field(description="What the member can spend now.")
    required: Points = strawberry.field(description="What the command needs.")


@strawberry.type(description="The member's state lets no points move this way.")
class MemberNotActive(Problem):
    """See engage.domains.ledger.errors."""

    state: MemberState = strawberry.field(description="The member's state.")


@strawberry.type(description="There is less stored value than is needed: in the account, the hold, or the transfer.")
class InsufficientValue(Problem):
    """What InsufficientPoints, ExceedsHold and ExceedsReversible are of stored value."""

    available_value: Money = strawberry.field(description="What there is.")
    required_value: Money = strawberry.field(description="What the command needs.")


@strawberry.type(description="The account would hold more points than an account can.")
class BalanceLimit(Problem):
    """See engage.domains.ledger.errors."""

    present: Points = strawberry.field(description="What it has, pending and held included.")
    limit: Points = strawberry.field(description="What it can hold at most.")
    required: Points = strawberry.field(description="What would have come to it.")


@strawberry.type(description="The account would hold more stored value than an account can.")
class ValueLimit(Problem):
    """What BalanceLimit is of stored value."""

    present_value: Money = strawberry.field(description="What it has, held included.")
    limit_value: Money = strawberry.field(description="What it can hold at most.")
    required_value: Money = strawberry.field(description="What would have come to it.")


@strawberry.type(description="The hold has ended, or is that of a gift, which is accepted, declined or withdrawn.")
class HoldNotOpen(Problem):
    """See engage.domains.ledger.errors."""

    hold_state: HoldState = strawberry.field(description="How it stands; OPEN for that of a gift.")
    deadline: datetime = strawberry.field(description="When it ends or ended at the latest.")


@strawberry.type(description="The hold has fewer points than are asked for.")
class ExceedsHold(Problem):
    """See engage.domains.ledger.errors."""

    remaining: Points = strawberry.field(description="What is still held.")
    required: Points = strawberry.field(description="What was asked for.")


@strawberry.type(description="Transfers of this kind, and those that take another one back, are not undone by this.")
class NotReversible(Problem):
    """See engage.domains.ledger.errors."""

    kind: TransferKind = strawberry.field(description="The kind that it is of.")


@strawberry.type(description="Fewer points of the transfer are left to take back than are asked for.")
class ExceedsReversible(Problem):
    """See engage.domains.ledger.errors."""

    remaining: Points = strawberry.field(description="What is left to take back.")
    required: Points = strawberry.field(description="What was asked for.")


@strawberry.type(description="The points of this transfer are not pending, or not so many of them.")
class NotPending(Problem):
    """See engage.domains.ledger.errors."""

    lot_state: LotState = strawberry.field(description="How its lot stands.")


@strawberry.type(description="The gift goes beyond a limit of the program's policy.")
class GiftLimit(Problem):
    """See engage.domains.ledger.errors."""

    limit_kind: GiftLimitKind = strawberry.field(description="Which limit.")
    limit: Points = strawberry.field(description="Its figure: points, gifts a day, or how often points are given on.")
    remaining: Points = strawberry.field(description="Points that can still be given; 0 gifts by DAILY_COUNT.")


@strawberry.type(description="The gift does not wait any more.")
class GiftDecided(Problem):
    """See engage.domains.ledger.errors."""

    gift_state: GiftState = strawberry.field(description="How it stands.")


@strawberry.type(description="The rate that was shown is not in force, or none is.")
class RateNotInForce(Problem):
    """See engage.domains.ledger.errors."""

    current_rate_id: strawberry.ID | None = strawberry.field(
        description="Global id of the rate that is; null where there is none."
    )


@strawberry.type(description="The payment was put in before: a payment reference counts once in a program.")
class PaymentUsed(Problem):
    """See engage.domains.ledger.errors."""


@strawberry.type(description="Whoever asked for a correction cannot approve it.")
class SecondPersonNeeded(Problem):
    """See engage.domains.ledger.errors."""


@strawberry.type(description="The correction does not wait any more.")
class AdjustmentDecided(Problem):
    """See engage.domains.ledger.errors."""

    adjustment_state: AdjustmentState = strawberry.field(description="How it stands.")


PROBLEMS: dict[type[Refusal], type[Problem]] = {
    errors.InsufficientPoints: InsufficientPoints,
    errors.MemberNotActive: MemberNotActive,
    errors.BalanceLimit: BalanceLimit,
    errors.HoldNotOpen: HoldNotOpen,
    errors.ExceedsHold: ExceedsHold,
    errors.NotReversible: NotReversible,
    errors.ExceedsReversible: ExceedsReversible,
    errors.NotPending: NotPending,
    errors.GiftLimit: GiftLimit,
    errors.GiftDecided: GiftDecided,
    errors.RateNotInForce: RateNotInForce,
    errors.PaymentUsed: PaymentUsed,
    errors.SecondPersonNeeded: SecondPersonNeeded,
    errors.AdjustmentDecided: AdjustmentDecided,
}

IN_MONEY: dict[type[Problem], tuple[type[Problem], ProblemCode]] = {
    InsufficientPoints: (InsufficientValue, ProblemCode.INSUFFICIENT_VALUE),
    ExceedsHold: (InsufficientValue, ProblemCode.INSUFFICIENT_VALUE),
    ExceedsReversible: (InsufficientValue, ProblemCode.INSUFFICIENT_VALUE),
    BalanceLimit: (ValueLimit, ProblemCode.VALUE_LIMIT),
}
"""What tells the same of stored value, with its code."""

NAMES: dict[type[Problem], dict[str, str]] = {
    HoldNotOpen: {"state": "hold_state"},
    NotPending: {"state": "lot_state"},
    GiftDecided: {"state": "gift_state"},
    AdjustmentDecided: {"state": "adjustment_state"},
    BalanceLimit: {"balance": "present"},
    RateNotInForce: {"rate_id": "current_rate_id"},
    InsufficientValue: {
        "available": "available_value",
        "remaining": "available_value",
        "required": "required_value",
    },
    ValueLimit: {"balance": "present_value", "limit": "limit_value", "required": "required_value"},
}
"""Figures of refusals that have another name here: a client asks for all members of a union in one selection, where
fields of one name must be of one type."""


def value_money(minor: int, currency: str) -> Money:
    """Stored value, which is kept in minor units, as money."""
    return Money(amount=Amount(rules.money_of(minor, currency)), currency=currency)


def told(kind: type[Problem], extras: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a refusal as its problem has them."""
    figures = {NAMES.get(kind, {}).get(name, name): figure for name, figure in extras.items()}
    currency = figures.pop("money", None)
    if currency is not None:
        return {name: value_money(minor, currency) for name, minor in figures.items()}
    if (rate_id := figures.get("current_rate_id")) is not None:
        figures["current_rate_id"] = global_id("ExchangeRate", rate_id)
    return figures
