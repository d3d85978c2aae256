-- What transfers say of each other: what they refer to, what they reverse, and what has to stand beside them.

-- Whether a transfer may mean one of another account: one that was merged into its own, or whose points it takes back
-- from whoever holds them now.
CREATE FUNCTION engage.ledger_may_mean(p_transfer uuid, p_kind text, p_account uuid, p_of uuid, p_of_account uuid)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT engage.ledger_merged(p_of_account, p_account) OR p_kind = 'CLAWBACK' AND NOT EXISTS (
    SELECT FROM allocations a WHERE a.transfer_id = p_transfer AND NOT engage.ledger_descends(a.lot_id, p_of))
$$;

CREATE FUNCTION engage.ledger_from_held(p_transfer uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM entries e WHERE e.transfer_id = p_transfer AND e.bucket = 'HELD')
$$;

-- Each transfer refers to and reverses what its kind does, of its own account or one merged into it. Gifts and merges
-- come from another member's account, exchanges from another currency's. What is given back comes out of the account of
-- the house that took it, what completes a hold out of what is held.
CREATE FUNCTION engage.ledger_verify_references(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH told AS (
    SELECT t.id, t.kind, t.account_id, t.refers_id, t.reverses_id, k.refers, k.reverses, f.kind AS refers_kind,
           f.account_id AS refers_account, r.kind AS reverses_kind, r.account_id AS reverses_account,
           r.reverses_id AS reversing, n.house, r.currency_id = t.currency_id AS reverses_same,
           CASE WHEN t.kind = 'EXCHANGE_IN' THEN f.currency_id <> t.currency_id AND f.member_id = t.member_id
                WHEN f.currency_id <> t.currency_id THEN false
                WHEN t.kind IN ('RECEIVE', 'MERGE_IN') THEN f.account_id <> t.account_id AND f.amount = t.amount
                WHEN f.account_id = t.account_id THEN true END AS refers_well
      FROM transfers t JOIN engage.ledger_kinds k ON k.kind = t.kind
      LEFT JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = t.refers_id OFFSET 0) f ON true
      LEFT JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = t.reverses_id OFFSET 0) r ON true
      LEFT JOIN engage.ledger_kinds n ON n.kind = r.kind
     WHERE t.id > p_after AND t.id <= p_last
       AND (t.refers_id IS NOT NULL OR t.reverses_id IS NOT NULL OR t.kind = 'GIFT' OR 'NONE' <> ALL (k.refers)
            OR 'NONE' <> ALL (k.reverses))
  ), wrong AS MATERIALIZED (
    SELECT o.id, c.* FROM told o CROSS JOIN LATERAL (VALUES
      (1, CASE WHEN o.refers_id IS NULL THEN 'NONE' ELSE coalesce(o.refers_kind, 'LOST') END <> ALL (o.refers),
       'refers to', coalesce(o.refers_kind, o.refers_id::text), array_to_string(o.refers, ' or ')),
      (2, CASE WHEN o.reverses_id IS NULL THEN 'NONE' WHEN o.reversing IS NOT NULL AND o.reverses_kind = 'CLAWBACK' THEN 'UNDONE'
               ELSE coalesce(o.reverses_kind, 'LOST') END <> ALL (o.reverses),
       'reverses', coalesce(o.reverses_kind, o.reverses_id::text),
       CASE WHEN o.reversing IS NULL THEN array_to_string(o.reverses, ' or ') ELSE 'what reverses nothing itself' END),
      (3, CASE WHEN o.refers_kind IS NOT NULL AND o.refers_well IS NULL THEN
                 NOT engage.ledger_may_mean(o.id, o.kind, o.account_id, o.refers_id, o.refers_account)
               ELSE NOT o.refers_well END, 'refers to', o.refers_id::text, 'one that it completes'),
      (4, CASE WHEN o.reverses_same AND o.reverses_account <> o.account_id THEN
                 NOT engage.ledger_may_mean(o.id, o.kind, o.account_id, o.reverses_id, o.reverses_account)
               ELSE NOT o.reverses_same END, 'reverses', o.reverses_id::text, 'one of the same points'),
      (5, CASE o.kind WHEN 'GIFT' THEN (o.refers_id IS NOT NULL) <> engage.ledger_from_held(o.id)
                      WHEN 'FEE' THEN engage.ledger_from_held(o.refers_id) <> engage.ledger_from_held(o.id) END,
       'refers to', o.refers_id::text, 'a hold where points were held'),
      (6, CASE WHEN o.kind IN ('REVERSE', 'RESTORE') THEN o.house <> (
                 SELECT (SELECT a.kind FROM accounts a WHERE a.id = e.account_id) FROM entries e
                  WHERE e.transfer_id = o.id AND e.bucket = 'HOUSE' LIMIT 1) END,
       'reverses', o.reverses_kind, 'what the same account of the house took')
    ) AS c (rank, broken, rule, stored, expected)
     WHERE c.broken
  )
  SELECT 'transfers', id::text, rule, stored, expected FROM wrong ORDER BY wrong.id, rank LIMIT 1
