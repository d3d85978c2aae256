-- What everything that takes points or gives them has in common, then earning and spending.

-- Lots and how much of each, in order of consumption; `minus` is the same below zero. `taken` is their sum.
CREATE TYPE engage.ledger_taking AS (lots uuid[], takes bigint[], minus bigint[], taken bigint);

CREATE FUNCTION engage.ledger_program(p_currency uuid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT program_code FROM currencies WHERE id = p_currency
$$;

CREATE FUNCTION engage.ledger_kind(p_currency uuid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT kind FROM currencies WHERE id = p_currency
$$;

CREATE FUNCTION engage.ledger_insufficient(b engage.ledger_book, p_amount bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('refusal', 'INSUFFICIENT_POINTS', 'available', b.available, 'required', p_amount,
                            'rings', b.rings)
$$;

-- The refusal of points that would lift an account beyond what a JSON number holds exactly (2^53 - 1), else NULL.
CREATE FUNCTION engage.ledger_beyond_limit(b engage.ledger_book, p_amount bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN b.available + b.pending + b.held > 9007199254740991 - p_amount THEN
    jsonb_build_object('refusal', 'BALANCE_LIMIT', 'limit', 9007199254740991, 'rings', b.rings,
                       'balance', b.available + b.pending + b.held, 'required', p_amount) END
$$;

-- The same of debt, which has the same limit.
CREATE FUNCTION engage.ledger_debt_beyond_limit(b engage.ledger_book, p_debt bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN b.debt > 9007199254740991 - p_debt THEN
    jsonb_build_object('refusal', 'BALANCE_LIMIT', 'limit', 9007199254740991, 'rings', b.rings, 'balance', b.debt,
                       'required', p_debt) END
$$;

-- Choose lots of the book for an amount that it has: those that expire first, never last, then the oldest. With
-- `p_hops`, only points that were given from member to member no more often than that.
CREATE FUNCTION engage.ledger_take(b engage.ledger_book, p_amount bigint, p_hops int DEFAULT NULL)
RETURNS engage.ledger_taking LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_lot record; v_take bigint; v_left bigint := p_amount;
  t engage.ledger_taking := ROW('{}', '{}', '{}', p_amount);
BEGIN
  FOR v_lot IN SELECT id, remaining, hops FROM lots WHERE account_id = b.account AND state = 'OPEN'
               ORDER BY expires_at, earned_at, id LOOP
    CONTINUE WHEN v_lot.hops > p_hops;
    v_take := least(v_left, v_lot.remaining);
    t.lots := t.lots || v_lot.id;
    t.takes := t.takes || v_take;
    t.minus := t.minus || -v_take;
    v_left := v_left - v_take;
    EXIT WHEN v_left = 0;
  END LOOP;
  IF v_left > 0 THEN
    RAISE EXCEPTION 'the lots of account % hold less than its balance; run engage ledger verify', b.account
      USING ERRCODE = 'data_corrupted';
  END IF;
  RETURN t;
END $$;

-- Choose as much as there is, up to an amount, from these lots in their order.
CREATE FUNCTION engage.ledger_take_from(p_lots uuid[], p_amount bigint) RETURNS engage.ledger_taking
LANGUAGE sql STABLE AS $$
  WITH before AS (
    SELECT g.lot, g.ord, l.remaining,
           coalesce(sum(l.remaining) OVER (ORDER BY g.ord ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS used
      FROM unnest(p_lots) WITH ORDINALITY AS g (lot, ord) JOIN lots l ON l.id = g.lot
  ), taken AS (
    SELECT lot, ord, least(remaining, p_amount - used)::bigint AS take FROM before WHERE used < p_amount AND remaining > 0
  )
  SELECT ROW(coalesce(array_agg(lot ORDER BY ord), '{}'), coalesce(array_agg(take ORDER BY ord), '{}'),
             coalesce(array_agg(-take ORDER BY ord), '{}'), coalesce(sum(take), 0)::bigint)::engage.ledger_taking
    FROM taken
$$;

-- The part of a list of lots between two places, counted in points from its beginning.
CREATE FUNCTION engage.ledger_slice(p_lots uuid[], p_takes bigint[], p_from bigint, p_to bigint)
RETURNS engage.ledger_taking LANGUAGE sql IMMUTABLE AS $$
  WITH placed AS (
    SELECT g.lot, g.ord, g.take, sum(g.take) OVER (ORDER BY g.ord) AS upto
      FROM unnest(p_lots, p_takes) WITH ORDINALITY AS g (lot, take, ord)
  ), cut AS (
    SELECT lot, ord, (least(upto, p_to) - greatest(upto - take, p_from))::bigint AS take
      FROM placed WHERE upto > p_from AND upto - take < p_to
  )
  SELECT ROW(coalesce(array_agg(lot ORDER BY ord), '{}'), coalesce(array_agg(take ORDER BY ord), '{}'),
             coalesce(array_agg(-take ORDER BY ord), '{}'), coalesce(sum(take), 0)::bigint)::engage.ledger_taking
    FROM cut
$$;

-- A lot and those that it came from, by gifts, merges or reissues.
CREATE FUNCTION engage.ledger_ancestry(p_lot uuid) RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
  WITH RECURSIVE line AS (
    SELECT l.id, l.origin_lot_id FROM lots l WHERE l.id = p_lot
    UNION ALL
    SELECT o.id, o.origin_lot_id FROM line n JOIN lots o ON o.id = n.origin_lot_id
  )
  SELECT id FROM line
$$;

-- Take points from the lots that expire first (design/ledger, rule 2) and give them to an account of the house: spend,
-- pay with stored value, donate, correct downwards.
CREATE FUNCTION engage.ledger_spend(
  c engage.ledger_call, m engage.ledger_memo, p_member uuid, p_program text, p_amount bigint,
  p_kind text DEFAULT 'SPEND', p_house text DEFAULT 'REDEEMED', p_currency text DEFAULT 'POINTS',
  p_states text[] DEFAULT '{ACTIVE}'
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; t engage.ledger_taking;
BEGIN
  b := engage.ledger_enter(c, p_member, p_program, p_states, p_currency);
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  IF b.available < p_amount THEN RETURN engage.ledger_insufficient(b, p_amount); END IF;
  t := engage.ledger_take(b, p_amount);
  b := engage.ledger_post(c, b, p_kind, m, ARRAY['AVAILABLE', p_house], ARRAY[-p_amount, p_amount], t.lots, t.minus);
  RETURN engage.ledger_finish(c, b);
END $$;

-- Post earnings of many members in one program, in the order given. The caller holds the members' locks and names
-- survivors of merges only. Lines of amount 0 open the account and move nothing. An expiry that is NULL is set by the
-- program's policy, counted from when the points can be used. What has expired already is issued and expired, both visible.
-- Answers the events in order; those of the earnings carry the line's number in `line`.
-- A moment of use that is NULL means on confirmation. LATERAL with LIMIT keeps each look-up on its index, also under a plan made when the tables were small.
CREATE FUNCTION engage.ledger_post_earnings(
  p_program text, p_members uuid[], p_transfers uuid[], p_amounts bigint[], p_earned timestamptz[],
  p_usable timestamptz[], p_expires timestamptz[], p_reasons text[], p_cause_types text[], p_cause_ids text[],
  p_actor text, p_now timestamptz, p_handlers jsonb
) RETURNS TABLE (line bigint, stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_currency uuid := engage.ledger_open(p_program, p_now);
  v_policy points_policies := engage.ledger_policy(p_program, p_now);
  v_zone text := engage.program_zone(p_program);
  v_house uuid; v_accounts uuid[]; v_due uuid[]; v_lines bigint[]; v_streams text[]; v_data jsonb[];
  v_account accounts;
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
           CASE WHEN g.usable <= p_now THEN 0 ELSE g.amount END AS later,
           CASE WHEN g.usable <= p_now THEN g.amount ELSE 0 END AS at_once,
           CASE WHEN g.usable IS NOT NULL THEN
             coalesce(g.expires, engage.ledger_expiry(v_policy, v_zone, greatest(g.earned, g.usable))) END AS expires_at,
           g.usable IS NOT NULL AND g.expires IS NULL AND v_policy.expiry_kind = 'INACTIVITY' AS idle,
           g.expires IS NOT NULL AS fixed_end,
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
    INSERT INTO lots (id, account_id, member_id, state, amount, remaining, earned_at, usable_at, expires_at, idle,
                      fixed_end, source_id)
      SELECT r.lot_id, r.account_id, r.member_id, CASE WHEN r.later > 0 THEN 'PENDING' ELSE 'OPEN' END, r.amount,
             r.amount, r.earned, r.usable, r.expires_at, r.idle, r.fixed_end, r.transfer_id FROM running r
  ), accounts_moved AS (
    UPDATE accounts a SET available = a.available + s.at_once, pending = a.pending + s.later,
           version = a.version + s.n, next_due_at = least(a.next_due_at, s.due_at), idle = a.idle OR s.idle
      FROM (SELECT r.account_id, bool_or(r.idle) AS idle, sum(r.at_once) AS at_once, sum(r.later) AS later, count(*) AS n,
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

  FOR v_account IN SELECT * FROM accounts WHERE id = ANY (v_accounts) AND (debt > 0 OR idle) LOOP
    RETURN QUERY SELECT NULL::bigint, s.*
      FROM engage.ledger_after_earning(v_account, p_transfers, p_now, p_handlers) s;
  END LOOP;

  v_due := ARRAY(SELECT a.id FROM unnest(v_accounts) AS d (id)
    CROSS JOIN LATERAL (SELECT id, next_due_at FROM accounts WHERE id = d.id LIMIT 1) a WHERE a.next_due_at <= p_now);
  IF cardinality(v_due) > 0 THEN
    RETURN QUERY SELECT NULL::bigint, s.* FROM engage.ledger_settle(v_due, p_now, p_handlers) s;
  END IF;
END $$;

-- What an earning brings about for a member in debt, which its usable points pay, and for one whose points live on
-- with activity.
CREATE FUNCTION engage.ledger_after_earning(
  p_account accounts, p_transfers uuid[], p_now timestamptz, p_handlers jsonb
) RETURNS TABLE (stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
DECLARE
  c engage.ledger_call; b engage.ledger_book;
BEGIN
  c.actor := 'system'; c.now := p_now; c.handlers := p_handlers;
  b.member := p_account.member_id; b.currency := p_account.currency_id; b.names := '{}'; b.data := '{}';
  SELECT program_code INTO b.program FROM currencies WHERE id = b.currency;
  b := engage.ledger_figures_now(b);
  IF b.idle THEN b := engage.ledger_stir(c, b, 'EARN'); END IF;
  IF b.debt > 0 THEN
    b := engage.ledger_pay_debts(c, b, ARRAY(
      SELECT l.id FROM unnest(p_transfers) WITH ORDINALITY AS t (id, ord) JOIN lots l ON l.source_id = t.id
       WHERE l.account_id = b.account AND l.state = 'OPEN' ORDER BY t.ord));
  END IF;
  IF cardinality(b.names) > 0 THEN RETURN QUERY SELECT * FROM engage.ledger_say(c, ARRAY[b]); END IF;
END $$;

-- Pay debts, the oldest first, from these lots in their order: one transfer for each debt, which says which lots paid
-- (design/ledger, rule 3). With `p_of_lot` only debts that came from clawing back that lot, or one that it came from.
CREATE FUNCTION engage.ledger_pay_debts(
  c engage.ledger_call, b engage.ledger_book, p_lots uuid[], p_of_lot uuid DEFAULT NULL
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_debt record; t engage.ledger_taking;
BEGIN
  FOR v_debt IN SELECT id, remaining FROM debts
                 WHERE account_id = b.account AND remaining > 0
                   AND (p_of_lot IS NULL OR lot_id IN (SELECT engage.ledger_ancestry(p_of_lot)))
                 ORDER BY created_at, id LOOP
    t := engage.ledger_take_from(p_lots, v_debt.remaining);
    EXIT WHEN t.taken = 0;
    b := engage.ledger_post(c, b, 'DEBT_PAID', ROW(engage.uuid7(c.now), 'DEBT_PAID', NULL, NULL),
                            ARRAY['AVAILABLE', 'DEBT'], ARRAY[-t.taken, t.taken], t.lots, t.minus, p_refers => v_debt.id);
    UPDATE debts SET remaining = remaining - t.taken WHERE id = v_debt.id;
  END LOOP;
  RETURN b;
END $$;

-- Give points to one member, out of an account of the house: earn, or correct upwards. A lot of its own, usable now,
-- from a moment on, or once it is confirmed. What is usable pays debt.
CREATE FUNCTION engage.ledger_earn(
  c engage.ledger_call, m engage.ledger_memo, p_member uuid, p_program text, p_amount bigint, p_usable timestamptz,
  p_expires timestamptz, p_on_confirmation boolean, p_kind text DEFAULT 'EARN', p_house text DEFAULT 'ISSUED',
  p_states text[] DEFAULT '{ACTIVE,FROZEN}'
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; v_policy points_policies; v_refusal jsonb;
  v_usable timestamptz := CASE WHEN NOT p_on_confirmation THEN coalesce(p_usable, c.now) END;
  v_pending boolean := v_usable IS NULL OR v_usable > c.now;
BEGIN
  b := engage.ledger_enter(c, p_member, p_program, p_states);
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  IF p_expires <= c.now THEN RETURN engage.ledger_refused('{"refusal": "NEVER_USABLE"}', b); END IF;
  v_refusal := engage.ledger_beyond_limit(b, p_amount);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  v_policy := engage.ledger_policy(p_program, c.now);
  b := engage.ledger_ensure_account(c, b);
  b := engage.ledger_post(c, b, p_kind, m, ARRAY[CASE WHEN v_pending THEN 'PENDING' ELSE 'AVAILABLE' END, p_house],
                          ARRAY[p_amount, -p_amount]);
  b := engage.ledger_add_lot(
    c, b, m.transfer, p_amount, c.now, v_usable,
    CASE WHEN v_usable IS NOT NULL THEN
      coalesce(p_expires, engage.ledger_expiry(v_policy, engage.program_zone(p_program), greatest(c.now, v_usable))) END,
    v_usable IS NOT NULL AND p_expires IS NULL AND v_policy.expiry_kind = 'INACTIVITY',
    p_fixed => p_expires IS NOT NULL);
  IF b.debt > 0 AND NOT v_pending THEN
    b := engage.ledger_pay_debts(c, b, ARRAY(SELECT l.id FROM lots l WHERE l.source_id = m.transfer));
  END IF;
  RETURN engage.ledger_finish(c, b);
END $$;

-- Make all that is pending of an earning usable now, before its time or where it waits for this.
CREATE FUNCTION engage.ledger_confirm(
  c engage.ledger_call, m engage.ledger_memo, p_transfer uuid, p_expires timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; t transfers; v_policy points_policies; v_lots uuid[]; v_amount bigint; v_due timestamptz;
  v_idle boolean;
BEGIN
  SELECT * INTO t FROM transfers WHERE id = p_transfer;
  IF NOT FOUND THEN RETURN engage.ledger_missing('transferId'); END IF;
  b := engage.ledger_enter(c, t.member_id, engage.ledger_program(t.currency_id), ARRAY['ACTIVE', 'FROZEN'],
                           engage.ledger_kind(t.currency_id));
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  SELECT array_agg(l.id ORDER BY l.id), sum(l.remaining) INTO v_lots, v_amount
    FROM engage.ledger_lineage(p_transfer) l WHERE l.account_id = b.account AND l.state = 'PENDING';
  IF t.kind <> 'EARN' OR v_lots IS NULL THEN
    RETURN jsonb_build_object('refusal', 'NOT_PENDING', 'rings', b.rings, 'state', (
      SELECT max(l.state) FROM engage.ledger_lineage(p_transfer) l WHERE l.account_id = b.account));
  END IF;
  IF p_expires <= c.now THEN RETURN engage.ledger_refused('{"refusal": "NEVER_USABLE"}', b); END IF;
  v_policy := engage.ledger_policy(b.program, c.now);
  b := engage.ledger_post(c, b, 'CONFIRM', m, ARRAY['PENDING', 'AVAILABLE'], ARRAY[-v_amount, v_amount],
                          p_refers => p_transfer);
  WITH confirmed AS (
    UPDATE lots l SET state = 'OPEN', usable_at = c.now,
        expires_at = coalesce(p_expires, CASE WHEN l.usable_at IS NULL THEN
          engage.ledger_expiry(v_policy, engage.program_zone(b.program), c.now) ELSE l.expires_at END),
        idle = l.idle OR p_expires IS NULL AND l.usable_at IS NULL AND v_policy.expiry_kind = 'INACTIVITY',
        fixed_end = l.fixed_end OR p_expires IS NOT NULL
      WHERE l.id = ANY (v_lots) RETURNING l.expires_at, l.idle
  )
  SELECT min(expires_at), bool_or(idle) INTO v_due, v_idle FROM confirmed;
  b.due_at := least(b.due_at, v_due);
  UPDATE accounts SET next_due_at = b.due_at, idle = idle OR v_idle WHERE id = b.account;
  IF b.debt > 0 THEN b := engage.ledger_pay_debts(c, b, v_lots); END IF;
  RETURN engage.ledger_finish(c, b);
END $$;
