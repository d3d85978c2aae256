-- What `engage ledger verify` asks, one file a noun. Each function looks at the rows whose ids lie above `p_after` and up
-- to `p_last`, and answers the first that is wrong, or none. They read; they never repair. Ranges keep memory bounded,
-- and each is judged as a set: only the row that is found wrong is looked at by itself.
--
-- How they are carried out does not depend on statistics, which a table that grew a minute ago has none of. Whoever calls
-- them sets `enable_nestloop = off`: what has a range is read once and hashed. What lies elsewhere is found by its key,
-- row by row: a LATERAL with OFFSET 0 is never made a join, which would read the whole table for each range; functions
-- that look at one row and what is around it switch nested loops on again.

CREATE TYPE engage.ledger_finding AS (in_table text, id text, rule text, stored text, expected text);

-- What a transfer of a kind is made of: how many legs at the most; whether it makes lots (ONE, SOME, ANY as needed,
-- NONE); which account of the house is on the other side, where that is always the same; of which kinds the transfers
-- are that it refers to and reverses, NONE where it may stand alone.
CREATE VIEW engage.ledger_kinds (kind, legs, lots, house, refers, reverses) AS
  SELECT kind, legs, lots, house, refers::text[], reverses::text[] FROM (VALUES
    ('EARN', 2, 'ONE', 'ISSUED', '{NONE,TOP_UP}', '{NONE}'),
    ('TOP_UP', 2, 'ONE', 'ISSUED', '{NONE}', '{NONE}'),
    ('ADJUST_UP', 2, 'ONE', 'ADJUSTED', '{NONE}', '{NONE}'),
    ('CONFIRM', 2, 'NONE', NULL, '{EARN}', '{NONE}'),
    ('MATURE', 2, 'NONE', NULL, '{NONE}', '{NONE}'),
    ('EXPIRE', 2, 'NONE', 'EXPIRED', '{NONE}', '{NONE}'),
    ('SPEND', 2, 'NONE', 'REDEEMED', '{NONE}', '{NONE}'),
    ('DONATE', 2, 'NONE', 'DONATED', '{NONE}', '{NONE}'),
    ('ADJUST_DOWN', 2, 'NONE', 'ADJUSTED', '{NONE}', '{NONE}'),
    ('REFUND', 2, 'NONE', 'ISSUED', '{NONE}', '{TOP_UP}'),
    ('HOLD', 2, 'NONE', NULL, '{NONE}', '{NONE}'),
    ('CAPTURE', 2, 'NONE', 'REDEEMED', '{HOLD}', '{NONE}'),
    ('RELEASE', 3, 'ANY', NULL, '{HOLD}', '{NONE}'),
    ('GIFT', 2, 'NONE', 'TRANSFERRED', '{NONE,HOLD}', '{NONE}'),
    ('FEE', 2, 'NONE', 'FEES', '{GIFT}', '{NONE}'),
    ('RECEIVE', 2, 'SOME', 'TRANSFERRED', '{GIFT}', '{NONE}'),
    ('EXCHANGE_OUT', 2, 'NONE', 'EXCHANGED', '{NONE}', '{NONE}'),
    ('EXCHANGE_IN', 2, 'SOME', 'EXCHANGED', '{EXCHANGE_OUT}', '{NONE}'),
    ('DEBT_PAID', 2, 'NONE', NULL, '{CLAWBACK,DEDUCT}', '{NONE}'),
    ('CLAWBACK', 5, 'NONE', 'ISSUED', '{NONE,REFUND}', '{NONE,EARN,ADJUST_UP}'),
    ('DEDUCT', 5, 'NONE', 'FORFEITED', '{NONE}', '{NONE}'),
    ('REVERSE', 4, 'ANY', NULL, '{NONE}', '{SPEND,CAPTURE,DONATE,FEE,ADJUST_DOWN,DEDUCT}'),
    ('RESTORE', 4, 'ANY', NULL, '{NONE}', '{DEDUCT,CLAWBACK}'),
    ('MERGE_OUT', 5, 'NONE', 'TRANSFERRED', '{NONE}', '{NONE}'),
    ('MERGE_IN', 5, 'ANY', 'TRANSFERRED', '{MERGE_OUT}', '{NONE}')) AS v (kind, legs, lots, house, refers, reverses);

