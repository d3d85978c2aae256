"""From the texts of a row to an order."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from engage.base.errors import InvalidInput
from engage.domains.earning.csvfiles.columns import Columns
from engage.domains.earning.csvfiles.texts import DATES_KEPT, read_date, shown
from engage.domains.earning.importing.types import FIELDS, Instructions
from engage.domains.earning.types import PurchaseInput
from engage.domains.members.types import IdentityRef
from engage.domains.purchases.types import Order

_AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_QUANTITY = re.compile(r"-?[0-9]{1,10}")


def order_reader(columns: Columns, wanted: Instructions, zone: ZoneInfo) -> Callable[[list[str]], PurchaseInput]:
    """A function that makes an order of a row's values; days and times without an offset are those of `zone`.

    It raises InvalidInput, with the field, for a text that is none of its kind. Whether the order can be one is
    checked afterwards, as for orders from anywhere.
    """
    at = [columns.places.get(field) for field in FIELDS]

    @lru_cache(maxsize=DATES_KEPT)
    def date(text: str) -> datetime:
        return read_date(text, zone, path="purchasedAt")

    def read(values: list[str]) -> PurchaseInput:
        order_no, customer, day, quantity, amount, channel, currency, store = (
            "" if place is None else values[place].strip() for place in at
        )
        return PurchaseInput(
            IdentityRef(wanted.identity_channel, customer),
            Order(
                order_no=order_no,
                amount=read_amount(amount),
                purchased_at=date(day),
                channel=channel or wanted.channel,
                currency=currency or wanted.currency,
                store=store or wanted.store,
                quantity=read_quantity(quantity) if quantity else None,
            ),
        )

    return read


def read_amount(text: str) -> Decimal:
    """An amount in whole units. Raises InvalidInput."""
    if not _AMOUNT.fullmatch(text):
        raise InvalidInput(
            f"{shown(text)} is no amount; right would be 1234.50: "
            "digits and a dot before the decimals, no separators of thousands, no currency.",
            path=["amount"],
        )
    return Decimal(text)


def read_quantity(text: str) -> int:
    """A whole number. Raises InvalidInput."""
    if not _QUANTITY.fullmatch(text):
        raise InvalidInput(f"{shown(text)} is no quantity; right would be 3.", path=["quantity"])
    return int(text)
