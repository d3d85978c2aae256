"""What commands answer: the transfer, and the balance right after it, of points or of stored value."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import strawberry

from engage.api.ledger.types import Balance, StoredValueBalance, balance, stored_value_balance
from engage.api.ledger_problems import value_money
from engage.api.purchases import Money
from engage.api.relay import global_id
from engage.api.scalars import Points
from engage.domains.ledger import types as plain

P = TypeVar("P", bound="Moved")


@strawberry.type
class Moved:
    """What all of them tell."""

    transfer_id: strawberry.ID = strawberry.field(description="Global id of the transfer.")
    member_id: strawberry.ID = strawberry.field(description="Whose it is.")
    position: int = strawberry.field(description="Position in the member's stream, to know one's own echo there.")
    posted_at: datetime = strawberry.field(description="When it was posted.")
    replayed: bool = strawberry.field(description="Whether the key was used before and this is its first answer.")


@strawberry.type(description="The points have moved.")
class PointsMoved(Moved):
    """Of commands that move points."""

    amount: Points = strawberry.field(description="Signed: negative took points from the member.")
    balance: Balance = strawberry.field(description="The balance right after.")


@strawberry.type
class PointsTaken(PointsMoved):
    """Of commands that take points which may not be there."""

    taken: Points = strawberry.field(description="What was there and was taken.")
    shortfall: Points = strawberry.field(description="What was not there.")
    debt: Points = strawberry.field(description="How much of that is debt now.")


@strawberry.type
class ValueMoved(Moved):
    """Of commands that move stored value."""

    amount: Money = strawberry.field(description="Signed: negative took stored value from the member.")
    balance: StoredValueBalance = strawberry.field(description="The balance right after.")


def moved(kind: type[P], posted: plain.Posted, **more: Any) -> P:  # noqa: ANN401 -- fields of the kind
    """A payload of what was posted."""
    return kind(
        transfer_id=global_id("Transfer", posted.transfer_id),
        member_id=global_id("Member", posted.member_id),
        position=posted.position,
        posted_at=posted.posted_at,
        replayed=posted.replayed,
        **more,
    )


def points_moved(kind: type[P], posted: plain.Posted, **more: Any) -> P:  # noqa: ANN401
    """The same of points."""
    return moved(kind, posted, amount=Points(posted.amount), balance=balance(posted.balance), **more)


def points_taken(kind: type[P], posted: plain.TakenPosted) -> P:
    """The same of points that may not have been there."""
    return points_moved(
        kind,
        posted,
        taken=Points(posted.taken),
        shortfall=Points(posted.shortfall),
        debt=Points(posted.debt),
    )


def value_moved(kind: type[P], posted: plain.Posted, currency: str, **more: Any) -> P:  # noqa: ANN401
    """The same of stored value, in its currency."""
    return moved(
        kind,
        posted,
        amount=value_money(posted.amount, currency),
        balance=stored_value_balance(posted.balance, currency),
        **more,
    )