-- The legs that a transfer of a kind may have, each with the direction of its amount (0 is either) and a bit of its
-- own: buckets of the member's account, kinds of accounts of the house. A transfer has one of the house at the most.
CREATE VIEW engage.ledger_legs (kind, leg, sign, bit) AS
  SELECT v.kind, v.leg, v.sign, CASE v.leg WHEN 'AVAILABLE' THEN 1 WHEN 'PENDING' THEN 2 WHEN 'HELD' THEN 4
                                           WHEN 'DEBT' THEN 8 ELSE 16 END::bigint
    FROM (VALUES
    ('EARN', 'AVAILABLE', 1), ('EARN', 'PENDING', 1), ('EARN', 'ISSUED', -1),
    ('TOP_UP', 'AVAILABLE', 1), ('TOP_UP', 'ISSUED', -1),
    ('ADJUST_UP', 'AVAILABLE', 1), ('ADJUST_UP', 'ADJUSTED', -1),
    ('CONFIRM', 'PENDING', -1), ('CONFIRM', 'AVAILABLE', 1),
    ('MATURE', 'PENDING', -1), ('MATURE', 'AVAILABLE', 1),
    ('EXPIRE', 'AVAILABLE', -1), ('EXPIRE', 'EXPIRED', 1),
    ('SPEND', 'AVAILABLE', -1), ('SPEND', 'REDEEMED', 1),
    ('DONATE', 'AVAILABLE', -1), ('DONATE', 'DONATED', 1),
    ('ADJUST_DOWN', 'AVAILABLE', -1), ('ADJUST_DOWN', 'ADJUSTED', 1),
    ('REFUND', 'AVAILABLE', -1), ('REFUND', 'ISSUED', 1),
    ('HOLD', 'AVAILABLE', -1), ('HOLD', 'HELD', 1),
    ('CAPTURE', 'HELD', -1), ('CAPTURE', 'REDEEMED', 1),
    ('RELEASE', 'HELD', -1), ('RELEASE', 'AVAILABLE', 1), ('RELEASE', 'PENDING', 1),
    ('GIFT', 'AVAILABLE', -1), ('GIFT', 'HELD', -1), ('GIFT', 'TRANSFERRED', 1),
    ('FEE', 'AVAILABLE', -1), ('FEE', 'HELD', -1), ('FEE', 'FEES', 1),
    ('RECEIVE', 'AVAILABLE', 1), ('RECEIVE', 'TRANSFERRED', -1),
    ('EXCHANGE_OUT', 'AVAILABLE', -1), ('EXCHANGE_OUT', 'EXCHANGED', 1),
    ('EXCHANGE_IN', 'AVAILABLE', 1), ('EXCHANGE_IN', 'EXCHANGED', -1),
    ('DEBT_PAID', 'AVAILABLE', -1), ('DEBT_PAID', 'DEBT', 1),
    ('CLAWBACK', 'AVAILABLE', -1), ('CLAWBACK', 'PENDING', -1), ('CLAWBACK', 'HELD', -1), ('CLAWBACK', 'DEBT', -1),
    ('CLAWBACK', 'ISSUED', 1),
    ('DEDUCT', 'AVAILABLE', -1), ('DEDUCT', 'PENDING', -1), ('DEDUCT', 'HELD', -1), ('DEDUCT', 'DEBT', -1),
    ('DEDUCT', 'FORFEITED', 1),
    ('REVERSE', 'AVAILABLE', 1), ('REVERSE', 'PENDING', 1), ('REVERSE', 'DEBT', 1), ('REVERSE', 'REDEEMED', -1),
    ('REVERSE', 'DONATED', -1), ('REVERSE', 'FEES', -1), ('REVERSE', 'ADJUSTED', -1), ('REVERSE', 'FORFEITED', -1),
    ('RESTORE', 'AVAILABLE', 1), ('RESTORE', 'PENDING', 1), ('RESTORE', 'DEBT', 1), ('RESTORE', 'FORFEITED', -1),
    ('RESTORE', 'ISSUED', -1),
    ('MERGE_OUT', 'AVAILABLE', -1), ('MERGE_OUT', 'PENDING', -1), ('MERGE_OUT', 'HELD', -1), ('MERGE_OUT', 'DEBT', 1),
    ('MERGE_OUT', 'TRANSFERRED', 0),
    ('MERGE_IN', 'AVAILABLE', 1), ('MERGE_IN', 'PENDING', 1), ('MERGE_IN', 'HELD', 1), ('MERGE_IN', 'DEBT', -1),
    ('MERGE_IN', 'TRANSFERRED', 0)) AS v (kind, leg, sign);

