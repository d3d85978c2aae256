-- The expiry of one batch of accounts as one would write it by hand, for lots that are open and expire: set-based
-- statements over temporary tables do the same work as engage: members' locks without waiting, lots, allocations,
-- transfers, entries, accounts, and events with positions. It knows nothing of pending points and answers nothing.

INSERT INTO batch (account_id, member_id, transfer_id)
  SELECT a.id, a.member_id, gen_random_uuid() FROM accounts a JOIN members m ON m.id = a.member_id
   WHERE a.next_due_at <= now() ORDER BY a.next_due_at LIMIT {limit} FOR NO KEY UPDATE OF m SKIP LOCKED;
INSERT INTO lapsed
  SELECT l.id, l.account_id, b.transfer_id, l.remaining
    FROM batch b JOIN lots l ON l.account_id = b.account_id AND l.state = 'OPEN' AND l.expires_at <= now();

UPDATE lots l SET remaining = 0, state = 'CLOSED' FROM lapsed d WHERE l.id = d.lot_id;
INSERT INTO posted
  SELECT b.transfer_id, b.account_id, b.member_id, s.amount, a.available - s.amount, a.version + 1
    FROM (SELECT account_id, sum(amount) AS amount FROM lapsed GROUP BY account_id) s
    JOIN batch b USING (account_id) JOIN accounts a ON a.id = b.account_id;
UPDATE accounts a SET available = p.balance, version = p.version, next_due_at = (
         SELECT min(l.expires_at) FROM lots l WHERE l.account_id = a.id AND l.state = 'OPEN')
  FROM posted p WHERE a.id = p.account_id;
INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, actor_id, posted_at,
                       balance_after, version_after)
  SELECT transfer_id, member_id, '{currency}', account_id, 'EXPIRE', amount, 'EXPIRE', 'system', now(), balance,
         version FROM posted;
INSERT INTO entries (transfer_id, account_id, bucket, amount, balance_after, version)
  SELECT transfer_id, account_id, 'AVAILABLE', -amount, balance, version FROM posted
  UNION ALL SELECT transfer_id, '{expired}', 'HOUSE', amount, NULL, NULL FROM posted;
INSERT INTO allocations (transfer_id, lot_id, amount) SELECT transfer_id, lot_id, -amount FROM lapsed;

WITH heads AS (
  INSERT INTO stream_heads AS h (id, position) SELECT 'member:' || member_id, 1 FROM posted ORDER BY 1
    ON CONFLICT (id) DO UPDATE SET position = h.position + 1 RETURNING id, position
)
INSERT INTO events (id, stream, position, name, data, recorded_at)
  SELECT gen_random_uuid(), h.id, h.position, 'ledger.points_expired.v1',
         jsonb_build_object('member_id', member_id, 'program', '{program}', 'transfer_id', transfer_id,
           'kind', 'EXPIRE', 'amount', -amount, 'reason', 'EXPIRE', 'cause_type', NULL, 'cause_id', NULL,
           'posted_at', now(), 'balance', jsonb_build_object('available', balance, 'pending', 0, 'held', 0, 'debt', 0),
           'currency', 'POINTS', 'refers_id', NULL, 'reverses_id', NULL), now()
    FROM posted JOIN heads h ON h.id = 'member:' || member_id;
