-- What is kept beside the transfers: lots, holds, debts.

-- Lots: what remains and what is held is what was allocated, and not more than there was; the state is that of its
-- figures and its time. Where two lots of an account are wrong by what one allocation says, that allocation is named:
-- it was made to name the other.
CREATE FUNCTION engage.ledger_verify_lots(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH wrong AS MATERIALIZED (
    SELECT l.id, l.account_id, c.*, d.remaining - l.remaining AS less, d.held - l.held AS less_held
      FROM engage.ledger_derived_lots(p_after, p_last) d JOIN lots l ON l.id = d.id AND l.id > p_after AND l.id <= p_last
     CROSS JOIN LATERAL (VALUES
        (1, l.remaining <> d.remaining, 'remaining', l.remaining::text, d.remaining::text),
        (2, l.held <> d.held, 'held', l.held::text, d.held::text),
        (3, least(l.remaining, l.held) < 0 OR l.remaining + l.held > l.amount, 'remaining and held',
         l.remaining + l.held || '', '0 to ' || l.amount),
        (4, l.state <> d.state, 'state', l.state, d.state)
      ) AS c (rank, broken, rule, stored, expected)
     WHERE c.broken
  ), first_wrong AS (
    SELECT * FROM wrong ORDER BY id, rank LIMIT 1
  ), moved AS (
    SELECT a.id, a.lot_id, CASE WHEN o.id = w.id THEN x.id ELSE w.id END AS expected
      FROM first_wrong w
     CROSS JOIN LATERAL (SELECT * FROM transfers y WHERE y.account_id = w.account_id AND w.rank <= 2 OFFSET 0) t
     CROSS JOIN LATERAL (
        SELECT * FROM allocations y
         WHERE y.transfer_id = t.id AND (y.amount, y.held) = (
                 CASE WHEN y.lot_id = w.id THEN w.less ELSE -w.less END,
                 CASE WHEN y.lot_id = w.id THEN w.less_held ELSE -w.less_held END) OFFSET 0) a
     CROSS JOIN LATERAL (
        SELECT * FROM lots y WHERE y.id = a.lot_id AND NOT (SELECT engage.ledger_adds_up(y)) OFFSET 0) o
     CROSS JOIN LATERAL (
        SELECT l.id FROM (SELECT * FROM transfers y WHERE y.account_id = w.account_id OFFSET 0) s
         CROSS JOIN LATERAL (SELECT * FROM lots y WHERE y.source_id = s.id OFFSET 0) l
         WHERE l.id <> o.id AND (o.id = w.id OR l.id = w.id)
           AND NOT (SELECT engage.ledger_adds_up(y) FROM lots y WHERE y.id = l.id) LIMIT 1) x
     ORDER BY a.id LIMIT 1
  )
  SELECT CASE WHEN m.id IS NULL THEN 'lots' ELSE 'allocations' END, coalesce(m.id::text, w.id::text),
         CASE WHEN m.id IS NULL THEN w.rule ELSE 'lot' END, coalesce(m.lot_id::text, w.stored),
         coalesce(m.expected::text, w.expected)
    FROM first_wrong w LEFT JOIN moved m ON true
$$;

-- Holds: each is what its HOLD transfer has set aside, and what has become of that since.
CREATE FUNCTION engage.ledger_verify_holds(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH wrong AS MATERIALIZED (
    SELECT h.id, c.*
      FROM engage.ledger_derived_holds(p_after, p_last) d
     CROSS JOIN LATERAL (SELECT * FROM holds x WHERE x.id = d.id OFFSET 0) h
      LEFT JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = d.id AND x.kind = 'HOLD' OFFSET 0) t ON true
      LEFT JOIN LATERAL (SELECT * FROM accounts x WHERE x.id = h.account_id OFFSET 0) a ON true
      LEFT JOIN LATERAL (SELECT * FROM gifts x WHERE x.id = d.id OFFSET 0) g ON true
     CROSS JOIN LATERAL (VALUES
        (1, t.id IS NULL, 'transfer', NULL, 'a HOLD'),
        (2, h.amount <> t.amount, 'amount', h.amount::text, t.amount::text),
        (3, h.account_id <> t.account_id AND NOT engage.ledger_merged(t.account_id, h.account_id), 'account',
         h.account_id::text, t.account_id::text),
        (4, h.member_id <> a.member_id, 'member', h.member_id::text, a.member_id::text),
        (5, (h.purpose = 'GIFT') <> (g.id IS NOT NULL), 'purpose', h.purpose, CASE WHEN g.id IS NULL THEN 'SPEND' ELSE 'GIFT' END),
        (6, h.created_at <> t.posted_at, 'created at', h.created_at::text, t.posted_at::text),
        (7, h.remaining <> d.remaining, 'remaining', h.remaining::text, d.remaining::text),
        (8, h.lots <> d.lots, 'lots', h.lots::text, d.lots::text),
        (9, h.takes <> d.takes, 'takes', h.takes::text, d.takes::text),
        (10, h.state <> d.state, 'state', h.state, d.state),
        (11, h.closed_at IS DISTINCT FROM d.closed_at, 'closed at', h.closed_at::text, d.closed_at::text)
      ) AS c (rank, broken, rule, stored, expected)
     WHERE c.broken
  )
  SELECT 'holds', id::text, rule, stored, expected FROM wrong ORDER BY wrong.id, rank LIMIT 1
$$;

-- Debts: each is what its transfer has left owing, and what has become of that since. The lot that it names is one that
-- was taken back.
CREATE FUNCTION engage.ledger_verify_debts(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH wrong AS MATERIALIZED (
    SELECT b.id, c.*
      FROM engage.ledger_derived_debts(p_after, p_last) d
     CROSS JOIN LATERAL (SELECT * FROM debts x WHERE x.id = d.id OFFSET 0) b
      LEFT JOIN LATERAL (
        SELECT * FROM transfers x WHERE x.id = d.id AND x.kind IN ('CLAWBACK', 'DEDUCT') OFFSET 0) t ON true
     CROSS JOIN LATERAL (VALUES
        (1, t.id IS NULL OR d.amount IS NULL, 'transfer', NULL, 'one that made debt'),
        (2, b.amount <> d.amount, 'amount', b.amount::text, d.amount::text),
        (3, b.account_id <> t.account_id AND NOT engage.ledger_merged(t.account_id, b.account_id), 'account',
         b.account_id::text, t.account_id::text),
        (4, b.created_at <> t.posted_at, 'created at', b.created_at::text, t.posted_at::text),
        (5, CASE WHEN b.lot_id IS NULL THEN EXISTS (
                   SELECT FROM lots l WHERE l.source_id = t.reverses_id AND l.account_id = t.account_id)
                 ELSE NOT engage.ledger_descends(b.lot_id, t.reverses_id) OR NOT EXISTS (
                   SELECT FROM lots l WHERE l.id = b.lot_id
                      AND (l.account_id = t.account_id OR engage.ledger_merged(l.account_id, t.account_id))) END,
         'lot', b.lot_id::text, CASE WHEN t.reverses_id IS NOT NULL THEN 'one that was taken back' END),
        (6, b.remaining <> d.remaining, 'remaining', b.remaining::text, d.remaining::text),
        (7, b.forgiven <> d.forgiven, 'forgiven', b.forgiven::text, d.forgiven::text),
        (8, b.returned <> d.returned, 'returned', b.returned::text, d.returned::text)
      ) AS c (rank, broken, rule, stored, expected)
     WHERE c.broken
  )
  SELECT 'debts', id::text, rule, stored, expected FROM wrong ORDER BY wrong.id, rank LIMIT 1
$$;
