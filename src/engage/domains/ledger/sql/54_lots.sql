-- Lots as they stand at a moment, what moved them, where their points came from and where they went.

-- What remains of lots and what is held of them is effective, and adds up to the balance: time's doing counts though it
-- is not posted yet.
CREATE FUNCTION engage.ledger_lot_rows(p_lots uuid[], p_now timestamptz) RETURNS TABLE (id uuid, value json)
LANGUAGE sql STABLE AS $$
  WITH wanted AS (
    SELECT l AS lot, a AS account, a.next_due_at <= p_now AS due, c.program_code, c.kind AS currency
      FROM lots l JOIN accounts a ON a.id = l.account_id JOIN currencies c ON c.id = a.currency_id
     WHERE l.id = ANY (p_lots)
  ), effective AS (
    SELECT e.lot, sum(e.remaining)::bigint AS remaining
      FROM (SELECT DISTINCT ON ((w.account).id) w.account FROM wanted w WHERE w.due) o
     CROSS JOIN LATERAL engage.ledger_effective_lots(o.account, p_now) e
     GROUP BY e.lot
  ), given_back AS (
    SELECT t.lot, sum(t.take)::bigint AS take
      FROM (SELECT DISTINCT (w.account).id, (w.account).member_id FROM wanted w WHERE w.due) o
      JOIN holds h ON h.account_id = o.id AND h.state = 'OPEN' AND h.deadline <= engage.ledger_until(o.member_id, p_now)
     CROSS JOIN LATERAL unnest(h.lots, h.takes) AS t (lot, take)
     GROUP BY t.lot
  ), told AS (
    SELECT w.*, CASE WHEN w.due THEN coalesce(e.remaining, 0) ELSE (w.lot).remaining END AS remaining,
           (w.lot).held - coalesce(g.take, 0) AS held
      FROM wanted w LEFT JOIN effective e ON e.lot = (w.lot).id LEFT JOIN given_back g ON g.lot = (w.lot).id
  )
  SELECT (t.lot).id, json_build_array((t.lot).id, (t.lot).member_id, t.program_code, t.currency,
           CASE t.currency WHEN 'CASH' THEN engage.program_money(t.program_code) END,
           CASE WHEN t.remaining = 0 THEN 'CLOSED' WHEN (t.lot).usable_at <= p_now THEN 'OPEN' ELSE 'PENDING' END,
           (t.lot).amount, t.remaining, t.held, (t.lot).earned_at, (t.lot).usable_at, (t.lot).expires_at, (t.lot).hops,
           engage.ledger_transfer_link(s))
    FROM told t JOIN transfers s ON s.id = (t.lot).source_id
$$;

CREATE FUNCTION engage.ledger_lots(p_lots uuid[], p_now timestamptz) RETURNS TABLE (key text, value json)
LANGUAGE sql STABLE AS $$
  SELECT r.id::text, r.value FROM engage.ledger_lot_rows(p_lots, p_now) r
$$;

-- A lot at the other end of a gift, an exchange, a merge or a reissue: with the transfer that made it.
CREATE FUNCTION engage.ledger_lot_link(l lots) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_array(l.id, l.amount, engage.ledger_transfer_link(t)) FROM transfers t WHERE t.id = l.source_id
$$;

-- The lots from which lots descend, the nearest first, back to the first earning; a hundred at the most.
CREATE FUNCTION engage.ledger_lot_origins(p_lots uuid[]) RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT w.id::text, (
      WITH RECURSIVE line AS (
        SELECT o.id, o.origin_lot_id, 1 AS step FROM lots l JOIN lots o ON o.id = l.origin_lot_id WHERE l.id = w.id
        UNION ALL
        SELECT o.id, o.origin_lot_id, n.step + 1 FROM line n JOIN lots o ON o.id = n.origin_lot_id WHERE n.step < 100
      )
      SELECT coalesce(json_agg(engage.ledger_lot_link(o) ORDER BY n.step), '[]') FROM line n JOIN lots o ON o.id = n.id)
    FROM unnest(p_lots) AS w (id)
$$;
