"""All reads of purchases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from engage.base import db
from engage.base.actor import ADMIN_ROLES, READING_ROLES, Actor, require
from engage.base.paging import Page, decode_cursor, encode_cursor
from engage.base.readings import Read, Reading, read_alone, there
from engage.domains.purchases.types import OrderLine, PurchaseRecord, PurchaseTotals, StoredOrder

AFTER_ALL = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
"""Later than any purchase: a list begins below it."""


def _purchase(value: dict[str, Any]) -> PurchaseRecord:
    return PurchaseRecord(
        id=UUID(value["id"]),
        member_id=UUID(value["member_id"]),
        order_no=value["order_no"],
        channel=value["channel"],
        store=value["store"],
        amount=Decimal(value["amount"]),
        currency=value["currency"],
        quantity=value["quantity"],
        points=value["points"],
        purchased_at=datetime.fromisoformat(value["purchased_at"]),
        lines=tuple(
            OrderLine(
                item=line["item"],
                quantity=line["quantity"],
                amount=Decimal(line["amount"]),
                category=line["category"],
                brand=line["brand"],
            )
            for line in value["lines"]
        ),
    )


def _purchases(value: list[dict[str, Any]]) -> list[PurchaseRecord]:
    return [_purchase(row) for row in value]


BY_ID: Reading[PurchaseRecord | None] = Reading(
    "SELECT p.id::text, engage.purchase_row(p) FROM purchases p WHERE p.id = ANY ($1)", _purchase, None
)
"""Purchases by their ids."""

PURCHASES: Reading[list[PurchaseRecord]] = Reading(
    "SELECT key, value FROM engage.purchases_pages($1, $2, $3, $4)", _purchases, []
)
"""Purchases of members, newest first; arguments: page size, then the moment and id below which the page begins."""


def purchases_page(rows: list[PurchaseRecord], first: int) -> Page[PurchaseRecord]:
    """The page in what PURCHASES answered, which is one row more when there are more."""
    return Page(rows[:first], len(rows) > first)


def purchase_cursor(row: PurchaseRecord) -> str:
    """Where this purchase stands in the list."""
    return encode_cursor(row.purchased_at.isoformat(), str(row.id))


def purchases_below(after: str | None) -> tuple[datetime, UUID]:
    """The moment and id below which a page after this cursor begins. Raises InvalidInput."""
    if after is None:
        return AFTER_ALL
    at, purchase_id = decode_cursor(after, [str, str])
    return datetime.fromisoformat(str(at)), UUID(str(purchase_id))


async def get_purchase(actor: Actor, purchase_id: UUID, *, read: Read = read_alone) -> PurchaseRecord:
    """One purchase, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(BY_ID, purchase_id)
    require(actor, READING_ROLES, own=None if record is None else record.member_id)
    return there(record, "purchase")


async def load_stored(program_id: UUID, orders: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredOrder]:
    """What is on file under these (channel, order number) pairs, for commands of domains above."""
    rows = await db.fetch(
        # LATERAL with LIMIT keeps each look-up on its index, also under a plan made when the table was small.
        "SELECT q.channel, q.order_no, p.id, p.member_id, p.points, p.content_hash"
        " FROM unnest($2::text[], $3::text[]) AS q (channel, order_no)"
        " CROSS JOIN LATERAL (SELECT x.id, x.member_id, x.points, x.content_hash FROM purchases x"
        " WHERE x.program_id = $1 AND x.channel = q.channel AND x.order_no = q.order_no LIMIT 1) p",
        program_id,
        [channel for channel, _ in orders],
        [order_no for _, order_no in orders],
    )
    return {
        (row["channel"], row["order_no"]): StoredOrder(
            row["id"], row["member_id"], row["points"], row["content_hash"]
        )
        for row in rows
    }


async def get_totals(actor: Actor, program_id: UUID) -> PurchaseTotals:
    """How much was bought in a program. Raises Forbidden."""
    require(actor, ADMIN_ROLES)
    row = await db.fetch_row(
        "SELECT count(*) AS n, coalesce(sum(amount), 0) AS spend FROM purchases WHERE program_id = $1", program_id
    )
    if row is None:
        return PurchaseTotals(0, Decimal(0))
    return PurchaseTotals(row["n"], row["spend"])
