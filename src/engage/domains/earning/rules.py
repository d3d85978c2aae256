"""Decisions of earning on plain values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engage.base.errors import Refusal
from engage.domains.earning.types import CheckedOrder, Desk, PurchaseInput
from engage.domains.members.errors import UnknownChannel
from engage.domains.members.rules import normalise_identifier
from engage.domains.members.types import IdentityRef
from engage.domains.purchases.rules import check_order, content_hash


def check_row(row: PurchaseInput, desk: Desk, now: datetime) -> CheckedOrder:
    """Normalise and check one order by itself.

    Raises InvalidInput, UnknownChannel, UnknownCurrency, UnknownStore, each naming the field.
    """
    check_channel(row.member.channel, desk.channels, path=["member", "channel"])
    check_channel(row.order.channel, desk.channels, path=["channel"])
    identifier = normalise_identifier(row.member.channel, row.member.identifier, path="member")
    member = IdentityRef(row.member.channel, identifier)
    order = check_order(row.order, desk.program, desk.stores, now)
    return CheckedOrder(member, order, content_hash(order, member, desk.program.money_currency))


def check_rows(rows: Sequence[PurchaseInput], desk: Desk, now: datetime) -> list[CheckedOrder | Refusal]:
    """The same for many: each row's refusal is a value, so that it does not touch the others."""
    checked: list[CheckedOrder | Refusal] = []
    for row in rows:
        try:
            checked.append(check_row(row, desk, now))
        except Refusal as refusal:
            checked.append(refusal)
    return checked


def check_channel(code: str, known: frozenset[str], *, path: list[str]) -> None:
    """Raise UnknownChannel, which lists the known ones, when there is no channel of this code."""
    if code not in known:
        raise UnknownChannel(
            f"There is no channel {code!r}; known are {', '.join(sorted(known))}.", path=path, known=sorted(known)
        )
