-- What `engage ledger verify` asks. Each function looks at the rows whose ids lie above `p_after` and up to `p_last`,
-- and answers the first that is wrong, or none. They read; they never repair. Ranges keep memory bounded, and each is
-- judged as a set: no function looks at one row after another.

CREATE TYPE engage.ledger_finding AS (in_table text, id text, rule text, stored text, expected text);

-- The sum of whole numbers as a whole number, 0 of none: the built-in one answers a numeric, which costs more.
CREATE AGGREGATE engage.ledger_sum(bigint) (SFUNC = int8pl, STYPE = bigint, INITCOND = '0', PARALLEL = SAFE,
                                           COMBINEFUNC = int8pl);

-- The legs that a transfer of a kind may have, each with the direction of its amount: buckets of the member's account,
-- kinds of accounts of the house.
CREATE VIEW engage.ledger_legs (kind, leg, sign) AS VALUES
  ('EARN', 'AVAILABLE', 1), ('EARN', 'PENDING', 1), ('EARN', 'ISSUED', -1),
  ('SPEND', 'AVAILABLE', -1), ('SPEND', 'REDEEMED', 1),
  ('MATURE', 'PENDING', -1), ('MATURE', 'AVAILABLE', 1),
  ('EXPIRE', 'AVAILABLE', -1), ('EXPIRE', 'EXPIRED', 1);

