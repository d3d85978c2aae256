-- One batch of reminders, over the accounts after `p_after`. A day of expiry is reminded of once for each distance in
-- `p_days`: when it has come within that distance, however late the job is. What comes due for one member at once is
-- summed into one event. Answers the last account of the batch (NULL when there are no more) and the events.
CREATE FUNCTION engage.ledger_remind(
  p_days int[], p_after uuid, p_limit int, p_now timestamptz, p_handlers jsonb, OUT last_account uuid, OUT rings jsonb
) LANGUAGE plpgsql AS $$
DECLARE
  v_horizon timestamptz := p_now + make_interval(days => (SELECT max(d) + 1 FROM unnest(p_days) AS d));
  v_accounts uuid[]; v_streams text[]; v_data jsonb[];
BEGIN
  v_accounts := ARRAY(
    SELECT DISTINCT account_id FROM lots
     WHERE account_id > p_after AND state = 'OPEN' AND expires_at > p_now AND expires_at <= v_horizon
     ORDER BY account_id LIMIT p_limit);
  last_account := CASE WHEN cardinality(v_accounts) = p_limit THEN v_accounts[p_limit] END;

  WITH days AS (
    SELECT a.id AS account_id, a.member_id, c.program_code, zone,
           (l.expires_at AT TIME ZONE zone)::date AS day, sum(l.remaining)::bigint AS amount
      FROM accounts a
      JOIN currencies c ON c.id = a.currency_id
      CROSS JOIN LATERAL engage.program_zone(c.program_code) AS zone
      JOIN lots l ON l.account_id = a.id
     WHERE a.id = ANY (v_accounts) AND l.state = 'OPEN' AND l.expires_at > p_now AND l.expires_at <= v_horizon
     GROUP BY 1, 2, 3, 4, 5
  ), near AS (
    SELECT d.*, (SELECT min(n) FROM unnest(p_days) AS n
                  WHERE d.day - (p_now AT TIME ZONE d.zone)::date <= n) AS days_before
      FROM days d
  ), fresh AS (
    INSERT INTO expiry_reminders (id, account_id, expires_on, days_before, amount, created_at)
      SELECT engage.uuid7(p_now), account_id, day, days_before, amount, p_now FROM near WHERE days_before IS NOT NULL
      ON CONFLICT (account_id, expires_on, days_before) DO NOTHING
      RETURNING account_id, expires_on, days_before, amount
  ), told AS (
    SELECT n.member_id, n.program_code, f.days_before, sum(f.amount) AS amount, min(f.expires_on) AS expires_on
      FROM fresh f JOIN near n ON n.account_id = f.account_id AND n.day = f.expires_on
     GROUP BY 1, 2, 3
  )
  SELECT array_agg('member:' || t.member_id ORDER BY t.member_id, t.days_before),
         array_agg(jsonb_build_object('member_id', t.member_id, 'program', t.program_code, 'amount', t.amount,
                     'expires_on', t.expires_on, 'days_before', t.days_before) ORDER BY t.member_id, t.days_before)
    INTO v_streams, v_data FROM told t;

  SELECT coalesce(jsonb_agg(to_jsonb(e)), '[]') INTO rings FROM engage.record_events(
    coalesce(v_streams, '{}'),
    array_fill('ledger.points_expiring.v1'::text, ARRAY[coalesce(cardinality(v_streams), 0)]),
    coalesce(v_data, '{}'), p_now, p_handlers) e;
END $$;
