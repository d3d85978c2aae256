"""Balances and schedules as the API shows them."""

from __future__ import annotations

from datetime import date

import strawberry

from engage.api.ledger_problems import value_money
from engage.api.purchases import Money
from engage.api.scalars import Points
from engage.domains.ledger import types as plain


@strawberry.type(description="A member's points in one program.")
class Balance:
    """Figures that hold at the moment they are read, however late any job is."""

    available: Points = strawberry.field(description="What can be spent now.")
    pending: Points = strawberry.field(description="What has been earned and is not usable yet.")
    held: Points = strawberry.field(description="What is set aside for orders in progress.")
    debt: Points = strawberry.field(description="What later earnings pay off first.")


def balance(value: plain.Balance) -> Balance:
    """A balance for the API."""
    return Balance(
        available=Points(value.available),
        pending=Points(value.pending),
        held=Points(value.held),
        debt=Points(value.debt),
    )


@strawberry.type(description="A member's stored value in one program.")
class StoredValueBalance:
    """Money that was paid in, with what came on top."""

    available: Money = strawberry.field(description="What can be paid with now.")
    held: Money = strawberry.field(description="What is set aside for orders in progress.")
    debt: Money = strawberry.field(description="What later top-ups pay off first.")


def stored_value_balance(value: plain.Balance, currency: str) -> StoredValueBalance:
    """A balance of stored value for the API, out of minor units."""
    return StoredValueBalance(
        available=value_money(value.available, currency),
        held=value_money(value.held, currency),
        debt=value_money(value.debt, currency),
    )


@strawberry.type(description="Points that expire on one day.")
class ExpiryLine:
    """One line of a schedule."""

    expires_on: date = strawberry.field(description="The day in the program's time zone.")
    amount: Points = strawberry.field(description="What expires then.")


@strawberry.type(description="What expires when. Adds up to the available points.")
class ExpirySchedule:
    """The next days one by one, and the rest in two figures."""

    lines: list[ExpiryLine] = strawberry.field(description="The next days on which points expire.")
    later: Points = strawberry.field(description="What expires after those days.")
    never: Points = strawberry.field(description="What does not expire.")
    total: Points = strawberry.field(description="All of it: the available points.")


def expiry_schedule(value: plain.ExpirySchedule) -> ExpirySchedule:
    """A schedule for the API."""
    return ExpirySchedule(
        lines=[ExpiryLine(expires_on=line.expires_on, amount=Points(line.amount)) for line in value.lines],
        later=Points(value.later),
        never=Points(value.never),
        total=Points(value.total),
    )


@strawberry.type(description="What a transfer goes back to.")
class Cause:
    """Codes and ids only."""

    type: str = strawberry.field(description="Such as purchase.")
    id: str = strawberry.field(description="The id there.")


def cause(value: plain.Cause | None) -> Cause | None:
    """A reference for the API."""
    return None if value is None else Cause(type=value.type, id=value.id)
