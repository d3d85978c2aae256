"""What holds in every ledger at rest, in plain sums over all rows; `engage ledger verify` asks in its own way."""

from __future__ import annotations

from engage.base import db

_LAWS = {
    "entries sum to zero, and to the amount": """
        SELECT t.id FROM transfers t LEFT JOIN entries e ON e.transfer_id = t.id GROUP BY t.id
        HAVING coalesce(sum(e.amount), 1) <> 0 OR t.amount <> sum(greatest(e.amount, 0)) OR t.amount < 1""",
    "entries are of the transfer's account and currency": """
        SELECT t.id FROM transfers t JOIN entries e ON e.transfer_id = t.id JOIN accounts a ON a.id = e.account_id
        WHERE a.currency_id <> t.currency_id OR (a.id = t.account_id) <> (e.bucket <> 'HOUSE')""",
    "an account is the sum of its entries": """
        SELECT a.id FROM accounts a LEFT JOIN entries e ON e.account_id = a.id
         WHERE a.member_id IS NOT NULL GROUP BY a.id
        HAVING a.version <> count(e.id) OR a.version <> coalesce(max(e.version), 0)
            OR a.available <> coalesce(sum(e.amount) FILTER (WHERE e.bucket = 'AVAILABLE'), 0)
            OR a.pending <> coalesce(sum(e.amount) FILTER (WHERE e.bucket = 'PENDING'), 0)
            OR a.held <> coalesce(sum(e.amount) FILTER (WHERE e.bucket = 'HELD'), 0)
            OR a.debt <> -coalesce(sum(e.amount) FILTER (WHERE e.bucket = 'DEBT'), 0)""",
    "balances after run with the entries": """
        SELECT id FROM (
          SELECT id, balance_after, sum(amount) OVER (PARTITION BY account_id, bucket ORDER BY version) AS due
            FROM entries WHERE version IS NOT NULL) e WHERE balance_after <> due""",
    "a lot is its amount and its allocations": """
        SELECT l.id FROM lots l LEFT JOIN allocations a ON a.lot_id = l.id GROUP BY l.id
        HAVING l.remaining <> l.amount + coalesce(sum(a.amount), 0) OR l.held <> coalesce(sum(a.held), 0)
            OR (l.state = 'CLOSED') <> (l.remaining = 0)""",
    "an account is the sum of its lots, holds and debts": """
        SELECT a.id FROM accounts a
          LEFT JOIN (SELECT account_id, sum(remaining) FILTER (WHERE state = 'OPEN') AS open,
                            sum(remaining) FILTER (WHERE state = 'PENDING') AS pending, sum(held) AS held
                       FROM lots GROUP BY 1) l ON l.account_id = a.id
         WHERE a.member_id IS NOT NULL AND (a.available, a.pending, a.held, a.held, a.debt)
          IS DISTINCT FROM (
            coalesce(l.open, 0), coalesce(l.pending, 0), coalesce(l.held, 0),
            (SELECT coalesce(sum(remaining), 0) FROM holds WHERE account_id = a.id AND state = 'OPEN'),
            (SELECT coalesce(sum(remaining), 0) FROM debts WHERE account_id = a.id))""",
    "allocations and new lots are what the buckets moved": """
        SELECT t.id FROM transfers t
         WHERE (SELECT coalesce(sum(amount), 0) FROM entries
                 WHERE transfer_id = t.id AND bucket IN ('AVAILABLE', 'PENDING'))
            <> (SELECT coalesce(sum(amount), 0) FROM allocations WHERE transfer_id = t.id)
             + (SELECT coalesce(sum(amount), 0) FROM lots WHERE source_id = t.id)
            OR (SELECT coalesce(sum(amount), 0) FROM entries WHERE transfer_id = t.id AND bucket = 'HELD')
            <> (SELECT coalesce(sum(held), 0) FROM allocations WHERE transfer_id = t.id)""",
    "allocations name lots of their own account": """
        SELECT x.id FROM allocations x JOIN transfers t ON t.id = x.transfer_id JOIN lots l ON l.id = x.lot_id
        WHERE l.account_id <> t.account_id""",
    "a hold holds what its lots say": """
        SELECT h.id FROM holds h
         WHERE h.remaining <> coalesce((SELECT sum(t) FROM unnest(h.takes) AS t), 0)
            OR EXISTS (SELECT FROM unnest(h.lots) AS u (lot) JOIN lots l ON l.id = u.lot
                        WHERE l.account_id <> h.account_id)
            OR h.remaining > h.amount - (SELECT coalesce(sum(amount), 0) FROM transfers
                                          WHERE refers_id = h.id AND kind IN ('CAPTURE', 'RELEASE', 'GIFT'))""",
    "an offered gift is held whole": """
        SELECT g.id FROM gifts g JOIN holds h ON h.id = g.id
         WHERE (g.state = 'OFFERED') <> (h.state = 'OPEN')
            OR g.state = 'OFFERED' AND h.remaining <> g.amount + g.fee""",
    "a debt is what was neither paid nor forgiven": """
        SELECT d.id FROM debts d LEFT JOIN transfers t ON t.refers_id = d.id AND t.kind = 'DEBT_PAID' GROUP BY d.id
        HAVING d.remaining <> d.amount - d.forgiven - coalesce(sum(t.amount), 0)
            OR d.returned > coalesce(sum(t.amount), 0)""",
    "no more is taken back than was moved": """
        SELECT t.id FROM transfers t JOIN transfers r ON r.reverses_id = t.id GROUP BY t.id
        HAVING sum(r.amount) > t.amount""",
    "nothing falls due before the account says": """
        SELECT a.id FROM accounts a JOIN members m ON m.id = a.member_id CROSS JOIN LATERAL (
          SELECT least(
            (SELECT min(least(usable_at, CASE WHEN m.state <> 'FROZEN' THEN expires_at END)) FROM lots
              WHERE account_id = a.id AND state = 'PENDING'),
            (SELECT min(expires_at) FROM lots WHERE account_id = a.id AND state = 'OPEN' AND m.state <> 'FROZEN'),
            (SELECT min(deadline) FROM holds WHERE account_id = a.id AND state = 'OPEN' AND m.state <> 'FROZEN')
          ) AS due_at) d WHERE d.due_at < coalesce(a.next_due_at, 'infinity')""",
    "positions of events have no gap": """
        SELECT h.id FROM stream_heads h JOIN events e ON e.stream = h.id GROUP BY h.id
        HAVING count(*) <> h.position OR max(e.position) <> h.position""",
    "the last event of an account has its figures": """
        SELECT a.id FROM accounts a JOIN currencies c ON c.id = a.currency_id CROSS JOIN LATERAL (
          SELECT e.data -> 'balance' AS balance FROM events e
           WHERE e.stream = 'member:' || a.member_id AND e.data ->> 'program' = c.program_code
             AND e.data ->> 'currency' = c.kind AND e.data ? 'transfer_id' ORDER BY e.position DESC LIMIT 1) last
        WHERE last.balance <> engage.ledger_figures(a.available, a.pending, a.held, a.debt)""",
    "each transfer of a member has its event": """
        SELECT id, 'member:' || member_id FROM transfers
        EXCEPT SELECT (data ->> 'transfer_id')::uuid, stream FROM events WHERE data ? 'transfer_id'""",
}


async def assert_sound() -> None:
    """The ledger of this database keeps all laws, however long it takes to see that."""
    async with db.transaction():
        await db.execute("SET LOCAL statement_timeout = 0")
        for law, wrong in _LAWS.items():
            rows = await db.fetch(wrong)
            assert not rows, f"{law}: {[str(row[0]) for row in rows]}"
