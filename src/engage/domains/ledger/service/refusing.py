"""The kernel's refusals, which are values there, as the exceptions that callers know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base.errors import InvalidInput, NotFound, Refusal
from engage.base.idempotency import conflict
from engage.domains.ledger import errors, rules
from engage.domains.ledger.types import GiftLimitKind, GiftState, HoldState, LotState, TransferKind

Value = dict[str, Any]

TOLD_IN_MONEY = frozenset({"INSUFFICIENT_POINTS", "BALANCE_LIMIT", "EXCEEDS_HOLD", "EXCEEDS_REVERSIBLE"})
"""Refusals with figures that are points, or stored value."""

NO_RECIPIENT = "There is no such member to give points to."
NO_GIFT = "There is no such gift."

_WHAT = {
    "memberId": "There is no such member.",
    "recipientId": NO_RECIPIENT,
    "program": "There is no such program.",
    "toProgram": "There is no such program to exchange into.",
    "transferId": "There is no such transfer.",
    "holdId": "There is no such hold.",
    "giftId": NO_GIFT,
}


def refusal_of(value: Value) -> Refusal:
    """The refusal that an answer of the kernel is. A code that is not known here is a fault of ours."""
    make = _REFUSALS.get(value["refusal"])
    if make is None:
        raise RuntimeError(f"The ledger kernel refused with an unknown code: {value['refusal']}")
    return make(value)


def _figure(value: Value, name: str) -> str:
    """A figure as a sentence has it: a number of points, or money with its currency."""
    money = value.get("money")
    return str(value[name]) if money is None else f"{rules.money_of(value[name], money):f} {money}"


def _counted(value: Value, name: str) -> str:
    """The same with the word for what is counted."""
    return _figure(value, name) if value.get("money") else f"{value[name]} points"


def _figures(value: Value, *names: str) -> dict[str, Any]:
    """The figures for a screen: points, or minor units of the currency that is called `money`."""
    return {name: value[name] for name in (*names, "money") if value.get(name) is not None}


def _not_found(value: Value) -> Refusal:
    what = value["what"]
    return NotFound(_WHAT.get(what, "There is no such thing."), path=[what])


def _insufficient(value: Value) -> Refusal:
    return errors.InsufficientPoints(
        f"{_counted(value, 'required')} are needed and {_figure(value, 'available')} are available.",
        path=["amount"],
        **_figures(value, "available", "required"),
    )


def _not_active(value: Value) -> Refusal:
    what, state = value["what"], value["state"]
    who = "recipient" if what == "recipientId" else "member"
    return errors.MemberNotActive(f"The {who} is {state}.", path=[what], state=state)


def _balance_limit(value: Value) -> Refusal:
    return errors.BalanceLimit(
        f"An account holds at most {_figure(value, 'limit')}; this one has {_figure(value, 'balance')} already.",
        path=["amount"],
        **_figures(value, "limit", "balance", "required"),
    )


def _hold_not_open(value: Value) -> Refusal:
    state, deadline = value["state"], datetime.fromisoformat(value["deadline"])
    why = {
        "EXPIRED": f"The hold's deadline was {deadline:%Y-%m-%d %H:%M} UTC; its points were given back.",
        "OPEN": "This hold is a gift's; accept, decline or withdraw the gift.",
    }.get(state, f"The hold is {state} already.")
    return errors.HoldNotOpen(why, path=["holdId"], state=HoldState(state), deadline=deadline)


def _exceeds_hold(value: Value) -> Refusal:
    return errors.ExceedsHold(
        f"{_counted(value, 'required')} are asked for and {_figure(value, 'remaining')} are held.",
        path=["amount"],
        **_figures(value, "remaining", "required"),
    )


def _deadline(value: Value) -> Refusal:
    latest = datetime.fromisoformat(value["latest"])
    return InvalidInput(
        f"A deadline lies in the future and not after {latest:%Y-%m-%d %H:%M} UTC, the program's longest.",
        path=["deadline"],
    )


def _not_reversible(value: Value) -> Refusal:
    kind, kinds = value["kind"], ", ".join(value["kinds"])
    return errors.NotReversible(
        f"A transfer {kind} cannot be taken back here, nor can a reversal; what can: {kinds}.",
        path=["transferId"],
        kind=TransferKind(kind),
    )


def _exceeds_reversible(value: Value) -> Refusal:
    return errors.ExceedsReversible(
        f"{_counted(value, 'required')} are to be taken back and {_figure(value, 'remaining')} of this transfer are"
        " left.",
        path=["amount"],
        **_figures(value, "remaining", "required"),
    )


def _not_pending(value: Value) -> Refusal:
    return errors.NotPending(
        "These points are not pending any more, or not so many of them; reverseTransfer takes back what is usable.",
        path=["transferId"],
        state=LotState(value["state"] or "CLOSED"),
    )


def _gift_limit(value: Value) -> Refusal:
    kind, limit, remaining = value["limit_kind"], value["limit"], value["remaining"]
    why = {
        "DAILY_POINTS": f"A member gives at most {limit} points a day; {remaining} are left today.",
        "DAILY_COUNT": f"A member gives at most {limit} times a day.",
        "HOPS": f"Points are given on at most {limit} times; {remaining} of these can still be given.",
    }[kind]
    return errors.GiftLimit(why, path=["amount"], limit_kind=GiftLimitKind(kind), limit=limit, remaining=remaining)


def _rate(value: Value) -> Refusal:
    rate = value["rate_id"]
    why = "No rate is in force between these programs." if rate is None else "Another rate is in force by now."
    return errors.RateNotInForce(why, path=["rateId"], rate_id=None if rate is None else UUID(rate))


_REFUSALS: dict[str, Callable[[Value], Refusal]] = {
    "NOT_FOUND": _not_found,
    "IDEMPOTENCY_CONFLICT": lambda _: conflict(),
    "INSUFFICIENT_POINTS": _insufficient,
    "MEMBER_NOT_ACTIVE": _not_active,
    "NEVER_USABLE": lambda _: rules.never_usable(),
    "BALANCE_LIMIT": _balance_limit,
    "HOLD_NOT_OPEN": _hold_not_open,
    "EXCEEDS_HOLD": _exceeds_hold,
    "DEADLINE": _deadline,
    "NOT_REVERSIBLE": _not_reversible,
    "EXCEEDS_REVERSIBLE": _exceeds_reversible,
    "NOT_PENDING": _not_pending,
    "GIFT_LIMIT": _gift_limit,
    "GIFT_DECIDED": lambda value: errors.GiftDecided(
        f"The gift is {value['state']} already.", path=["giftId"], state=GiftState(value["state"])
    ),
    "SAME_MEMBER": lambda _: InvalidInput("Nobody gives points to themselves.", path=["recipientId"]),
    "RATE_NOT_IN_FORCE": _rate,
    "TOO_LITTLE": lambda value: InvalidInput(
        f"This buys nothing at the rate in force; exchange {value['minimum']} or more.", path=["amount"]
    ),
    "PAYMENT_USED": lambda _: errors.PaymentUsed(
        "This payment was put in already; a payment reference counts once.", path=["paymentReference"]
    ),
}
