-- The kernel's commands. Each is one statement for its caller: lock the member, look the key up, decide, post, take the
-- stream's position last. Refusals are values; an SQL error means a fault.

-- Spend points from the lots that expire first (design/ledger, rule 2).
-- Answers {transfer_id, member_id, program, amount, balance, position, posted_at, replayed, rings} or {refusal, …}.
CREATE FUNCTION engage.ledger_spend(
  p_key uuid, p_input_hash bytea, p_keep_until timestamptz, p_transfer uuid, p_event uuid,
  p_member uuid, p_program text, p_amount bigint, p_reason text, p_cause_type text, p_cause_id text,
  p_actor text, p_now timestamptz, p_handlers jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_member uuid; v_state text; v_answer jsonb; v_rings jsonb := '[]';
  a accounts; v_currency uuid; v_balance jsonb; v_data jsonb; v_position bigint;
  v_left bigint := p_amount; v_take bigint; v_lot record;
  v_lots uuid[] := '{}'; v_takes bigint[] := '{}';
BEGIN
  SELECT m.id, m.state INTO v_member, v_state FROM engage.members_lock(p_member) m;
  IF v_member IS NULL THEN RETURN '{"refusal": "NOT_FOUND", "what": "memberId"}'; END IF;
  v_answer := engage.idempotency_find(p_key, p_input_hash);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF v_state <> 'ACTIVE' THEN
    RETURN jsonb_build_object('refusal', 'MEMBER_NOT_ACTIVE', 'state', v_state);
  END IF;
  v_currency := engage.ledger_currency(p_program);
  IF v_currency IS NULL AND engage.program_id(p_program) IS NULL THEN RETURN '{"refusal": "NOT_FOUND", "what": "program"}'; END IF;

  SELECT * INTO a FROM accounts WHERE member_id = v_member AND currency_id = v_currency;
  IF a.next_due_at <= p_now THEN
    SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') INTO v_rings
      FROM engage.ledger_settle(ARRAY[a.id], p_now, p_handlers) s;
    SELECT * INTO a FROM accounts WHERE id = a.id;
  END IF;
  IF coalesce(a.available, 0) < p_amount THEN
    RETURN jsonb_build_object('refusal', 'INSUFFICIENT_POINTS', 'available', coalesce(a.available, 0),
                              'required', p_amount, 'rings', v_rings);
  END IF;

  FOR v_lot IN SELECT id, remaining FROM lots WHERE account_id = a.id AND state = 'OPEN'
               ORDER BY expires_at, earned_at, id LOOP
    v_take := least(v_left, v_lot.remaining);
    v_lots := v_lots || v_lot.id;
    v_takes := v_takes || v_take;
    v_left := v_left - v_take;
    EXIT WHEN v_left = 0;
  END LOOP;
  IF v_left > 0 THEN
    RAISE EXCEPTION 'the lots of account % hold less than its balance; run engage ledger verify', a.id
      USING ERRCODE = 'data_corrupted';
  END IF;

  INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, cause_type, cause_id, actor_id,
                         posted_at, balance_after, version_after)
    VALUES (p_transfer, v_member, v_currency, a.id, 'SPEND', p_amount, p_reason, p_cause_type, p_cause_id, p_actor,
            p_now, a.available - p_amount, a.version + 1);
  INSERT INTO entries (transfer_id, account_id, bucket, amount, balance_after, version) VALUES
    (p_transfer, a.id, 'AVAILABLE', -p_amount, a.available - p_amount, a.version + 1),
    (p_transfer, engage.ledger_house(v_currency, 'REDEEMED'), 'HOUSE', p_amount, NULL, NULL);
  UPDATE lots SET remaining = remaining - t.take, state = CASE WHEN remaining = t.take THEN 'CLOSED' ELSE state END
    FROM unnest(v_lots, v_takes) AS t (lot, take) WHERE id = t.lot;
  INSERT INTO allocations (transfer_id, lot_id, amount)
    SELECT p_transfer, t.lot, -t.take FROM unnest(v_lots, v_takes) AS t (lot, take);
  UPDATE accounts SET available = available - p_amount, version = version + 1 WHERE id = a.id;

  v_balance := engage.ledger_figures(a.available - p_amount, a.pending, a.held, a.debt);
  v_data := engage.ledger_event(v_member, p_program, p_transfer, 'SPEND', -p_amount, p_reason, p_cause_type, p_cause_id,
                                p_now, v_balance);
  v_position := engage.record_event(p_event, 'member:' || v_member, 'ledger.points_spent.v1', v_data, p_now, p_handlers);
  v_answer := v_data || jsonb_build_object('position', v_position, 'replayed', false);
  PERFORM engage.idempotency_save(p_key, p_input_hash, v_answer, p_keep_until);
  RETURN v_answer || jsonb_build_object('rings', v_rings || jsonb_build_object(
    'stream', 'member:' || v_member, 'position', v_position, 'name', 'ledger.points_spent.v1', 'data', v_data));
