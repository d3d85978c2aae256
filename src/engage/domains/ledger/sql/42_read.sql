-- What others may read of the ledger. Each answers (key = member id, value = JSON), so that several can be fetched in
-- one round trip (engage.base.readings.fetch_together).

-- The accounts of members in a program, one look-up each: LIMIT keeps the planner from reading all accounts of the
-- program, which it takes for few when it plans for any number of members.
CREATE FUNCTION engage.ledger_accounts(p_members uuid[], p_program text, p_kind text DEFAULT 'POINTS')
RETURNS SETOF accounts LANGUAGE sql STABLE AS $$
  SELECT a.* FROM unnest(p_members) AS m
   CROSS JOIN LATERAL (SELECT * FROM accounts x
     WHERE x.member_id = m AND x.currency_id = (SELECT engage.ledger_currency(p_program, p_kind)) LIMIT 1) a
$$;

CREATE FUNCTION engage.ledger_balances(p_members uuid[], p_program text, p_now timestamptz)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT a.member_id::text,
         json_build_object('available', e.available, 'pending', e.pending, 'held', e.held, 'debt', e.debt)
    FROM engage.ledger_accounts(p_members, p_program) a, engage.ledger_effective(a, p_now) e
$$;

-- What is left of each lot, by the day on which it expires in the program's zone: adds up to `available`.
-- The first `p_first` days one by one, what comes later in one figure, what never expires in another.
CREATE FUNCTION engage.ledger_expiry_schedules(p_members uuid[], p_program text, p_first int, p_now timestamptz)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  WITH days AS (
    SELECT a.member_id, (l.expires_at AT TIME ZONE (SELECT engage.program_zone(p_program)))::date AS day,
           sum(l.remaining) AS amount
      FROM engage.ledger_accounts(p_members, p_program) a, engage.ledger_effective_lots(a, p_now) l
     WHERE l.usable AND l.remaining > 0
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
