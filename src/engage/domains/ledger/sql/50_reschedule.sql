-- A policy holds for the points that come after it. Points that are there get their ends by another policy only by an
-- explicit command, after a preview; nobody loses any sooner than a notice from then on.

-- The end that a lot would have by a policy. One that was given by hand stays; so does that of points which wait to be
-- confirmed and have none yet. Inactivity counts from now on. What would come sooner comes no sooner than `p_earliest`.
CREATE FUNCTION engage.ledger_new_end(
  l lots, p points_policies, p_zone text, p_now timestamptz, p_earliest timestamptz
) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN l.fixed_end OR l.usable_at IS NULL THEN l.expires_at
              WHEN n.at IS NULL OR n.at >= l.expires_at THEN n.at
              ELSE least(l.expires_at, greatest(n.at, p_earliest)) END
    FROM (SELECT engage.ledger_expiry(p, p_zone, CASE p.expiry_kind WHEN 'INACTIVITY' THEN greatest(p_now, l.usable_at)
                                                                    ELSE l.usable_at END) AS at) n
$$;

CREATE FUNCTION engage.ledger_policy_version(p_program text, p_version int) RETURNS points_policies
LANGUAGE sql STABLE AS $$
  SELECT * FROM points_policies WHERE program_code = p_program AND version = p_version
$$;

