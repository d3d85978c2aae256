-- What `engage ledger verify` asks. Each function looks at the rows whose ids lie above `p_after` and up to `p_last`, and
-- answers the first that is wrong, or none. They read; they never repair. Ranges keep memory bounded, and each is a
-- set: no function looks at one row at a time.

CREATE TYPE engage.ledger_finding AS (in_table text, id text, rule text, stored text, expected text);

-- The legs that a transfer of a kind may have, each with the direction of its amount: buckets of the member's account,
-- kinds of accounts of the house.
CREATE VIEW engage.ledger_legs (kind, leg, sign) AS VALUES
  ('EARN', 'AVAILABLE', 1), ('EARN', 'PENDING', 1), ('EARN', 'ISSUED', -1),
  ('SPEND', 'AVAILABLE', -1), ('SPEND', 'REDEEMED', 1),
  ('MATURE', 'PENDING', -1), ('MATURE', 'AVAILABLE', 1),
  ('EXPIRE', 'AVAILABLE', -1), ('EXPIRE', 'EXPIRED', 1);

-- Transfers: two legs that sum to zero and are what kind and amount say.
-- Where legs and transfer disagree, an entry is named if the others agree with the transfer, else the transfer itself.
CREATE FUNCTION engage.ledger_verify_legs(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH legs AS (
    SELECT t.id AS transfer_id, t.kind, t.amount AS moved, t.account_id AS member_account, t.currency_id,
           e.id, e.amount, e.bucket, e.account_id, e.version, e.balance_after, a.currency_id AS account_currency,
           CASE e.bucket WHEN 'HOUSE' THEN a.kind ELSE e.bucket END AS leg
      FROM transfers t
      LEFT JOIN entries e ON e.transfer_id = t.id AND e.transfer_id > p_after AND e.transfer_id <= p_last
      LEFT JOIN accounts a ON a.id = e.account_id
     WHERE t.id > p_after AND t.id <= p_last
  ), judged AS (
    SELECT l.*, k.sign * l.moved AS due, k.sign IS NULL AS stray, l.amount <> k.sign * l.moved AS off,
           count(l.id) OVER w AS n, coalesce(sum(l.amount) OVER w, 0) AS total,
           count(*) FILTER (WHERE l.amount <> k.sign * l.moved) OVER w AS n_off
      FROM legs l LEFT JOIN engage.ledger_legs k ON k.kind = l.kind AND k.leg = l.leg
    WINDOW w AS (PARTITION BY l.transfer_id)
  ), wrong AS (
    SELECT transfer_id, 1 AS rank, id AS entry_id, 'entries' AS in_table, id::text, 'leg' AS rule, leg AS stored,
           (SELECT string_agg(k.leg, ' or ') FROM engage.ledger_legs k WHERE k.kind = j.kind) AS expected
      FROM judged j WHERE stray AND id IS NOT NULL
    UNION ALL
    SELECT transfer_id, 2, id, 'entries', id::text, 'account', account_id::text, member_account::text
      FROM judged WHERE bucket <> 'HOUSE' AND account_id <> member_account
    UNION ALL
    SELECT transfer_id, 3, id, 'entries', id::text, 'currency', account_currency::text, currency_id::text
      FROM judged WHERE account_currency <> currency_id
    UNION ALL
    SELECT transfer_id, 4, id, 'entries', id::text, 'version and balance', concat_ws(', ', version, balance_after),
           CASE bucket WHEN 'HOUSE' THEN 'none for the house' ELSE 'both for a member' END
      FROM judged WHERE (bucket = 'HOUSE') <> (version IS NULL) OR (bucket = 'HOUSE') <> (balance_after IS NULL)
    UNION ALL
    SELECT transfer_id, 5, id, 'entries', id::text, 'amount', amount::text, due::text
      FROM judged WHERE off AND (n_off < n OR total <> 0)
    UNION ALL
    SELECT transfer_id, 6, id, 'transfers', transfer_id::text, 'amount', moved::text, abs(amount)::text
      FROM judged WHERE off AND n_off = n AND total = 0
    UNION ALL
    SELECT transfer_id, 7, id, 'transfers', transfer_id::text, 'entries', n || ' that sum to ' || total,
           '2 that sum to 0'
      FROM judged WHERE n <> 2 OR total <> 0
  )
  SELECT in_table, id, rule, stored, expected FROM wrong ORDER BY transfer_id, rank, entry_id LIMIT 1
$$;

-- Transfers: of the account's member and currency, and the version after them is that of their last entry.
CREATE FUNCTION engage.ledger_verify_transfers(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH newest AS (
    SELECT e.transfer_id, max(e.version) AS version FROM entries e
     WHERE e.transfer_id > p_after AND e.transfer_id <= p_last GROUP BY e.transfer_id
  )
  SELECT 'transfers', t.id::text,
         CASE WHEN t.member_id <> a.member_id THEN 'member' WHEN t.currency_id <> a.currency_id THEN 'currency'
              ELSE 'version after' END,
         CASE WHEN t.member_id <> a.member_id THEN t.member_id::text
              WHEN t.currency_id <> a.currency_id THEN t.currency_id::text ELSE t.version_after::text END,
         CASE WHEN t.member_id <> a.member_id THEN a.member_id::text
              WHEN t.currency_id <> a.currency_id THEN a.currency_id::text ELSE n.version::text END
    FROM transfers t JOIN accounts a ON a.id = t.account_id LEFT JOIN newest n ON n.transfer_id = t.id
   WHERE t.id > p_after AND t.id <= p_last
     AND (t.member_id <> a.member_id OR t.currency_id <> a.currency_id OR t.version_after IS DISTINCT FROM n.version)
   ORDER BY t.id LIMIT 1
$$;

-- Allocations: those of what takes points sum to its amount, nothing else has any, and all name lots of its account.
-- Where the sum is wrong, the allocation is named whose lot does not add up either, else the transfer.
CREATE FUNCTION engage.ledger_verify_allocations(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH sums AS (
    SELECT a.transfer_id, sum(a.amount) AS total, min(a.id) FILTER (WHERE l.account_id <> t.account_id) AS foreign_id
      FROM allocations a JOIN transfers t ON t.id = a.transfer_id JOIN lots l ON l.id = a.lot_id
     WHERE a.transfer_id > p_after AND a.transfer_id <= p_last AND t.id > p_after AND t.id <= p_last
     GROUP BY a.transfer_id
  ), judged AS (
    SELECT t.id, t.account_id, s.foreign_id, coalesce(s.total, 0) AS total,
           CASE WHEN t.kind IN ('SPEND', 'EXPIRE') THEN -t.amount ELSE 0 END AS due
      FROM transfers t LEFT JOIN sums s ON s.transfer_id = t.id
     WHERE t.id > p_after AND t.id <= p_last
  ), first_wrong AS (
    SELECT * FROM judged WHERE foreign_id IS NOT NULL OR total <> due ORDER BY id LIMIT 1
  )
  SELECT 'allocations', a.id::text, 'account of the lot', l.account_id::text, w.account_id::text
    FROM first_wrong w JOIN allocations a ON a.id = w.foreign_id JOIN lots l ON l.id = a.lot_id
  UNION ALL
  SELECT CASE WHEN c.id IS NULL THEN 'transfers' ELSE 'allocations' END, coalesce(c.id::text, w.id::text),
         CASE WHEN c.id IS NULL THEN 'allocations' ELSE 'amount' END, coalesce(c.amount, w.total)::text,
         (coalesce(c.amount, w.total) + w.due - w.total)::text
    FROM first_wrong w
    LEFT JOIN LATERAL (
      SELECT a.id, a.amount FROM allocations a JOIN lots l ON l.id = a.lot_id
       WHERE a.transfer_id = w.id
         AND l.remaining <> l.amount + (SELECT sum(x.amount) FROM allocations x WHERE x.lot_id = l.id)
       ORDER BY a.id LIMIT 1) c ON true
   WHERE w.foreign_id IS NULL
$$;

-- Earnings: each has exactly its lot, and nothing else has one. A lot that was born pending is so until a transfer has
-- matured what was usable by then; one that was usable at once never was.
CREATE FUNCTION engage.ledger_verify_earnings(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH made AS (
    SELECT t.id AS transfer_id, t.kind, t.amount AS earned, t.account_id AS earner, t.member_id AS owner, l.*,
           count(l.id) OVER (PARTITION BY t.id) AS n,
           row_number() OVER (PARTITION BY t.id ORDER BY l.id) AS nth,
           CASE WHEN l.usable_at <= t.posted_at THEN false
                ELSE NOT EXISTS (SELECT FROM transfers m WHERE m.account_id = l.account_id AND m.kind = 'MATURE'
                                    AND m.version_after > t.version_after AND m.posted_at >= l.usable_at) END AS waiting
      FROM transfers t LEFT JOIN lots l ON l.source_id = t.id AND l.source_id > p_after AND l.source_id <= p_last
     WHERE t.id > p_after AND t.id <= p_last
  ), wrong AS (
    SELECT transfer_id, 'transfers' AS in_table, transfer_id::text AS id, 'lots' AS rule, '0' AS stored, '1' AS expected
      FROM made WHERE kind = 'EARN' AND n = 0
    UNION ALL
    SELECT transfer_id, 'lots', id::text, 'source', transfer_id::text,
           CASE kind WHEN 'EARN' THEN 'one lot of each earning' ELSE 'an earning' END
      FROM made WHERE n > 0 AND (kind <> 'EARN' OR nth > 1)
    UNION ALL
    SELECT transfer_id, 'lots', id::text, 'amount', amount::text, earned::text FROM made WHERE amount <> earned
    UNION ALL
    SELECT transfer_id, 'lots', id::text, 'account', account_id::text, earner::text FROM made WHERE account_id <> earner
    UNION ALL
    SELECT transfer_id, 'lots', id::text, 'member', member_id::text, owner::text FROM made WHERE member_id <> owner
    UNION ALL
    SELECT transfer_id, 'lots', id::text, 'state', state, CASE WHEN waiting THEN 'PENDING' ELSE 'OPEN or CLOSED' END
      FROM made WHERE (state = 'PENDING') <> waiting
  )
  SELECT in_table, id, rule, stored, expected FROM wrong ORDER BY transfer_id, id LIMIT 1
$$;

-- Lots: what remains is the amount and all allocations; closed when nothing does, whole while pending.
CREATE FUNCTION engage.ledger_verify_lots(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH sums AS (
    SELECT a.lot_id, sum(a.amount) AS total FROM allocations a
     WHERE a.lot_id > p_after AND a.lot_id <= p_last GROUP BY a.lot_id
  ), judged AS (
    SELECT l.id, l.state, l.remaining, l.amount + coalesce(s.total, 0) AS due,
           l.remaining = l.amount + coalesce(s.total, 0) AND l.remaining BETWEEN 0 AND l.amount AS adds_up,
           CASE WHEN l.remaining = 0 THEN l.state = 'CLOSED' WHEN l.remaining = l.amount THEN l.state <> 'CLOSED'
                ELSE l.state = 'OPEN' END AS fits
      FROM lots l LEFT JOIN sums s ON s.lot_id = l.id WHERE l.id > p_after AND l.id <= p_last
  )
  SELECT 'lots', id::text, CASE WHEN adds_up THEN 'state' ELSE 'remaining' END,
         CASE WHEN adds_up THEN state ELSE remaining::text END,
         CASE WHEN NOT adds_up THEN due::text WHEN remaining = 0 THEN 'CLOSED' ELSE 'OPEN' END
    FROM judged WHERE NOT (adds_up AND fits) ORDER BY id LIMIT 1
$$;

-- Entries of accounts: versions run 1, 2, 3 …; the balance after each runs with the amounts of its bucket; and the
-- balance after a transfer is what was available after its last entry.
CREATE FUNCTION engage.ledger_verify_runs(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH runs AS (
    SELECT e.id, e.account_id, e.transfer_id, e.version, e.bucket, e.balance_after, row_number() OVER w AS nth,
           coalesce(sum(e.amount) FILTER (WHERE e.bucket = 'AVAILABLE') OVER w, 0) AS available,
           coalesce(sum(e.amount) FILTER (WHERE e.bucket = 'PENDING') OVER w, 0) AS pending,
           coalesce(sum(e.amount) FILTER (WHERE e.bucket = 'HELD') OVER w, 0) AS held,
           coalesce(sum(e.amount) FILTER (WHERE e.bucket = 'DEBT') OVER w, 0) AS debt
      FROM entries e WHERE e.account_id > p_after AND e.account_id <= p_last AND e.version IS NOT NULL
    WINDOW w AS (PARTITION BY e.account_id ORDER BY e.version ROWS UNBOUNDED PRECEDING)
  ), judged AS (
    SELECT r.*, CASE r.bucket WHEN 'AVAILABLE' THEN r.available WHEN 'PENDING' THEN r.pending WHEN 'HELD' THEN r.held
                              ELSE r.debt END AS due,
           t.id AS closing, t.balance_after AS told
      FROM runs r LEFT JOIN transfers t ON t.account_id = r.account_id AND t.version_after = r.version
       AND t.account_id > p_after AND t.account_id <= p_last
  )
  SELECT CASE WHEN version = nth AND balance_after = due THEN 'transfers' ELSE 'entries' END,
         CASE WHEN version = nth AND balance_after = due THEN closing::text ELSE id::text END,
         CASE WHEN version <> nth THEN 'version' ELSE 'balance after' END,
         CASE WHEN version <> nth THEN version WHEN balance_after <> due THEN balance_after ELSE told END::text,
         CASE WHEN version <> nth THEN nth WHEN balance_after <> due THEN due ELSE available END::text
    FROM judged WHERE version <> nth OR balance_after <> due OR told <> available
   ORDER BY account_id, version LIMIT 1
$$;

-- Accounts: their figures are those of their entries and their lots, and nothing falls due before `next_due_at` says.
-- Accounts of the house keep no figures.
CREATE FUNCTION engage.ledger_verify_accounts(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH moved AS (
    SELECT e.account_id, count(*) AS n, sum(e.amount) FILTER (WHERE e.bucket = 'AVAILABLE') AS available,
           sum(e.amount) FILTER (WHERE e.bucket = 'PENDING') AS pending,
           sum(e.amount) FILTER (WHERE e.bucket = 'HELD') AS held, -sum(e.amount) FILTER (WHERE e.bucket = 'DEBT') AS debt
      FROM entries e WHERE e.account_id > p_after AND e.account_id <= p_last AND e.version IS NOT NULL
     GROUP BY e.account_id
  ), usable AS (
    SELECT account_id, sum(remaining) AS points, min(expires_at) AS due_at FROM lots
     WHERE state = 'OPEN' AND account_id > p_after AND account_id <= p_last GROUP BY account_id
  ), later AS (
    SELECT account_id, sum(remaining) AS points, min(usable_at) AS due_at FROM lots
     WHERE state = 'PENDING' AND account_id > p_after AND account_id <= p_last GROUP BY account_id
  ), judged AS (
    SELECT a.*, coalesce(m.n, 0) AS n, coalesce(m.available, 0) AS sum_available, coalesce(m.pending, 0) AS sum_pending,
           coalesce(m.held, 0) AS sum_held, coalesce(m.debt, 0) AS sum_debt, coalesce(u.points, 0) AS in_open,
           coalesce(l.points, 0) AS in_pending, least(u.due_at, l.due_at) AS due_at
      FROM accounts a LEFT JOIN moved m ON m.account_id = a.id LEFT JOIN usable u ON u.account_id = a.id
      LEFT JOIN later l ON l.account_id = a.id
     WHERE a.id > p_after AND a.id <= p_last
  )
  SELECT 'accounts', j.id::text, c.rule, c.stored, c.expected
    FROM judged j, LATERAL (VALUES
      (1, 'version', j.version::text, j.n::text),
      (2, 'available', j.available::text, j.sum_available::text),
      (3, 'pending', j.pending::text, j.sum_pending::text),
      (4, 'held', j.held::text, j.sum_held::text),
      (5, 'debt', j.debt::text, j.sum_debt::text),
      (6, 'available, by lots', j.available::text, j.in_open::text),
      (7, 'pending, by lots', j.pending::text, j.in_pending::text),
      (8, 'next due, at the latest', coalesce(j.next_due_at, 'infinity')::text,
          least(coalesce(j.next_due_at, 'infinity'), j.due_at)::text),
      (9, 'next due of the house', j.next_due_at::text, CASE WHEN j.member_id IS NOT NULL THEN j.next_due_at::text END)
    ) AS c (rank, rule, stored, expected)
   WHERE c.stored IS DISTINCT FROM c.expected ORDER BY j.id, c.rank LIMIT 1
$$;

-- Streams: the positions of the events that are kept run without a gap up to the head.
CREATE FUNCTION engage.ledger_verify_streams(p_after text, p_last text) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH heads AS (
    SELECT h.id, h.position, h.kept_from FROM stream_heads h WHERE h.id > p_after AND h.id <= p_last
  ), numbered AS (
    SELECT e.id, e.stream, e.position, h.kept_from - 1 + row_number() OVER (PARTITION BY e.stream ORDER BY e.position) AS due
      FROM events e LEFT JOIN heads h ON h.id = e.stream
     WHERE e.stream > p_after AND e.stream <= p_last AND (e.position >= h.kept_from OR h.id IS NULL)
  ), wrong AS (
    SELECT stream, position AS at, 'events' AS in_table, id::text AS id, 'position' AS rule, position::text AS stored,
           coalesce(due::text, 'a head of ' || stream) AS expected
      FROM numbered WHERE position IS DISTINCT FROM due
    UNION ALL
    SELECT h.id, NULL, 'stream_heads', h.id, 'position', h.position::text, (h.kept_from - 1 + coalesce(c.n, 0))::text
      FROM heads h LEFT JOIN (SELECT stream, count(*) AS n FROM numbered GROUP BY stream) c ON c.stream = h.id
     WHERE h.position <> h.kept_from - 1 + coalesce(c.n, 0)
  )
  SELECT in_table, id, rule, stored, expected FROM wrong ORDER BY stream, at NULLS LAST LIMIT 1
$$;

-- Events beyond the last head: streams that no head names.
CREATE FUNCTION engage.ledger_verify_headless(p_after text) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  SELECT 'events', id::text, 'position', position::text, 'a head of ' || stream
    FROM events WHERE stream > p_after ORDER BY stream, position LIMIT 1
$$;