-- Transfers: of the account's member and currency, with two legs that sum to zero and are what kind and amount say.
-- Where legs and transfer disagree, an entry is named if the others agree with the transfer, else the transfer itself.
CREATE FUNCTION engage.ledger_verify_transfers(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH legs AS (
    SELECT t.id AS transfer_id, t.kind, t.amount AS moved, t.account_id AS member_account, t.currency_id, t.member_id,
           e.id, e.amount, e.bucket, e.account_id, e.version, e.balance_after, a.member_id AS owner,
           a.currency_id AS account_currency, e.account_id = t.account_id AS own,
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
  ), ruled AS (
    SELECT *, CASE WHEN own AND member_id IS DISTINCT FROM owner THEN 1
                   WHEN own AND currency_id <> account_currency THEN 2
                   WHEN bucket <> 'HOUSE' AND account_id <> member_account THEN 3
                   WHEN account_currency <> currency_id THEN 4
                   WHEN stray AND id IS NOT NULL THEN 5
                   WHEN (bucket = 'HOUSE') <> (version IS NULL) OR (bucket = 'HOUSE') <> (balance_after IS NULL) THEN 6
                   WHEN off AND (n_off < n OR total <> 0) THEN 7
                   WHEN off THEN 8
                   WHEN n <> 2 OR total <> 0 THEN 9 END AS broken
      FROM judged
  ), first_wrong AS (
    SELECT * FROM ruled WHERE broken IS NOT NULL ORDER BY transfer_id, broken, id LIMIT 1
  )
  SELECT CASE WHEN broken IN (1, 2, 8, 9) THEN 'transfers' ELSE 'entries' END,
         CASE WHEN broken IN (1, 2, 8, 9) THEN transfer_id::text ELSE id::text END,
         (ARRAY['member', 'currency', 'account', 'currency', 'leg', 'version and balance', 'amount', 'amount',
                'entries'])[broken],
         CASE broken WHEN 1 THEN member_id::text WHEN 2 THEN currency_id::text WHEN 3 THEN account_id::text
                     WHEN 4 THEN account_currency::text WHEN 5 THEN leg
                     WHEN 6 THEN concat_ws(' and ', version, balance_after) WHEN 7 THEN amount::text
                     WHEN 8 THEN moved::text ELSE n || ' that sum to ' || total END,
         CASE broken WHEN 1 THEN owner::text WHEN 2 THEN account_currency::text WHEN 3 THEN member_account::text
                     WHEN 4 THEN currency_id::text
                     WHEN 5 THEN (SELECT string_agg(k.leg, ' or ' ORDER BY k.leg) FROM engage.ledger_legs k
                                   WHERE k.kind = w.kind)
                     WHEN 6 THEN CASE bucket WHEN 'HOUSE' THEN 'none for the house' ELSE 'both for a member' END
                     WHEN 7 THEN due::text WHEN 8 THEN abs(amount)::text ELSE '2 that sum to 0' END
    FROM first_wrong w
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
           l.usable_at > t.posted_at AND NOT EXISTS (
             SELECT FROM transfers m WHERE m.account_id = l.account_id AND m.version_after > t.version_after
                                       AND m.kind = 'MATURE' AND m.posted_at >= l.usable_at) AS waiting,
           e.id AS entry_id, e.bucket,
           CASE WHEN l.usable_at > t.posted_at THEN 'PENDING' WHEN l.usable_at <= t.posted_at THEN 'AVAILABLE' END
             AS bucket_due
      FROM transfers t
      LEFT JOIN lots l ON l.source_id = t.id AND l.source_id > p_after AND l.source_id <= p_last
      LEFT JOIN entries e ON e.transfer_id = t.id AND t.kind = 'EARN' AND e.version IS NOT NULL
                         AND e.transfer_id > p_after AND e.transfer_id <= p_last
     WHERE t.id > p_after AND t.id <= p_last
  ), ruled AS (
    SELECT *, CASE WHEN kind = 'EARN' AND n = 0 THEN 1
                   WHEN n > 0 AND (kind <> 'EARN' OR nth > 1) THEN 2
                   WHEN amount <> earned THEN 3
                   WHEN account_id <> earner THEN 4
                   WHEN member_id <> owner THEN 5
                   WHEN bucket <> bucket_due THEN 6
                   WHEN (state = 'PENDING') <> waiting THEN 7 END AS broken
      FROM made
  ), first_wrong AS (
    SELECT * FROM ruled WHERE broken IS NOT NULL ORDER BY transfer_id, broken, id LIMIT 1
  )
  SELECT CASE broken WHEN 1 THEN 'transfers' WHEN 6 THEN 'entries' ELSE 'lots' END,
         CASE broken WHEN 1 THEN transfer_id::text WHEN 6 THEN entry_id::text ELSE id::text END,
         (ARRAY['lots', 'source', 'amount', 'account', 'member', 'bucket', 'state'])[broken],
         CASE broken WHEN 1 THEN '0' WHEN 2 THEN transfer_id::text WHEN 3 THEN amount::text WHEN 4 THEN account_id::text
                     WHEN 5 THEN member_id::text WHEN 6 THEN bucket ELSE state END,
         CASE broken WHEN 1 THEN '1'
                     WHEN 2 THEN CASE kind WHEN 'EARN' THEN 'one lot of each earning' ELSE 'an earning' END
                     WHEN 3 THEN earned::text WHEN 4 THEN earner::text WHEN 5 THEN owner::text WHEN 6 THEN bucket_due
                     ELSE CASE WHEN waiting THEN 'PENDING' ELSE 'OPEN or CLOSED' END END
    FROM first_wrong
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

