-- The import as one would write it by hand for this file alone: a batch of 1,000 orders lies in the temporary table
-- `incoming` (by COPY), and one text of set-based statements does the same work as engage: members, identities,
-- purchases, accounts, transfers, entries, lots, and events with positions. No checks beyond what the tables refuse.
-- LATERAL with LIMIT keeps look-ups on their indexes.

DELETE FROM incoming WHERE order_no IN (
  SELECT i.order_no FROM incoming i CROSS JOIN LATERAL (
    SELECT 1 FROM purchases p
     WHERE p.program_id = '{program_id}' AND p.channel = 'web' AND p.order_no = i.order_no LIMIT 1) known);

INSERT INTO people (customer, known_id, account_known)
  SELECT c.customer, n.member_id, a.id
    FROM (SELECT DISTINCT customer FROM incoming) c
    LEFT JOIN LATERAL (
      SELECT member_id FROM identities WHERE channel = 'card' AND identifier = c.customer LIMIT 1) n ON true
    LEFT JOIN LATERAL (
      SELECT id FROM accounts WHERE member_id = n.member_id AND currency_id = '{currency}' LIMIT 1) a ON true;
INSERT INTO members (id, state, locale, created_at)
  SELECT new_id, 'ACTIVE', 'en', now() FROM people WHERE known_id IS NULL;
INSERT INTO identities (id, member_id, channel, identifier, created_at)
  SELECT gen_random_uuid(), new_id, 'card', customer, now() FROM people WHERE known_id IS NULL ORDER BY customer;
INSERT INTO accounts (id, currency_id, kind, member_id)
  SELECT account_new, '{currency}', 'MEMBER', coalesce(known_id, new_id) FROM people WHERE account_known IS NULL;
SELECT count(*) FROM (SELECT 1 FROM members WHERE id = ANY (ARRAY(SELECT known_id FROM people))
  ORDER BY id FOR NO KEY UPDATE) locked;

INSERT INTO purchases (id, member_id, program_id, channel, order_no, amount, currency, quantity, points, content_hash,
                       purchased_at, recorded_at)
  SELECT i.purchase_id, coalesce(p.known_id, p.new_id), '{program_id}', 'web', i.order_no, i.amount, 'USD', i.quantity,
         floor(i.amount), sha256(convert_to(concat_ws('|', i.customer, i.bought_at, i.quantity, i.amount), 'UTF8')),
         i.bought_at, now()
    FROM incoming i JOIN people p USING (customer) ORDER BY i.ord;

INSERT INTO postings
  SELECT i.ord, i.purchase_id, gen_random_uuid(), coalesce(p.known_id, p.new_id), a.id, floor(i.amount)::bigint,
         i.bought_at, a.version + row_number() OVER w, a.available + sum(floor(i.amount)::bigint) OVER w
    FROM incoming i JOIN people p USING (customer) CROSS JOIN LATERAL (
      SELECT * FROM accounts WHERE id = coalesce(p.account_known, p.account_new) LIMIT 1) a
   WHERE i.amount >= 1 WINDOW w AS (PARTITION BY a.id ORDER BY i.ord);
INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, cause_type, cause_id, actor_id,
                       posted_at, balance_after, version_after)
  SELECT transfer_id, member_id, '{currency}', account_id, 'EARN', points, 'PURCHASE', 'purchase', purchase_id::text,
         'system', now(), balance, version FROM postings ORDER BY ord;
INSERT INTO entries (transfer_id, account_id, bucket, amount, balance_after, version)
  SELECT transfer_id, account_id, 'AVAILABLE', points, balance, version FROM postings
  UNION ALL SELECT transfer_id, '{issued}', 'HOUSE', -points, NULL, NULL FROM postings;
INSERT INTO lots (id, account_id, member_id, state, amount, remaining, earned_at, usable_at, source_id)
  SELECT gen_random_uuid(), account_id, member_id, 'OPEN', points, points, bought_at, bought_at, transfer_id
    FROM postings ORDER BY ord;
UPDATE accounts a SET available = a.available + s.points, version = a.version + s.n
  FROM (SELECT account_id, sum(points) AS points, count(*) AS n FROM postings GROUP BY account_id) s
 WHERE a.id = s.account_id;

INSERT INTO happened
  SELECT 'member:' || new_id, 1, 0, 'members.registered.v1',
         jsonb_build_object('member_id', new_id, 'registered_at', now()) FROM people WHERE known_id IS NULL
  UNION ALL
  SELECT 'member:' || member_id, 2, ord, 'ledger.points_earned.v1',
         jsonb_build_object('member_id', member_id, 'program', 'default', 'transfer_id', transfer_id, 'kind', 'EARN',
           'amount', points, 'reason', 'PURCHASE', 'cause_type', 'purchase', 'cause_id', purchase_id,
           'posted_at', now(), 'balance', jsonb_build_object('available', balance, 'pending', 0, 'held', 0, 'debt', 0))
    FROM postings
  UNION ALL
  SELECT 'member:' || coalesce(p.known_id, p.new_id), 3, i.ord, 'purchases.recorded.v1',
         jsonb_build_object('purchase_id', i.purchase_id, 'member_id', coalesce(p.known_id, p.new_id),
           'program', 'default', 'amount', i.amount::text, 'currency', 'USD', 'points', floor(i.amount)::bigint,
           'purchased_at', i.bought_at)
    FROM incoming i JOIN people p USING (customer);
WITH heads AS (
  INSERT INTO stream_heads AS h (id, position)
    SELECT stream, count(*) FROM happened GROUP BY stream ORDER BY stream
    ON CONFLICT (id) DO UPDATE SET position = h.position + excluded.position RETURNING id, position
)
INSERT INTO events (id, stream, position, name, data, recorded_at)
  SELECT gen_random_uuid(), e.stream, h.position - e.n + e.nth, e.name, e.data, now()
    FROM (SELECT *, row_number() OVER (PARTITION BY stream ORDER BY step, ord) AS nth,
                 count(*) OVER (PARTITION BY stream) AS n FROM happened) e
    JOIN heads h ON h.id = e.stream;