END $$;

-- Post earnings of many members in one program, in the order given. The caller holds the members' locks and names
-- survivors of merges only. Lines of amount 0 open the account and move nothing. An expiry that is NULL is set by the
-- program's policy, counted from when the points can be used. What has expired already is issued and expired, both visible.
-- Answers the events in order; those of the earnings carry the line's number in `line`.
-- LATERAL with LIMIT keeps each look-up on its index, also under a plan made when the tables were small.
CREATE FUNCTION engage.ledger_post_earnings(
  p_program text, p_members uuid[], p_transfers uuid[], p_amounts bigint[], p_earned timestamptz[],
  p_usable timestamptz[], p_expires timestamptz[], p_reasons text[], p_cause_types text[], p_cause_ids text[],
  p_actor text, p_now timestamptz, p_handlers jsonb
) RETURNS TABLE (line bigint, stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_currency uuid := engage.ledger_open(p_program, p_now);
  v_house uuid; v_accounts uuid[]; v_due uuid[]; v_lines bigint[]; v_streams text[]; v_data jsonb[];
BEGIN
  v_house := engage.ledger_house(v_currency, 'ISSUED');
  INSERT INTO accounts (id, currency_id, kind, member_id)
    SELECT engage.uuid7(p_now), v_currency, 'MEMBER', d.m FROM (SELECT DISTINCT unnest(p_members) AS m) d
      LEFT JOIN LATERAL (SELECT a.id FROM accounts a
                          WHERE a.member_id = d.m AND a.currency_id = v_currency LIMIT 1) known ON true
     WHERE known.id IS NULL
    ON CONFLICT DO NOTHING;
  SELECT array_agg(a.id), array_agg(a.id) FILTER (WHERE a.next_due_at <= p_now) INTO v_accounts, v_due
    FROM (SELECT DISTINCT unnest(p_members) AS m) d
   CROSS JOIN LATERAL (SELECT id, next_due_at FROM accounts
                        WHERE member_id = d.m AND currency_id = v_currency LIMIT 1) a;
  IF v_due IS NOT NULL THEN
    RETURN QUERY SELECT NULL::bigint, s.* FROM engage.ledger_settle(v_due, p_now, p_handlers) s;
  END IF;

  WITH lines AS (
    SELECT g.*, a.id AS account_id, a.held, a.debt, engage.uuid7(p_now) AS lot_id,
           CASE WHEN g.usable > p_now THEN g.amount ELSE 0 END AS later,
           CASE WHEN g.usable > p_now THEN 0 ELSE g.amount END AS at_once,
           coalesce(g.expires, engage.program_expiry(p_program, greatest(g.earned, g.usable))) AS expires_at,
           a.version AS version_before, a.available AS available_before, a.pending AS pending_before
      FROM (SELECT * FROM unnest(p_members, p_transfers, p_amounts, p_earned, p_usable, p_expires, p_reasons,
                                 p_cause_types, p_cause_ids)
              WITH ORDINALITY AS u (member_id, transfer_id, amount, earned, usable, expires, reason,
                                    cause_type, cause_id, ord)) g
      JOIN accounts a ON a.member_id = g.member_id AND a.currency_id = v_currency
     WHERE g.amount > 0
  ), running AS (
    SELECT l.*, l.version_before + row_number() OVER w AS version_after,
           (l.available_before + sum(l.at_once) OVER w)::bigint AS available_after,
           (l.pending_before + sum(l.later) OVER w)::bigint AS pending_after
      FROM lines l WINDOW w AS (PARTITION BY l.account_id ORDER BY l.ord)
  ), transfers_posted AS (
    INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, cause_type, cause_id, actor_id,
                           posted_at, balance_after, version_after)
      SELECT r.transfer_id, r.member_id, v_currency, r.account_id, 'EARN', r.amount, r.reason, r.cause_type, r.cause_id,
             p_actor, p_now, r.available_after, r.version_after FROM running r
  ), entries_posted AS (
    INSERT INTO entries (transfer_id, account_id, bucket, amount, balance_after, version)
      SELECT r.transfer_id, r.account_id, CASE WHEN r.later > 0 THEN 'PENDING' ELSE 'AVAILABLE' END, r.amount,
             CASE WHEN r.later > 0 THEN r.pending_after ELSE r.available_after END, r.version_after FROM running r
      UNION ALL
      SELECT r.transfer_id, v_house, 'HOUSE', -r.amount, NULL, NULL FROM running r
  ), lots_made AS (
    INSERT INTO lots (id, account_id, member_id, state, amount, remaining, earned_at, usable_at, expires_at, source_id)
      SELECT r.lot_id, r.account_id, r.member_id, CASE WHEN r.later > 0 THEN 'PENDING' ELSE 'OPEN' END, r.amount,
             r.amount, r.earned, r.usable, r.expires_at, r.transfer_id FROM running r
  ), accounts_moved AS (
    UPDATE accounts a SET available = a.available + s.at_once, pending = a.pending + s.later,
           version = a.version + s.n, next_due_at = least(a.next_due_at, s.due_at)
      FROM (SELECT r.account_id, sum(r.at_once) AS at_once, sum(r.later) AS later, count(*) AS n,
                   least(min(r.expires_at), min(r.usable) FILTER (WHERE r.later > 0)) AS due_at
              FROM running r GROUP BY r.account_id) s
     WHERE a.id = s.account_id
  )
  SELECT array_agg(r.ord ORDER BY r.ord), array_agg('member:' || r.member_id ORDER BY r.ord),
         array_agg(engage.ledger_event(r.member_id, p_program, r.transfer_id, 'EARN', r.amount, r.reason,
                     r.cause_type, r.cause_id, p_now,
                     engage.ledger_figures(r.available_after, r.pending_after, r.held, r.debt)) ORDER BY r.ord)
    INTO v_lines, v_streams, v_data FROM running r;
  IF v_lines IS NOT NULL THEN
    RETURN QUERY SELECT v_lines[e.nth], e.stream, e.position, e.name, e.data
      FROM engage.record_events(v_streams, array_fill('ledger.points_earned.v1'::text, ARRAY[cardinality(v_lines)]),
                                v_data, p_now, p_handlers)
           WITH ORDINALITY AS e (stream, position, name, data, nth);
  END IF;

  v_due := ARRAY(SELECT a.id FROM unnest(v_accounts) AS d (id)
    CROSS JOIN LATERAL (SELECT id, next_due_at FROM accounts WHERE id = d.id LIMIT 1) a WHERE a.next_due_at <= p_now);
  IF cardinality(v_due) > 0 THEN
    RETURN QUERY SELECT NULL::bigint, s.* FROM engage.ledger_settle(v_due, p_now, p_handlers) s;
  END IF;
