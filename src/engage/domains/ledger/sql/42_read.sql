-- What others may read of the ledger. Each answers (key = member id, value = JSON), so that several can be fetched in
-- one round trip (engage.base.db.fetch_together).

-- The accounts of members in a program, one look-up each: LIMIT keeps the planner from reading all accounts of the
-- program, which it takes for few when it plans for any number of members.
CREATE FUNCTION engage.ledger_accounts(p_members uuid[], p_program text) RETURNS SETOF accounts
LANGUAGE sql STABLE AS $$
  SELECT a.* FROM unnest(p_members) AS m
   CROSS JOIN LATERAL (SELECT * FROM accounts x
     WHERE x.member_id = m AND x.currency_id = (SELECT engage.ledger_currency(p_program)) LIMIT 1) a
$$;

CREATE FUNCTION engage.ledger_balances(p_members uuid[], p_program text, p_now timestamptz)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT a.member_id::text,
         json_build_object('available', e.available, 'pending', e.pending, 'held', a.held, 'debt', a.debt)
    FROM engage.ledger_accounts(p_members, p_program) a, engage.ledger_effective(a, p_now) e
$$;

-- What is left of each lot, by the day on which it expires in the program's zone: adds up to `available`.
-- The first `p_first` days one by one, what comes later in one figure, what never expires in another.
CREATE FUNCTION engage.ledger_expiry_schedules(p_members uuid[], p_program text, p_first int, p_now timestamptz)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  WITH days AS (
    SELECT l.member_id, (l.expires_at AT TIME ZONE (SELECT engage.program_zone(p_program)))::date AS day,
           sum(l.remaining) AS amount
      FROM engage.ledger_accounts(p_members, p_program) a, engage.ledger_live_lots(a.id) l
     WHERE l.usable_at <= p_now AND (l.expires_at IS NULL OR l.expires_at > p_now)
     GROUP BY 1, 2
  ), ranked AS (
    SELECT d.*, row_number() OVER (PARTITION BY d.member_id ORDER BY d.day) AS nth FROM days d
  )
  SELECT member_id::text, json_build_object(
      'lines', coalesce(json_agg(json_build_array(day, amount) ORDER BY day)
                        FILTER (WHERE day IS NOT NULL AND nth <= p_first), '[]'),
      'later', coalesce(sum(amount) FILTER (WHERE day IS NOT NULL AND nth > p_first), 0),
      'never', coalesce(sum(amount) FILTER (WHERE day IS NULL), 0))
    FROM ranked GROUP BY member_id
$$;

-- A page of the statement, newest first, below a version. One row more than asked for tells that there are more.
CREATE FUNCTION engage.ledger_statements(p_members uuid[], p_program text, p_first int, p_below bigint)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT a.member_id::text, (
      SELECT coalesce(json_agg(json_build_array(t.id, t.kind,
               CASE WHEN t.kind IN ('SPEND', 'EXPIRE') THEN -t.amount ELSE t.amount END, t.reason, t.cause_type,
               t.cause_id, t.posted_at, t.balance_after, t.version_after)), '[]')
        FROM (SELECT * FROM transfers x
               WHERE x.account_id = a.id AND x.version_after < p_below
               ORDER BY x.version_after DESC LIMIT p_first + 1) t)
    FROM engage.ledger_accounts(p_members, p_program) a
$$;

-- Figures of a program, gross of reversals. Outstanding is effective: what has expired unswept is not in it.
CREATE FUNCTION engage.ledger_program_totals(p_program text, p_now timestamptz)
RETURNS TABLE (members bigint, issued bigint, spent bigint, expired bigint, reversed bigint, outstanding bigint)
LANGUAGE sql STABLE AS $$
  WITH moved AS (
    SELECT coalesce(sum(amount) FILTER (WHERE kind = 'EARN'), 0)::bigint AS issued,
           coalesce(sum(amount) FILTER (WHERE kind = 'SPEND'), 0)::bigint AS spent,
           coalesce(sum(amount) FILTER (WHERE kind = 'EXPIRE'), 0)::bigint AS expired,
           coalesce(sum(amount) FILTER (WHERE reverses_id IS NOT NULL), 0)::bigint AS reversed
      FROM transfers WHERE currency_id = engage.ledger_currency(p_program)
  ), kept AS (
    SELECT count(*) AS members, coalesce(sum(available + pending + held - debt), 0)::bigint AS points
      FROM accounts WHERE currency_id = engage.ledger_currency(p_program) AND member_id IS NOT NULL
  ), lapsed AS (
    SELECT coalesce(sum(l.remaining), 0)::bigint AS points
      FROM accounts a, engage.ledger_live_lots(a.id) l
     WHERE a.currency_id = engage.ledger_currency(p_program) AND a.next_due_at <= p_now AND l.expires_at <= p_now
  )
  SELECT kept.members, moved.issued, moved.spent, moved.expired + lapsed.points, moved.reversed,
         kept.points - lapsed.points
    FROM moved, kept, lapsed
$$;
