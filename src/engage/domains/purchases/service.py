"""All writes of purchases. The public command is in earning, since an order is stored together with its points."""

from __future__ import annotations

from collections.abc import Sequence

from engage.base import clock, db
from engage.domains.members.types import ProgramRecord
from engage.domains.purchases.types import OwnedOrder

_INSERT = """
INSERT INTO purchases (id, member_id, program_id, channel, store, order_no, amount, currency, quantity, points,
                       content_hash, purchased_at, recorded_at)
SELECT i, m, $2, ch, st, no, a, cu, q, p, h, at, $3
  FROM unnest($1::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::numeric[], $9::text[], $10::int[],
              $11::bigint[], $12::bytea[], $13::timestamptz[]) AS u (i, m, ch, st, no, a, cu, q, p, h, at)
ON CONFLICT (program_id, channel, order_no) DO NOTHING
"""

_INSERT_LINES = """
INSERT INTO purchase_lines (purchase_id, line_no, item, category, brand, quantity, amount)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::int[], $7::numeric[])
"""


async def store_orders(program: ProgramRecord, owned: Sequence[OwnedOrder]) -> None:
    """Put orders on file, inside the caller's transaction.

    Raises db.Retry when one of the order numbers was taken by another till meanwhile.
    """
    tag = await db.execute(
        _INSERT,
        [one.id for one in owned],
        program.id,
        clock.now(),
        [one.member_id for one in owned],
        [one.order.channel for one in owned],
        [one.order.store for one in owned],
        [one.order.order_no for one in owned],
        [one.order.amount for one in owned],
        [one.currency for one in owned],
        [one.order.quantity for one in owned],
        [one.points for one in owned],
        [one.content_hash for one in owned],
        [one.order.purchased_at for one in owned],
    )
    if db.rows_affected(tag) < len(owned):
        raise db.Retry("Another till recorded one of these orders just now.")
    lines = [(one.id, number, line) for one in owned for number, line in enumerate(one.order.lines, 1)]
    if lines:
        await db.execute(
            _INSERT_LINES,
            [purchase_id for purchase_id, _, _ in lines],
            [number for _, number, _ in lines],
            [line.item for _, _, line in lines],
            [line.category for _, _, line in lines],
            [line.brand for _, _, line in lines],
            [line.quantity for _, _, line in lines],
            [line.amount for _, _, line in lines],
        )
