-- What transfers did to lots: which lots they made, and what they took from lots or gave back.

-- A lot is made by a transfer that makes lots, in its account and of its member: one of the whole amount by what gives
-- points anew, from what the points have been before by all others, under whose date and way they go on.
CREATE FUNCTION engage.ledger_verify_sources(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH made AS (
    SELECT l.id, l.amount, l.account_id, l.member_id, l.origin_lot_id, l.hops, l.earned_at, l.usable_at,
           t.id AS transfer_id, t.kind, k.lots, t.amount AS given, t.account_id AS giver, t.member_id AS owner, t.posted_at,
           CASE t.kind WHEN 'RELEASE' THEN t.id ELSE t.refers_id END AS giving_id, t.reverses_id,
           k.lots = 'ONE' AND row_number() OVER (PARTITION BY t.id ORDER BY l.amount <> t.amount, l.id) > 1 AS second
      FROM lots l JOIN transfers t ON t.id = l.source_id AND t.id > p_after AND t.id <= p_last
      JOIN engage.ledger_kinds k ON k.kind = t.kind
     WHERE l.source_id > p_after AND l.source_id <= p_last
  ), came AS (  -- what left each lot in a transfer whose points arrived in others
    SELECT a.transfer_id, a.lot_id, engage.ledger_sum(-a.amount - a.held) AS amount
      FROM (SELECT DISTINCT m.giving_id FROM made m WHERE m.lots <> 'ONE') g
     CROSS JOIN LATERAL (SELECT * FROM allocations x WHERE x.transfer_id = g.giving_id OFFSET 0) a
     GROUP BY a.transfer_id, a.lot_id
  ), arrived AS (
    SELECT m.giving_id, m.origin_lot_id, engage.ledger_sum(m.amount) AS amount
      FROM made m WHERE m.origin_lot_id IS NOT NULL GROUP BY m.giving_id, m.origin_lot_id
  ), traced AS (
    SELECT m.*, o.id AS origin_id, o.hops + CASE m.kind WHEN 'RECEIVE' THEN 1 ELSE 0 END AS hops_due,
           o.earned_at AS earned_due, c.amount AS came, r.amount AS arrived
      FROM made m
      LEFT JOIN LATERAL (SELECT * FROM lots x WHERE x.id = m.origin_lot_id OFFSET 0) o ON true
      LEFT JOIN came c ON c.transfer_id = m.giving_id AND c.lot_id = m.origin_lot_id
      LEFT JOIN arrived r ON r.giving_id = m.giving_id AND r.origin_lot_id = m.origin_lot_id
  ), ruled AS (
    SELECT *, CASE WHEN lots = 'NONE' OR second THEN 1
                   WHEN lots = 'ONE' AND amount <> given THEN 2
                   WHEN account_id <> giver THEN 3
                   WHEN member_id <> owner THEN 4
                   WHEN (lots = 'ONE') <> (origin_lot_id IS NULL) OR lots <> 'ONE' AND origin_id IS NULL THEN 5
                   WHEN giving_id IS NOT NULL AND lots <> 'ONE' AND came IS NULL THEN 6
                   WHEN kind IN ('RECEIVE', 'MERGE_IN', 'RELEASE') AND arrived <> came THEN 7
                   WHEN hops <> coalesce(hops_due, 0) THEN 8
                   WHEN earned_at <> earned_due THEN 9 END AS broken
      FROM traced
  ), wrong AS MATERIALIZED (
    SELECT * FROM ruled WHERE broken IS NOT NULL
  ), first_wrong AS (
    SELECT * FROM wrong ORDER BY transfer_id, broken, id LIMIT 1
  )
  SELECT CASE WHEN a.id IS NULL THEN 'lots' ELSE 'allocations' END, coalesce(a.id::text, w.id::text),
         (ARRAY['source', 'amount', 'account', 'member', 'origin', 'origin', 'amount', 'hops', 'earned at'])[broken],
         CASE broken WHEN 1 THEN w.transfer_id::text WHEN 3 THEN w.account_id::text WHEN 4 THEN w.member_id::text
                     WHEN 5 THEN w.origin_lot_id::text WHEN 6 THEN w.origin_lot_id::text WHEN 8 THEN w.hops::text
                     WHEN 9 THEN w.earned_at::text ELSE coalesce(a.amount + a.held, w.amount)::text END,
         CASE broken WHEN 1 THEN CASE lots WHEN 'ONE' THEN 'one lot of each earning' ELSE 'a transfer that makes lots' END
                     WHEN 2 THEN given::text WHEN 3 THEN giver::text WHEN 4 THEN owner::text
                     WHEN 5 THEN CASE lots WHEN 'ONE' THEN NULL ELSE 'a lot' END WHEN 6 THEN 'a lot that was taken from'
                     WHEN 7 THEN coalesce(a.amount + a.held + came - arrived, w.amount + came - arrived)::text
                     WHEN 8 THEN coalesce(hops_due, 0)::text ELSE earned_due::text END
    FROM first_wrong w
    LEFT JOIN LATERAL (  -- the lot is right by itself: what was said to have left the other one is not
      SELECT a.id, a.amount, a.held FROM allocations a
       WHERE w.broken = 7 AND a.transfer_id = w.giving_id AND a.lot_id = w.origin_lot_id
         AND (SELECT engage.ledger_adds_up(l) FROM lots l WHERE l.id = w.id) ORDER BY a.id LIMIT 1) a ON true
$$;

-- An earning went to pending points where they could not be used yet, and has its lot. Where they disagree, the entry is
-- right if it leads to its balance and that of its transfer.
CREATE FUNCTION engage.ledger_verify_earnings(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH made AS (
    SELECT t.id AS transfer_id, t.posted_at, l.id AS lot_id, l.usable_at, e.id AS entry_id, e.bucket,
           e.balance_after = t.balance_after AS available,
           CASE WHEN l.usable_at <= t.posted_at THEN 'AVAILABLE' ELSE 'PENDING' END AS due
      FROM transfers t
      JOIN engage.ledger_kinds k ON k.kind = t.kind AND k.lots = 'ONE'
      LEFT JOIN lots l ON l.source_id = t.id AND l.source_id > p_after AND l.source_id <= p_last
      LEFT JOIN entries e ON e.transfer_id = t.id AND e.version IS NOT NULL
                         AND e.transfer_id > p_after AND e.transfer_id <= p_last
     WHERE t.id > p_after AND t.id <= p_last
  ), wrong AS MATERIALIZED (
    SELECT * FROM made m
     WHERE m.lot_id IS NULL OR m.bucket <> m.due AND (m.bucket <> 'PENDING' OR NOT EXISTS (
       SELECT FROM transfers c WHERE c.refers_id = m.transfer_id AND c.kind = 'CONFIRM'))
  )
  SELECT f.* FROM (SELECT * FROM wrong ORDER BY transfer_id LIMIT 1) w
    LEFT JOIN LATERAL (
      SELECT g.runs AND w.available = (w.bucket = 'AVAILABLE') AS right_by_itself
        FROM engage.ledger_legs_of(w.transfer_id) g WHERE g.id = w.entry_id) g ON true
   CROSS JOIN LATERAL (VALUES
      (w.lot_id IS NULL, 'transfers', w.transfer_id::text, 'lots', '0', '1'),
      (w.lot_id IS NOT NULL AND g.right_by_itself, 'lots', w.lot_id::text, 'usable at', w.usable_at::text,
       CASE w.bucket WHEN 'PENDING' THEN 'after ' ELSE 'at most ' END || w.posted_at),
      (w.lot_id IS NOT NULL AND NOT g.right_by_itself, 'entries', w.entry_id::text, 'bucket', w.bucket, w.due)
    ) AS c (holds, in_table, id, rule, stored, expected)
   CROSS JOIN LATERAL (SELECT c.in_table, c.id, c.rule, c.stored, c.expected) f
   WHERE c.holds
$$;

-- Allocations name lots of the transfer's account. With the lots that it made, they come to what its legs moved: what
-- remains to what is available and pending, what is held to what is held. Where they do not, the lot or allocation is
-- named that does not add up by itself either, else the transfer.
CREATE FUNCTION engage.ledger_verify_allocations(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH sums AS (
    SELECT a.transfer_id, engage.ledger_sum(a.amount) AS amount, engage.ledger_sum(a.held) AS held,
           min(a.id) FILTER (WHERE l.account_id <> t.account_id) AS foreign_id
      FROM allocations a JOIN transfers t ON t.id = a.transfer_id
     CROSS JOIN LATERAL (SELECT * FROM lots x WHERE x.id = a.lot_id OFFSET 0) l
     WHERE a.transfer_id > p_after AND a.transfer_id <= p_last AND t.id > p_after AND t.id <= p_last
     GROUP BY a.transfer_id
  ), legs AS (
    SELECT e.transfer_id, engage.ledger_sum(e.amount) FILTER (WHERE e.bucket IN ('AVAILABLE', 'PENDING')) AS amount,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'HELD') AS held
      FROM entries e
     WHERE e.transfer_id > p_after AND e.transfer_id <= p_last AND e.version IS NOT NULL GROUP BY e.transfer_id
  ), made AS (
    SELECT source_id AS transfer_id, engage.ledger_sum(amount) AS amount
      FROM lots WHERE source_id > p_after AND source_id <= p_last GROUP BY source_id
  ), judged AS (
    SELECT t.id, t.kind, t.account_id, s.foreign_id, coalesce(s.amount, 0) AS amount, coalesce(s.held, 0) AS held,
           coalesce(e.amount, 0) - coalesce(m.amount, 0) AS due, coalesce(e.held, 0) AS held_due
      FROM transfers t
      LEFT JOIN sums s ON s.transfer_id = t.id LEFT JOIN legs e ON e.transfer_id = t.id
      LEFT JOIN made m ON m.transfer_id = t.id
     WHERE t.id > p_after AND t.id <= p_last
  ), wrong AS MATERIALIZED (
    SELECT * FROM judged WHERE foreign_id IS NOT NULL OR amount <> due OR held <> held_due
  ), first_wrong AS (
    SELECT * FROM wrong ORDER BY id LIMIT 1
  ), found (rank, in_table, id, rule, stored, expected) AS (
    SELECT 1, 'allocations', a.id::text, 'account of the lot', l.account_id::text, w.account_id::text
      FROM first_wrong w
     CROSS JOIN LATERAL (SELECT * FROM allocations x WHERE x.id = w.foreign_id OFFSET 0) a
     CROSS JOIN LATERAL (SELECT * FROM lots x WHERE x.id = a.lot_id OFFSET 0) l
    UNION ALL
    SELECT 2, 'lots', l.id::text, 'amount', l.amount::text, (l.amount + w.due - w.amount)::text
      FROM first_wrong w CROSS JOIN LATERAL (SELECT * FROM lots x WHERE x.source_id = w.id OFFSET 0) l
     WHERE w.kind IN ('EXCHANGE_IN', 'REVERSE', 'RESTORE') AND w.amount <> w.due
       AND NOT (SELECT engage.ledger_adds_up(x) FROM lots x WHERE x.id = l.id)
    UNION ALL
    SELECT 3, 'allocations', a.id::text, CASE WHEN w.amount <> w.due THEN 'amount' ELSE 'held' END,
           CASE WHEN w.amount <> w.due THEN a.amount ELSE a.held END::text,
           CASE WHEN w.amount <> w.due THEN a.amount + w.due - w.amount ELSE a.held + w.held_due - w.held END::text
      FROM first_wrong w CROSS JOIN LATERAL (SELECT * FROM allocations x WHERE x.transfer_id = w.id OFFSET 0) a
     WHERE NOT (SELECT engage.ledger_adds_up(l) FROM lots l WHERE l.id = a.lot_id)
    UNION ALL
    SELECT 4, 'transfers', w.id::text, CASE WHEN w.amount <> w.due THEN 'allocations' ELSE 'allocations of what is held' END,
           CASE WHEN w.amount <> w.due THEN w.amount ELSE w.held END::text,
           CASE WHEN w.amount <> w.due THEN w.due ELSE w.held_due END::text
      FROM first_wrong w
  )
  SELECT in_table, id, rule, stored, expected FROM found ORDER BY rank, id LIMIT 1
$$;

-- The lot of an account that this one came from by merges; the lot itself where it is of that account.
CREATE FUNCTION engage.ledger_lot_before(p_lot uuid, p_account uuid) RETURNS uuid
LANGUAGE sql STABLE SET enable_nestloop = on AS $$
  WITH RECURSIVE line AS (
    SELECT l.id, l.account_id, l.origin_lot_id FROM lots l WHERE l.id = p_lot
    UNION
    SELECT o.id, o.account_id, o.origin_lot_id FROM line l JOIN lots o ON o.id = l.origin_lot_id
     WHERE l.account_id <> p_account
  )
  SELECT coalesce((SELECT id FROM line WHERE account_id = p_account), p_lot)
$$;

-- Nothing comes back to a lot, or goes on from a hold on it, beyond what was taken from it: for each transfer that is
-- reversed (with the payments of its debt) or held, lot by lot.
CREATE FUNCTION engage.ledger_verify_returns(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH ends AS (  -- what ends a transfer, wholly or in part
    SELECT r.id, r.reverses_id AS of_id, false AS of_hold FROM transfers r
     WHERE r.reverses_id > p_after AND r.reverses_id <= p_last AND r.kind IN ('REVERSE', 'RESTORE')
    UNION ALL
    SELECT r.id, r.refers_id, true FROM transfers r
     WHERE r.refers_id > p_after AND r.refers_id <= p_last AND r.kind IN ('CAPTURE', 'RELEASE', 'GIFT')
    UNION ALL
    SELECT f.id, r.refers_id, true FROM transfers r
     CROSS JOIN LATERAL (SELECT * FROM transfers x WHERE x.refers_id = r.id AND x.kind = 'FEE' OFFSET 0) f
     WHERE r.refers_id > p_after AND r.refers_id <= p_last AND r.kind = 'GIFT'
  ), taken AS (
    SELECT x.of_id, a.lot_id, engage.ledger_sum(CASE WHEN x.of_hold THEN a.held ELSE -a.amount - a.held END) AS amount
      FROM (SELECT DISTINCT of_id, of_hold, of_id AS id FROM ends
            UNION ALL
            SELECT DISTINCT e.of_id, e.of_hold, p.id FROM ends e
             CROSS JOIN LATERAL (
               SELECT * FROM transfers x WHERE x.refers_id = e.of_id AND x.kind = 'DEBT_PAID' OFFSET 0) p) x
     CROSS JOIN LATERAL (SELECT * FROM allocations y WHERE y.transfer_id = x.id OFFSET 0) a
     GROUP BY x.of_id, a.lot_id
  ), given AS (
    SELECT e.of_id, e.id, CASE WHEN e.of_hold THEN -a.held ELSE a.amount END AS amount, a.id AS allocation_id,
           CASE WHEN e.of_hold AND l.account_id <> o.account_id THEN engage.ledger_lot_before(a.lot_id, o.account_id)
                ELSE a.lot_id END AS lot_id
      FROM ends e
     CROSS JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = e.of_id OFFSET 0) o
     CROSS JOIN LATERAL (SELECT * FROM allocations x WHERE x.transfer_id = e.id OFFSET 0) a
     CROSS JOIN LATERAL (SELECT * FROM lots x WHERE x.id = a.lot_id OFFSET 0) l
    UNION ALL
    SELECT e.of_id, e.id, l.amount, NULL, l.origin_lot_id
      FROM ends e CROSS JOIN LATERAL (SELECT * FROM lots x WHERE x.source_id = e.id OFFSET 0) l WHERE NOT e.of_hold
  ), wrong AS MATERIALIZED (
    SELECT g.of_id, g.lot_id, g.amount AS given, coalesce(t.amount, 0) AS taken, g.last_id, g.allocation_id
      FROM (SELECT of_id, lot_id, engage.ledger_sum(amount) AS amount, max(id::text)::uuid AS last_id,
                   max(allocation_id) AS allocation_id FROM given GROUP BY of_id, lot_id) g
      LEFT JOIN taken t ON t.of_id = g.of_id AND t.lot_id = g.lot_id
     WHERE g.amount > coalesce(t.amount, 0)
  )
  SELECT CASE WHEN a.id IS NULL THEN 'transfers' ELSE 'allocations' END, coalesce(a.id::text, w.last_id::text),
         'points of lot ' || w.lot_id || ' back from ' || w.of_id, w.given::text, 'at most ' || w.taken
    FROM (SELECT * FROM wrong ORDER BY of_id, lot_id LIMIT 1) w
    LEFT JOIN LATERAL (
      SELECT a.id FROM allocations a
       WHERE a.id = w.allocation_id AND NOT (SELECT engage.ledger_adds_up(l) FROM lots l WHERE l.id = a.lot_id)
      OFFSET 0) a ON true
$$;
