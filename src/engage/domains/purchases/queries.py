"""All reads of purchases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from engage.base import db
from engage.base.actor import ADMIN_ROLES, READING_ROLES, Actor, Scope, require
from engage.base.listings import OwnedListing
from engage.base.paging import LATEST_FIRST
from engage.base.readings import Read, Reading, read_alone, there
from engage.domains.purchases.types import OrderLine, PurchaseRecord, PurchaseTotals, StoredOrder


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


BY_ID: Reading[PurchaseRecord | None] = Reading(
    "SELECT p.id::text, engage.purchase_row(p) FROM purchases p WHERE p.id = ANY ($1)", _purchase, None
)
"""Purchases by their ids."""

PURCHASES = OwnedListing(
    LATEST_FIRST,
    """
    SELECT engage.purchase_row(p) AS value
      FROM purchases p WHERE p.member_id = o.id AND (p.purchased_at, p.id) {past} ($3, $4)
     ORDER BY p.purchased_at {sort}, p.id {sort} LIMIT $2
    """,
    row=_purchase,
    key=lambda purchase: (purchase.purchased_at, purchase.id),
)
"""Purchases of members, latest first."""


async def get_purchase(actor: Actor, purchase_id: UUID, *, read: Read = read_alone) -> PurchaseRecord:
    """One purchase, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(BY_ID, purchase_id)
    require(actor, READING_ROLES, Scope.PURCHASES_READ, own=None if record is None else record.member_id)
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
    require(actor, ADMIN_ROLES, Scope.REPORTS_READ)
    row = await db.fetch_row(
        "SELECT count(*) AS n, coalesce(sum(amount), 0) AS spend FROM purchases WHERE program_id = $1", program_id
    )
    if row is None:
        return PurchaseTotals(0, Decimal(0))
    return PurchaseTotals(row["n"], row["spend"])
