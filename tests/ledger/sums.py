"""Whether the figures of accounts are those of their entries, lots, holds and debts; shares no code with verify."""

from __future__ import annotations

from engage.base import db

_UNEQUAL = """
SELECT a.id, a.available, a.pending, a.held, a.debt, x.* FROM accounts a CROSS JOIN LATERAL (
  SELECT (SELECT coalesce(sum(remaining), 0) FROM lots WHERE account_id = a.id AND state = 'OPEN') AS open,
         (SELECT coalesce(sum(remaining), 0) FROM lots WHERE account_id = a.id AND state = 'PENDING') AS waiting,
         (SELECT coalesce(sum(held), 0) FROM lots WHERE account_id = a.id) AS held_of_lots,
         (SELECT coalesce(sum(remaining), 0) FROM holds WHERE account_id = a.id AND state = 'OPEN') AS held_by_holds,
         (SELECT coalesce(sum(remaining), 0) FROM debts WHERE account_id = a.id) AS owed) x
 WHERE a.member_id IS NOT NULL
   AND (a.available, a.pending, a.held, a.held, a.debt)
       IS DISTINCT FROM (x.open, x.waiting, x.held_of_lots, x.held_by_holds, x.owed)
"""


async def assert_sums() -> None:
    """Entries of each transfer sum to zero, and figures of each account to what they stand for."""
    unbalanced = "SELECT transfer_id FROM entries GROUP BY 1 HAVING sum(amount) <> 0"
    assert await db.fetch(unbalanced) == []
    assert [dict(row) for row in await db.fetch(_UNEQUAL)] == []
