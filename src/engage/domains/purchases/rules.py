"""Decisions about orders on plain values."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

import orjson

from engage.base.errors import InvalidInput
from engage.domains.ledger.types import POINTS_MAX
from engage.domains.members.types import IdentityRef, ProgramRecord
from engage.domains.purchases.errors import UnknownCurrency, UnknownStore
from engage.domains.purchases.types import Order

ORDER_NO_MAX = 64
TEXT_MAX = 64
LINES_MAX = 200
QUANTITY_MAX = 1_000_000
AMOUNT_MAX = Decimal(10) ** 11
"""The largest order; with it a balance of 2^53 points takes tens of thousands of orders."""
_STEP = Decimal("0.0001")
CLOCKS_APART = timedelta(minutes=5)
"""A till's clock may be ahead of ours by this much."""
EARLIEST_YEAR = 1970


def _text(value: str, path: list[str], *, length_max: int = TEXT_MAX) -> None:
    if not 1 <= len(value) <= length_max or not value.isprintable() or value != value.strip():
        raise InvalidInput(f"This has 1 to {length_max} printable characters and no spaces at its ends.", path=path)


def _amount(value: Decimal, path: list[str]) -> None:
    if not value.is_finite() or not 0 <= value <= AMOUNT_MAX or value != value.quantize(_STEP):
        raise InvalidInput(f"An amount lies from 0 to {AMOUNT_MAX:,f} with at most four decimals.", path=path)


def _quantity(value: int | None, path: list[str]) -> None:
    if value is not None and not 0 <= value <= QUANTITY_MAX:
        raise InvalidInput(f"A quantity lies from 0 to {QUANTITY_MAX:,}.", path=path)


def check_order(order: Order, program: ProgramRecord, stores: frozenset[str], now: datetime) -> Order:
    """The order, if it can be one of this program's.

    Raises InvalidInput, UnknownCurrency or UnknownStore, each naming the field.
    """
    _text(order.order_no, ["orderNo"], length_max=ORDER_NO_MAX)
    _amount(order.amount, ["amount"])
    _check_points(order, program)
    _quantity(order.quantity, ["quantity"])
    if order.purchased_at.tzinfo is None:
        raise InvalidInput("A time of purchase needs its offset from UTC.", path=["purchasedAt"])
    if order.purchased_at > now + CLOCKS_APART:
        raise InvalidInput("A purchase cannot lie in the future.", path=["purchasedAt"])
    if order.purchased_at.year < EARLIEST_YEAR:
        raise InvalidInput(f"A purchase lies in {EARLIEST_YEAR} or later.", path=["purchasedAt"])
    if order.currency not in (None, program.money_currency):
        raise UnknownCurrency(
            f"Program {program.code!r} takes {program.money_currency}, not {order.currency!r}.",
            path=["currency"],
            known=[program.money_currency],
        )
    if order.store is not None and order.store not in stores:
        raise UnknownStore(f"Program {program.code!r} has no store {order.store!r}.", path=["store"])
    if len(order.lines) > LINES_MAX:
        raise InvalidInput(f"An order has at most {LINES_MAX} lines.", path=["lines"])
    for number, line in enumerate(order.lines):
        at = ["lines", str(number)]
        _text(line.item, [*at, "item"])
        _amount(line.amount, [*at, "amount"])
        _quantity(line.quantity, [*at, "quantity"])
        for name, value in (("category", line.category), ("brand", line.brand)):
            if value is not None:
                _text(value, [*at, name])
    return order


def points_for(amount: Decimal, program: ProgramRecord) -> int:
    """Points for an order: its amount times the program's rate, floored once per order."""
    return int((amount * program.points_per_unit).to_integral_value(ROUND_FLOOR))


def _check_points(order: Order, program: ProgramRecord) -> None:
    if points_for(order.amount, program) > POINTS_MAX:
        raise InvalidInput(f"This would earn more than {POINTS_MAX:,} points.", path=["amount"])


def content_hash(order: Order, member: IdentityRef, currency: str) -> bytes:
    """Tells a repetition of an order from another order of the same number."""
    content = (
        member.channel, member.identifier, str(order.amount.normalize()), currency, order.purchased_at.timestamp(),
        order.store, order.quantity,
        [(line.item, line.category, line.brand, line.quantity, str(line.amount.normalize())) for line in order.lines],
    )  # fmt: skip
    return hashlib.sha256(orjson.dumps(content)).digest()
