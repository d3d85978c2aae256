-- The rules of a program's ledger: which version holds at a moment, and when points expire by it.

-- The version that holds: the newest whose time has come. An older one that comes due later is passed over, so that
-- publishing again takes back what was planned. Where none was published, version 0 is made of the program itself.
-- NULL for an unknown program.
CREATE FUNCTION engage.ledger_policy(p_program text, p_now timestamptz) RETURNS points_policies
LANGUAGE plpgsql STABLE AS $$
DECLARE
  p points_policies;
BEGIN
  SELECT * INTO p FROM points_policies x
   WHERE x.program_code = p_program AND x.effective_at <= p_now ORDER BY x.version DESC LIMIT 1;
  IF FOUND THEN RETURN p; END IF;
  SELECT t.id, p_program, 0, t.created_at, t.created_at, 'system',
         CASE WHEN t.points_valid_for IS NULL THEN 'NEVER' ELSE 'ROLLING' END, t.points_valid_for, 'NONE',
         '["EARN", "SPEND"]', 'LOST', 'P30D', 0, 0, 'KEEP', 1, 'RENEW', '[]'
    INTO p.program_id, p.program_code, p.version, p.effective_at, p.published_at, p.published_by,
         p.expiry_kind, p.expiry_after, p.expiry_round,
         p.expiry_activities, p.returned_kind, p.hold_longest, p.gift_fee_per_mille, p.gift_fee_fixed, p.gift_expiry,
         p.gift_hops_max, p.exchange_expiry, p.top_up_bonus
    FROM engage.program_terms(p_program) t;
  IF NOT FOUND THEN RETURN NULL; END IF;
  RETURN p;
END $$;

CREATE FUNCTION engage.ledger_period(p_period text) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_period WHEN 'DAY' THEN interval '1 day' WHEN 'MONTH' THEN interval '1 month'
                       WHEN 'QUARTER' THEN interval '3 months' WHEN 'YEAR' THEN interval '1 year' END
$$;

-- The end of the period that holds a local moment, which is the first moment of the next one.
CREATE FUNCTION engage.ledger_round_up(p_local timestamp, p_round text) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_round WHEN 'NONE' THEN p_local ELSE date_trunc(p_round, p_local) + engage.ledger_period(p_round) END
$$;

-- The next end of this day of the year after a local moment. Counted from 2000, a leap year, so that 29 February is
-- the 28th in common years.
CREATE FUNCTION engage.ledger_yearly(p_local timestamp, p_month int, p_day int) RETURNS timestamp
LANGUAGE sql IMMUTABLE AS $$
  SELECT make_date(2000, p_month, p_day) + make_interval(days => 1, years => extract(year FROM p_local)::int - 2000
    + CASE WHEN p_local < make_date(2000, p_month, p_day)
                          + make_interval(days => 1, years => extract(year FROM p_local)::int - 2000)
           THEN 0 ELSE 1 END)
$$;

-- When points that become usable at a moment expire by a policy: calendar arithmetic in the program's zone, so that
-- 31 January and one month is the last day of February. Expired from this moment on; NULL means never.
CREATE FUNCTION engage.ledger_expiry(p points_policies, p_zone text, p_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT CASE p.expiry_kind
           WHEN 'ROLLING' THEN
             engage.ledger_round_up(p_at AT TIME ZONE p_zone + p.expiry_after::interval, p.expiry_round)
           WHEN 'INACTIVITY' THEN
             engage.ledger_round_up(p_at AT TIME ZONE p_zone + p.expiry_after::interval,
                                    CASE p.expiry_round WHEN 'NONE' THEN 'DAY' ELSE p.expiry_round END)
           WHEN 'FIXED' THEN
             engage.ledger_yearly(p_at AT TIME ZONE p_zone, p.expiry_month, p.expiry_day)
           WHEN 'CALENDAR' THEN
             date_trunc(p.expiry_period, p_at AT TIME ZONE p_zone)
               + (p.expiry_count + 1) * engage.ledger_period(p.expiry_period)
         END AT TIME ZONE p_zone
$$;

CREATE TRIGGER points_policies_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON points_policies
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