-- Entries of accounts: versions run 1, 2, 3 …; the balance after each runs with the amounts of its bucket. After its
-- last entry, a transfer has that version, and what was available then.
CREATE FUNCTION engage.ledger_verify_runs(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH runs AS (
    SELECT e.id, e.account_id, e.transfer_id, e.version, e.bucket, e.balance_after, row_number() OVER w AS nth,
           lead(e.transfer_id) OVER w IS DISTINCT FROM e.transfer_id AS closes,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'AVAILABLE') OVER w AS available,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'PENDING') OVER w AS pending,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'HELD') OVER w AS held,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'DEBT') OVER w AS debt
      FROM entries e WHERE e.account_id > p_after AND e.account_id <= p_last AND e.version IS NOT NULL
    WINDOW w AS (PARTITION BY e.account_id ORDER BY e.version ROWS UNBOUNDED PRECEDING)
  ), judged AS (
    SELECT r.*, t.version_after AS told_version, t.balance_after AS told_balance,
           CASE r.bucket WHEN 'AVAILABLE' THEN r.available WHEN 'PENDING' THEN r.pending WHEN 'HELD' THEN r.held
                         ELSE r.debt END AS due
      FROM runs r
      JOIN transfers t ON t.id = r.transfer_id AND t.account_id > p_after AND t.account_id <= p_last
  ), ruled AS (
    SELECT *, CASE WHEN version <> nth THEN 1
                   WHEN balance_after <> due THEN 2
                   WHEN closes AND told_version <> version THEN 3
                   WHEN closes AND told_balance <> available THEN 4 END AS broken
      FROM judged
  ), first_wrong AS (
    SELECT * FROM ruled WHERE broken IS NOT NULL ORDER BY account_id, version LIMIT 1
  )
  SELECT CASE WHEN broken <= 2 THEN 'entries' ELSE 'transfers' END,
         CASE WHEN broken <= 2 THEN id::text ELSE transfer_id::text END,
         (ARRAY['version', 'balance after', 'version after', 'balance after'])[broken],
         (ARRAY[version, balance_after, told_version, told_balance])[broken]::text,
         (ARRAY[nth, due, version, available])[broken]::text
    FROM first_wrong
$$;

