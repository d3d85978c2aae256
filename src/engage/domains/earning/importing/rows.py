"""From the texts of a row to an order."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from engage.base.errors import InvalidInput
from engage.domains.earning.importing.columns import Columns
from engage.domains.earning.importing.types import FIELDS, Instructions
from engage.domains.earning.types import PurchaseInput
from engage.domains.members.types import IdentityRef
from engage.domains.purchases.types import Order

_AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_QUANTITY = re.compile(r"-?[0-9]{1,10}")
_DATE = re.compile(
    r"[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_DATES_KEPT = 4096  # a file names the same days over and over


def order_reader(columns: Columns, wanted: Instructions, zone: ZoneInfo) -> Callable[[list[str]], PurchaseInput]:
    """A function that makes an order of a row's values; days and times without an offset are those of `zone`.

    It raises InvalidInput, with the field, for a text that is none of its kind. Whether the order can be one is
    checked afterwards, as for orders from anywhere.
    """
    at = [columns.places.get(field) for field in FIELDS]

    @lru_cache(maxsize=_DATES_KEPT)
    def date(text: str) -> datetime:
        return read_date(text, zone)

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
            f"{_shown(text)} is no amount; right would be 1234.50: "
            "digits and a dot before the decimals, no separators of thousands, no currency.",
            path=["amount"],
        )
    return Decimal(text)


def read_quantity(text: str) -> int:
    """A whole number. Raises InvalidInput."""
    if not _QUANTITY.fullmatch(text):
        raise InvalidInput(f"{_shown(text)} is no quantity; right would be 3.", path=["quantity"])
    return int(text)


def read_date(text: str, zone: ZoneInfo) -> datetime:
    """A day (its midnight in `zone`) or a moment (in `zone` where it has no offset), in UTC. Raises InvalidInput."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError("another format")
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{_shown(text)} is no date; right would be 2024-12-31, 20241231, 2024-12-31T18:30 or "
            "2024-12-31T18:30:00+08:00.",
            path=["purchasedAt"],
        ) from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…") if text else "Nothing"  # noqa: PLR2004 -- a glance