$$;

-- Each has what belongs to it: the other side of what goes from account to account, the row that keeps what is held,
-- owed, given or paid in. No more is reversed of it than it moved.
CREATE FUNCTION engage.ledger_verify_counterparts(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH answers AS (
    SELECT refers_id AS id, count(*) FILTER (WHERE kind = 'RECEIVE') AS received,
           count(*) FILTER (WHERE kind = 'EXCHANGE_IN') AS exchanged, count(*) FILTER (WHERE kind = 'MERGE_IN') AS merged,
           count(*) FILTER (WHERE kind IN ('GIFT', 'FEE')) AS given, count(*) FILTER (WHERE kind = 'EARN') AS bonuses
      FROM transfers WHERE refers_id > p_after AND refers_id <= p_last GROUP BY refers_id
  ), reversed AS (
    SELECT reverses_id AS id, engage.ledger_sum(amount) AS amount
      FROM transfers WHERE reverses_id > p_after AND reverses_id <= p_last GROUP BY reverses_id
  ), owing AS (
    SELECT DISTINCT transfer_id AS id FROM entries
     WHERE transfer_id > p_after AND transfer_id <= p_last AND bucket = 'DEBT'
  ), wrong AS MATERIALIZED (
    SELECT t.id, t.amount, c.* FROM transfers t
      LEFT JOIN answers n ON n.id = t.id
      LEFT JOIN reversed r ON r.id = t.id
      LEFT JOIN owing o ON o.id = t.id
      LEFT JOIN holds h ON h.id = t.id AND h.id > p_after AND h.id <= p_last
      LEFT JOIN debts d ON d.id = t.id AND d.id > p_after AND d.id <= p_last
      LEFT JOIN gifts g ON g.id = t.id AND g.id > p_after AND g.id <= p_last
      LEFT JOIN top_ups u ON u.id = t.id AND u.id > p_after AND u.id <= p_last
      CROSS JOIN LATERAL (VALUES
        (1, 'reversed', coalesce(r.amount, 0), NULL),
        (2, 'transfers that receive it', coalesce(n.received, 0), CASE t.kind WHEN 'GIFT' THEN 1 ELSE 0 END),
        (3, 'transfers that receive it', coalesce(n.exchanged, 0), CASE t.kind WHEN 'EXCHANGE_OUT' THEN 1 ELSE 0 END),
        (4, 'transfers that receive it', coalesce(n.merged, 0), CASE t.kind WHEN 'MERGE_OUT' THEN 1 ELSE 0 END),
        (5, 'gifts or fees of it', greatest(n.given, 1), 1),
        (6, 'bonuses of it', greatest(n.bonuses, 1), 1),
        (7, 'holds', (h.id IS NOT NULL)::int, CASE t.kind WHEN 'HOLD' THEN 1 ELSE 0 END),
        (8, 'debts', (d.id IS NOT NULL)::int, CASE WHEN t.kind IN ('CLAWBACK', 'DEDUCT') AND o.id IS NOT NULL THEN 1 ELSE 0 END),
        (9, 'gifts', CASE t.kind WHEN 'HOLD' THEN 0 ELSE (g.id IS NOT NULL)::int END,
            CASE WHEN t.kind = 'GIFT' AND t.refers_id IS NULL THEN 1 ELSE 0 END),
        (10, 'top_ups', (u.id IS NOT NULL)::int, CASE t.kind WHEN 'TOP_UP' THEN 1 ELSE 0 END)
      ) AS c (rank, rule, n, due)
     WHERE t.id > p_after AND t.id <= p_last AND (c.n <> c.due OR c.rank = 1 AND c.n > t.amount)
       AND (t.kind IN ('HOLD', 'TOP_UP', 'GIFT', 'EXCHANGE_OUT', 'MERGE_OUT', 'CLAWBACK', 'DEDUCT') OR n.id IS NOT NULL
            OR r.id IS NOT NULL OR h.id IS NOT NULL OR d.id IS NOT NULL OR g.id IS NOT NULL OR u.id IS NOT NULL)
  ), first_wrong AS (
    SELECT * FROM wrong ORDER BY id, rank LIMIT 1
  )
  SELECT 'transfers', w.id::text, w.rule, w.n::text, w.due::text FROM first_wrong w WHERE w.rank > 1
  UNION ALL
  (SELECT 'transfers', r.id::text, 'reversed of ' || w.id, w.n::text, 'at most ' || w.amount
     FROM first_wrong w CROSS JOIN LATERAL (SELECT * FROM transfers x WHERE x.reverses_id = w.id OFFSET 0) r
    WHERE w.rank = 1 ORDER BY r.posted_at DESC, r.id DESC LIMIT 1)
$$;