END $$;

-- Earn points for one member. Answers as `ledger_spend` does.
CREATE FUNCTION engage.ledger_earn(
  p_key uuid, p_input_hash bytea, p_keep_until timestamptz, p_transfer uuid,
  p_member uuid, p_program text, p_amount bigint, p_usable timestamptz, p_expires timestamptz,
  p_reason text, p_cause_type text, p_cause_id text, p_actor text, p_now timestamptz, p_handlers jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_member uuid; v_state text; v_answer jsonb; v_rings jsonb;
BEGIN
  SELECT m.id, m.state INTO v_member, v_state FROM engage.members_lock(p_member) m;
  IF v_member IS NULL THEN RETURN '{"refusal": "NOT_FOUND", "what": "memberId"}'; END IF;
  v_answer := engage.idempotency_find(p_key, p_input_hash);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF v_state NOT IN ('ACTIVE', 'FROZEN') THEN
    RETURN jsonb_build_object('refusal', 'MEMBER_NOT_ACTIVE', 'state', v_state);
  END IF;
  IF engage.program_id(p_program) IS NULL THEN RETURN '{"refusal": "NOT_FOUND", "what": "program"}'; END IF;
  IF p_expires <= p_now THEN RETURN '{"refusal": "NEVER_USABLE"}'; END IF;

  SELECT jsonb_agg(to_jsonb(e) - 'line'),
         (jsonb_agg(e.data || jsonb_build_object('position', e.position, 'replayed', false))
           FILTER (WHERE e.line IS NOT NULL)) -> 0
    INTO v_rings, v_answer
    FROM engage.ledger_post_earnings(
      p_program, ARRAY[v_member], ARRAY[p_transfer], ARRAY[p_amount], ARRAY[p_now], ARRAY[coalesce(p_usable, p_now)],
      ARRAY[p_expires], ARRAY[p_reason], ARRAY[p_cause_type], ARRAY[p_cause_id], p_actor, p_now, p_handlers) e;
  PERFORM engage.idempotency_save(p_key, p_input_hash, v_answer, p_keep_until);
  RETURN v_answer || jsonb_build_object('rings', v_rings);
END $$;
