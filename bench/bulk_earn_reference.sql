-- Bulk earning as one would write it by hand for points that can be used at once: a batch lies in the temporary table
-- `incoming` (by COPY), and one text of set-based statements does the same work as engage: members' locks, accounts,
-- transfers, entries, lots, and events with positions. It knows nothing of pending points, of policies (those of
-- `default` never expire) or of debt, and asks for no answers. LATERAL with LIMIT keeps look-ups on their indexes.

SELECT count(*) FROM (SELECT 1 FROM members WHERE id = ANY (ARRAY(SELECT member_id FROM incoming))
  ORDER BY id FOR NO KEY UPDATE) locked;

INSERT INTO accounts (id, currency_id, kind, member_id)
  SELECT gen_random_uuid(), '{currency}', 'MEMBER', m.member_id FROM (SELECT DISTINCT member_id FROM incoming) m
    LEFT JOIN LATERAL (
      SELECT id FROM accounts WHERE member_id = m.member_id AND currency_id = '{currency}' LIMIT 1) known ON true
   WHERE known.id IS NULL;

INSERT INTO postings
  SELECT i.ord, i.member_id, a.id, i.transfer_id, i.amount, i.earned_at, i.cause_id,
         a.version + row_number() OVER w, a.available + sum(i.amount) OVER w
    FROM incoming i CROSS JOIN LATERAL (
      SELECT * FROM accounts WHERE member_id = i.member_id AND currency_id = '{currency}' LIMIT 1) a
  WINDOW w AS (PARTITION BY a.id ORDER BY i.ord);
INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, cause_type, cause_id, actor_id,
                       posted_at, balance_after, version_after)
  SELECT transfer_id, member_id, '{currency}', account_id, 'EARN', amount, 'PURCHASE', 'purchase', cause_id, 'bench',
         now(), balance, version FROM postings ORDER BY ord;
INSERT INTO entries (transfer_id, account_id, bucket, amount, balance_after, version)
  SELECT transfer_id, account_id, 'AVAILABLE', amount, balance, version FROM postings
  UNION ALL SELECT transfer_id, '{issued}', 'HOUSE', -amount, NULL, NULL FROM postings;
INSERT INTO lots (id, account_id, member_id, state, amount, remaining, earned_at, usable_at, source_id)
  SELECT gen_random_uuid(), account_id, member_id, 'OPEN', amount, amount, earned_at, earned_at, transfer_id
    FROM postings ORDER BY ord;
UPDATE accounts a SET available = a.available + s.amount, version = a.version + s.n
  FROM (SELECT account_id, sum(amount) AS amount, count(*) AS n FROM postings GROUP BY account_id) s
 WHERE a.id = s.account_id;

WITH heads AS (
  INSERT INTO stream_heads AS h (id, position)
    SELECT 'member:' || member_id, count(*) FROM postings GROUP BY member_id ORDER BY 1
    ON CONFLICT (id) DO UPDATE SET position = h.position + excluded.position RETURNING id, position
)
INSERT INTO events (id, stream, position, name, data, recorded_at)
  SELECT gen_random_uuid(), h.id, h.position - e.n + e.nth, 'ledger.points_earned.v1',
         jsonb_build_object('member_id', member_id, 'program', 'default', 'transfer_id', transfer_id, 'kind', 'EARN',
           'amount', amount, 'reason', 'PURCHASE', 'cause_type', 'purchase', 'cause_id', cause_id, 'posted_at', now(),
           'balance', jsonb_build_object('available', balance, 'pending', 0, 'held', 0, 'debt', 0),
           'currency', 'POINTS', 'refers_id', NULL, 'reverses_id', NULL), now()
    FROM (SELECT *, row_number() OVER (PARTITION BY member_id ORDER BY ord) AS nth,
                 count(*) OVER (PARTITION BY member_id) AS n FROM postings) e
    JOIN heads h ON h.id = 'member:' || e.member_id;
