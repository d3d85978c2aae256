"""Stored value is decimal money outside, and minor units of the program's currency inside (ISO 4217)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID

from engage.base.actor import Actor
from engage.base.errors import InvalidInput, Refusal
from engage.domains.ledger import queries, rules
from engage.domains.members.queries import get_program


async def currency_of(program: str) -> str:
    """The currency of a program's stored value. Raises NotFound."""
    return (await get_program(program)).money_currency


def minor_units(amount: Decimal, currency: str, *, path: str = "amount") -> int:
    """An amount in minor units. Raises InvalidInput, which names the field, for one that cannot be."""
    return rules.minor_units(amount, currency, path=[path])


async def part(actor: Actor, transfer_id: UUID, amount: int | None, value: Decimal | None, path: str) -> int | None:
    """The part of a transfer that is meant: points, or stored value in minor units; None for all of it.

    Raises Forbidden, NotFound, and InvalidInput for points of stored value, value of points, and both.
    """
    if amount is None and value is None:
        return None
    currency = await queries.get_money(actor, transfer_id, path=path)
    if value is not None and (amount is not None or currency is None):
        raise InvalidInput("This is for stored value alone; points are in amount.", path=["value"])
    if value is None and currency is not None:
        raise InvalidInput(f"This moved stored value: say in value how much of the {currency}.", path=["amount"])
    if value is not None and currency is not None:
        return minor_units(value, currency, path="value")
    return amount


@contextmanager
def naming_value(value: Decimal | None) -> Iterator[None]:
    """Where stored value was asked for, that is the field which a refusal of its amount names."""
    try:
        yield
    except Refusal as refusal:
        if value is not None and refusal.path == ["amount"]:
            refusal.path = ["value"]
        raise