-- Whether a lot is its amount and what was allocated to it.
CREATE FUNCTION engage.ledger_adds_up(l lots) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT l.remaining = l.amount + engage.ledger_sum(a.amount) AND l.held = engage.ledger_sum(a.held)
    FROM allocations a WHERE a.lot_id = l.id
$$;

-- Whether the points of one account went into another by merges: by what was posted of them, or by their members, of
-- whom one without any points leaves nothing behind in the ledger.
CREATE FUNCTION engage.ledger_merged(p_from uuid, p_into uuid) RETURNS boolean
LANGUAGE sql STABLE SET enable_nestloop = on AS $$
  WITH RECURSIVE line (id) AS (
    SELECT p_from
    UNION
    SELECT i.account_id FROM line l
      JOIN transfers o ON o.account_id = l.id AND o.kind = 'MERGE_OUT'
      JOIN transfers i ON i.refers_id = o.id AND i.kind = 'MERGE_IN'
  )
  SELECT EXISTS (SELECT FROM line WHERE id = p_into)
      OR EXISTS (SELECT FROM accounts f JOIN accounts i ON i.currency_id = f.currency_id
                  WHERE f.id = p_from AND i.id = p_into AND engage.member_merged(f.member_id, i.member_id))
$$;

-- Whether points of a lot are points that a transfer gave: its own lot, or one that came of it.
CREATE FUNCTION engage.ledger_descends(p_lot uuid, p_transfer uuid) RETURNS boolean
LANGUAGE sql STABLE SET enable_nestloop = on AS $$
  WITH RECURSIVE line AS (
    SELECT l.source_id, l.origin_lot_id FROM lots l WHERE l.id = p_lot
    UNION
    SELECT o.source_id, o.origin_lot_id FROM line l JOIN lots o ON o.id = l.origin_lot_id
  )
  SELECT EXISTS (SELECT FROM line WHERE source_id = p_transfer)
$$;

-- The legs of one transfer: each with what its amount is by the others (`due`), whether that would be right in all else
-- (`fits`), and whether its own amount leads to its balance (`runs`).
CREATE FUNCTION engage.ledger_legs_of(p_transfer uuid)
RETURNS TABLE (id bigint, account_id uuid, bucket text, leg text, sign int, amount bigint, due bigint, fits boolean,
               runs boolean, version bigint, balance_after bigint, owner uuid, currency_id uuid)
LANGUAGE sql STABLE SET enable_nestloop = on AS $$
  WITH legs AS (
    SELECT e.*, a.member_id AS owner, a.currency_id, k.sign, l.leg, t.amount AS moved,
           (sum(e.amount) OVER ())::bigint AS total, (sum(greatest(e.amount, 0)) OVER ())::bigint AS added,
           coalesce((SELECT p.balance_after FROM entries p
                      WHERE p.account_id = e.account_id AND p.version < e.version AND p.bucket = e.bucket
                      ORDER BY p.version DESC LIMIT 1), 0) AS balance_before
      FROM transfers t JOIN entries e ON e.transfer_id = t.id LEFT JOIN accounts a ON a.id = e.account_id
      CROSS JOIN LATERAL (SELECT CASE e.bucket WHEN 'HOUSE' THEN a.kind ELSE e.bucket END AS leg) l
      LEFT JOIN engage.ledger_legs k ON k.kind = t.kind AND k.leg = l.leg
     WHERE t.id = p_transfer
  )
  SELECT id, account_id, bucket, leg, sign, amount, amount - total,
         amount <> total AND (amount - total) * sign >= 0
           AND added - greatest(amount, 0) + greatest(amount - total, 0) = moved
           AND (version IS NULL OR balance_before + amount - total = balance_after),
         version IS NOT NULL AND balance_before + amount = balance_after, version, balance_after, owner, currency_id
    FROM legs
$$;