-- Accounts: their figures are those of their entries and their lots, and nothing falls due before `next_due_at` says.
-- Accounts of the house keep no figures. What is stored and what should be are summed side by side, without a join.
CREATE FUNCTION engage.ledger_verify_accounts(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH facts (id, stored, house, version, available, pending, held, debt, in_open, in_pending, due_at) AS (
    SELECT a.id, true, a.member_id IS NULL, a.version, a.available, a.pending, a.held, a.debt, a.available, a.pending,
           a.next_due_at
      FROM accounts a WHERE a.id > p_after AND a.id <= p_last
    UNION ALL
    SELECT e.account_id, false, NULL, 1, CASE e.bucket WHEN 'AVAILABLE' THEN e.amount END,
           CASE e.bucket WHEN 'PENDING' THEN e.amount END, CASE e.bucket WHEN 'HELD' THEN e.amount END,
           CASE e.bucket WHEN 'DEBT' THEN -e.amount END, NULL, NULL, NULL
      FROM entries e WHERE e.account_id > p_after AND e.account_id <= p_last AND e.version IS NOT NULL
    UNION ALL
    SELECT l.account_id, false, NULL, NULL, NULL, NULL, NULL, NULL, l.remaining, NULL, l.expires_at
      FROM lots l WHERE l.state = 'OPEN' AND l.account_id > p_after AND l.account_id <= p_last
    UNION ALL
    SELECT l.account_id, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, l.remaining, l.usable_at
      FROM lots l WHERE l.state = 'PENDING' AND l.account_id > p_after AND l.account_id <= p_last
  ), sides AS (
    SELECT id, bool_or(house) AS house, min(due_at) FILTER (WHERE stored) AS next_due_at,
           min(due_at) FILTER (WHERE NOT stored) AS due_at,
           engage.ledger_sum(version) FILTER (WHERE stored) AS version,
           engage.ledger_sum(version) FILTER (WHERE NOT stored) AS n,
           engage.ledger_sum(available) FILTER (WHERE stored) AS available,
           engage.ledger_sum(available) FILTER (WHERE NOT stored) AS sum_available,
           engage.ledger_sum(pending) FILTER (WHERE stored) AS pending,
           engage.ledger_sum(pending) FILTER (WHERE NOT stored) AS sum_pending,
           engage.ledger_sum(held) FILTER (WHERE stored) AS held,
           engage.ledger_sum(held) FILTER (WHERE NOT stored) AS sum_held,
           engage.ledger_sum(debt) FILTER (WHERE stored) AS debt,
           engage.ledger_sum(debt) FILTER (WHERE NOT stored) AS sum_debt,
           engage.ledger_sum(in_open) FILTER (WHERE NOT stored) AS in_open,
           engage.ledger_sum(in_pending) FILTER (WHERE NOT stored) AS in_pending
      FROM facts GROUP BY id
  )
  SELECT 'accounts', s.id::text, c.rule, c.stored, c.expected
    FROM sides s, LATERAL (VALUES
      (1, s.version <> s.n, 'version', s.version::text, s.n::text),
      (2, s.available <> s.sum_available, 'available', s.available::text, s.sum_available::text),
      (3, s.pending <> s.sum_pending, 'pending', s.pending::text, s.sum_pending::text),
      (4, s.held <> s.sum_held, 'held', s.held::text, s.sum_held::text),
      (5, s.debt <> s.sum_debt, 'debt', s.debt::text, s.sum_debt::text),
      (6, s.available <> s.in_open, 'available, by lots', s.available::text, s.in_open::text),
      (7, s.pending <> s.in_pending, 'pending, by lots', s.pending::text, s.in_pending::text),
      (8, s.due_at < coalesce(s.next_due_at, 'infinity'), 'next due, at the latest',
          s.next_due_at::text, s.due_at::text),
      (9, s.house AND s.next_due_at IS NOT NULL, 'next due of the house', s.next_due_at::text, NULL)
    ) AS c (rank, broken, rule, stored, expected)
   WHERE c.broken ORDER BY s.id, c.rank LIMIT 1
$$;

-- Streams: the positions of the events that are kept run without a gap up to the head. Positions are unique, so that
-- their number and their ends tell; only a stream that is wrong is looked at event by event.
CREATE FUNCTION engage.ledger_verify_streams(p_after text, p_last text) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH kept AS (
    SELECT e.stream, h.id, h.kept_from, h.position, count(*) AS n, min(e.position) AS lowest, max(e.position) AS highest
      FROM events e LEFT JOIN stream_heads h ON h.id = e.stream AND h.id > p_after AND h.id <= p_last
     WHERE e.stream > p_after AND e.stream <= p_last AND (e.position >= h.kept_from OR h.id IS NULL)
     GROUP BY e.stream, h.id, h.kept_from, h.position
  ), first_wrong AS (
    SELECT stream, id, kept_from FROM kept
     WHERE id IS NULL OR n <> position - kept_from + 1 OR lowest <> kept_from OR highest <> position
    UNION ALL
    SELECT h.id, h.id, h.kept_from FROM stream_heads h
     WHERE h.id > p_after AND h.id <= p_last AND h.position >= h.kept_from
       AND NOT EXISTS (SELECT FROM events e WHERE e.stream = h.id AND e.position >= h.kept_from)
     ORDER BY stream LIMIT 1
  ), numbered AS (
    SELECT e.id, e.position, w.stream, w.id IS NOT NULL AS headed,
           w.kept_from - 1 + row_number() OVER (ORDER BY e.position) AS due
      FROM first_wrong w JOIN events e ON e.stream = w.stream AND (e.position >= w.kept_from OR w.id IS NULL)
  ), wrong AS (
    SELECT position AS at, 'events' AS in_table, id::text AS id, position::text AS stored,
           CASE WHEN headed THEN due::text ELSE 'a head of ' || stream END AS expected
      FROM numbered WHERE position IS DISTINCT FROM due
    UNION ALL
    SELECT NULL, 'stream_heads', h.id, h.position::text, (h.kept_from - 1 + (SELECT count(*) FROM numbered))::text
      FROM first_wrong w JOIN stream_heads h ON h.id = w.id
  )
  SELECT in_table, id, 'position', stored, expected FROM wrong ORDER BY at NULLS LAST LIMIT 1
$$;

-- Events beyond the last head: streams that no head names.
CREATE FUNCTION engage.ledger_verify_headless(p_after text) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  SELECT 'events', id::text, 'position', position::text, 'a head of ' || stream
    FROM events WHERE stream > p_after ORDER BY stream, position LIMIT 1
$$;
