-- Figures of a program's books, gross by kind of transfer, and what follows from them: what is outstanding. They are
-- effective: what has expired unswept counts as expired, and what has matured unswept has paid its debt.

CREATE FUNCTION engage.ledger_totals(p_program text, p_currency text, p_now timestamptz)
RETURNS TABLE (members bigint, moved jsonb, reversed bigint, lapsed bigint, debt bigint, outstanding bigint)
LANGUAGE sql STABLE AS $$
  WITH book AS (
    SELECT engage.ledger_currency(p_program, p_currency) AS id
  ), kinds AS (
    SELECT t.kind, sum(t.amount)::bigint AS amount, coalesce(sum(t.amount) FILTER (WHERE t.reverses_id IS NOT NULL), 0) AS back
      FROM transfers t WHERE t.currency_id = (SELECT id FROM book) GROUP BY t.kind
  ), moved AS (
    SELECT coalesce(jsonb_object_agg(k.kind, k.amount), '{}') AS kinds, coalesce(sum(k.back), 0)::bigint AS reversed
      FROM kinds k
  ), kept AS (
    SELECT count(*) AS members, coalesce(sum(a.available + a.pending + a.held - a.debt), 0)::bigint AS points,
           coalesce(sum(a.debt), 0)::bigint AS debt
      FROM accounts a WHERE a.currency_id = (SELECT id FROM book) AND a.member_id IS NOT NULL
  ), late AS (
    SELECT coalesce(sum(a.available + a.pending + a.held - a.debt - e.available - e.pending - e.held + e.debt), 0)::bigint
             AS points, coalesce(sum(a.debt - e.debt), 0)::bigint AS debt
      FROM accounts a, engage.ledger_effective(a, p_now) e
     WHERE a.currency_id = (SELECT id FROM book) AND a.next_due_at <= p_now
  )
  SELECT kept.members, moved.kinds, moved.reversed, late.points, kept.debt - late.debt, kept.points - late.points
    FROM moved, kept, late
$$;