-- What expires when, by months of the program's zone: of one member or of all, as the ends are and, where a version is
-- named, as they would be by it. [month or null for never, points now, points then] in order, and how much would come
-- sooner or later.
CREATE FUNCTION engage.ledger_preview(
  p_program text, p_member uuid, p_version int, p_notice text, p_now timestamptz
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_policy points_policies := engage.ledger_policy_version(p_program, p_version);
  v_zone text := engage.program_zone(p_program);
  v_earliest timestamptz := engage.ledger_after(p_program, p_now, p_notice);
  v_accounts uuid[]; v_answer jsonb;
BEGIN
  IF p_member IS NOT NULL THEN
    v_accounts := ARRAY(SELECT id FROM accounts
      WHERE member_id = p_member AND currency_id = engage.ledger_currency(p_program));
  END IF;
  WITH theirs AS (
    SELECT l.remaining, l.expires_at AS now_at, l AS lot FROM unnest(v_accounts) a, engage.ledger_live_lots(a) l
    UNION ALL
    SELECT l.remaining, l.expires_at, l FROM accounts a, engage.ledger_live_lots(a.id) l
     WHERE p_member IS NULL AND a.currency_id = engage.ledger_currency(p_program) AND a.member_id IS NOT NULL
  ), ends AS (
    SELECT t.remaining, t.now_at, CASE WHEN v_policy.id IS NULL THEN t.now_at ELSE
             engage.ledger_new_end(t.lot, v_policy, v_zone, p_now, v_earliest) END AS then_at
      FROM theirs t WHERE t.now_at IS NULL OR t.now_at > p_now
  ), months AS (
    SELECT date_trunc('month', e.at AT TIME ZONE v_zone)::date AS month, sum(e.present)::bigint AS present,
           sum(e.proposed)::bigint AS proposed
      FROM (SELECT now_at AS at, remaining AS present, 0 AS proposed FROM ends
            UNION ALL SELECT then_at, 0, remaining FROM ends) e
     GROUP BY 1
  )
  SELECT jsonb_build_object(
      'lines', (SELECT coalesce(jsonb_agg(jsonb_build_array(m.month, m.present, m.proposed) ORDER BY m.month), '[]')
                  FROM months m),
      'lots', count(*) FILTER (WHERE e.now_at IS DISTINCT FROM e.then_at),
      'sooner', coalesce(sum(e.remaining) FILTER (WHERE e.then_at < coalesce(e.now_at, 'infinity')), 0),
      'later', coalesce(sum(e.remaining) FILTER (WHERE coalesce(e.then_at, 'infinity') > e.now_at), 0))
    INTO v_answer FROM ends e;
  RETURN v_answer;
END $$;

-- Give the lots of the next `p_limit` accounts after `p_after` their ends by a version, and say so to each member whom
-- it concerns. However late, no end is put into the past: what was told of a balance stays true. Answers the last account (NULL when there are no more), how many lots were changed, and the events.
CREATE FUNCTION engage.ledger_reschedule(
  p_program text, p_version int, p_earliest timestamptz, p_after uuid, p_limit int, p_now timestamptz,
  p_handlers jsonb, OUT last_account uuid, OUT accounts int, OUT lots bigint, OUT rings jsonb
) LANGUAGE plpgsql AS $$
DECLARE
  v_policy points_policies := engage.ledger_policy_version(p_program, p_version);
  v_zone text := engage.program_zone(p_program);
  v_ids uuid[]; v_streams text[]; v_data jsonb[];
BEGIN
  v_ids := ARRAY(SELECT a.id FROM public.accounts a
    WHERE a.currency_id = engage.ledger_currency(p_program) AND a.member_id IS NOT NULL AND a.id > p_after
    ORDER BY a.id LIMIT p_limit);
  accounts := cardinality(v_ids);
  last_account := CASE WHEN accounts = p_limit THEN v_ids[p_limit] END;
  PERFORM FROM engage.members_lock_all(ARRAY(SELECT a.member_id FROM public.accounts a WHERE a.id = ANY (v_ids)));
  SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') INTO rings FROM engage.ledger_settle(ARRAY(
    SELECT a.id FROM public.accounts a WHERE a.id = ANY (v_ids) AND a.next_due_at <= p_now), p_now, p_handlers) s;
  WITH ends AS (
    SELECT l.id, l.account_id, l.member_id, l.remaining, l.expires_at AS now_at,
           engage.ledger_new_end(l, v_policy, v_zone, p_now, greatest(p_earliest, p_now)) AS then_at,
           v_policy.expiry_kind = 'INACTIVITY' AND NOT l.fixed_end AND l.usable_at IS NOT NULL AS idle, l.idle AS was_idle
      FROM unnest(v_ids) AS a, engage.ledger_live_lots(a) l
  ), moved AS (
    SELECT * FROM ends WHERE then_at IS DISTINCT FROM now_at OR idle <> was_idle
  ), changed AS (
    UPDATE public.lots l SET expires_at = m.then_at, idle = m.idle FROM moved m WHERE l.id = m.id
  ), dues AS (
    UPDATE public.accounts a SET idle = a.idle OR s.idle, next_due_at = least(a.next_due_at, s.due_at)
      FROM (SELECT account_id, bool_or(idle) AS idle, min(then_at) AS due_at FROM moved GROUP BY account_id) s
     WHERE a.id = s.account_id
  ), told AS (
    SELECT member_id, coalesce(sum(remaining) FILTER (WHERE then_at < coalesce(now_at, 'infinity')), 0) AS sooner,
           coalesce(sum(remaining) FILTER (WHERE coalesce(then_at, 'infinity') > now_at), 0) AS later
      FROM moved GROUP BY member_id
  )
  SELECT (SELECT count(*) FROM moved), array_agg('member:' || t.member_id ORDER BY t.member_id),
         array_agg(jsonb_build_object('member_id', t.member_id, 'program', p_program, 'version', p_version,
                     'sooner', t.sooner, 'later', t.later) ORDER BY t.member_id)
    INTO lots, v_streams, v_data FROM told t WHERE t.sooner > 0 OR t.later > 0;
  IF v_streams IS NOT NULL THEN
    rings := rings || (SELECT jsonb_agg(to_jsonb(e)) FROM engage.record_events(v_streams,
      array_fill('ledger.expiry_changed.v1'::text, ARRAY[cardinality(v_streams)]), v_data, p_now, p_handlers) e);
  END IF;
END $$;
