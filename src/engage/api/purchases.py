"""Purchases as the API shows them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import strawberry
from babel.numbers import get_currency_precision

from engage.api.context import Context
from engage.api.node_kinds import Node, by_id
from engage.api.relay import global_id
from engage.api.scalars import Amount, Points
from engage.domains.purchases import queries
from engage.domains.purchases import types as plain


@strawberry.type(description="An amount of money.")
class Money:
    """Decimal, never floating point."""

    amount: Amount = strawberry.field(description="In whole units of the currency.")
    currency: str = strawberry.field(description="ISO 4217.")


def money(amount: Decimal, currency: str) -> Money:
    """An amount with as many decimals as its currency has, or as it needs."""
    step = Decimal(1).scaleb(-get_currency_precision(currency))
    shown = amount.quantize(step)
    return Money(amount=Amount(shown if shown == amount else amount.normalize()), currency=currency)


@strawberry.type(description="One item of an order.")
class PurchaseLine:
    """As the till sent it."""

    item: str = strawberry.field(description="Article number.")
    category: str | None = strawberry.field(description="Category of goods.")
    brand: str | None = strawberry.field(description="Brand.")
    quantity: int = strawberry.field(description="How many.")
    cost: Money = strawberry.field(description="What the line cost.")


@strawberry.type(description="One order of a member.")
class Purchase(Node):
    """With what it has earned."""

    order_no: str = strawberry.field(description="Unique in its program and channel.")
    channel: str = strawberry.field(description="Code of the channel that it came through.")
    store: str | None = strawberry.field(description="Code of the store.")
    total: Money = strawberry.field(description="What was paid.")
    quantity: int | None = strawberry.field(description="How many items, where it is known.")
    points: Points = strawberry.field(description="What it earned.")
    purchased_at: datetime = strawberry.field(description="When it was bought.")
    lines: list[PurchaseLine] = strawberry.field(description="Its items, where they are known.")


def purchase(row: plain.PurchaseRecord) -> Purchase:
    """A purchase for the API."""
    return Purchase(
        id=global_id("Purchase", row.id),
        order_no=row.order_no,
        channel=row.channel,
        store=row.store,
        total=money(row.amount, row.currency),
        quantity=row.quantity,
        points=Points(row.points),
        purchased_at=row.purchased_at,
        lines=[
            PurchaseLine(
                item=line.item,
                category=line.category,
                brand=line.brand,
                quantity=line.quantity,
                cost=money(line.amount, row.currency),
            )
            for line in row.lines
        ],
    )


@by_id("Purchase")
async def _purchase_by_id(context: Context, purchase_id: UUID) -> Purchase:
    return purchase(await queries.get_purchase(context.actor, purchase_id, read=context.together.load))
