-- Holds: points set aside until a deadline, then captured (spent) or given back to the lots they came from
-- (design/ledger, rule 4).

-- The moment that ends a calendar duration from now, in the program's zone.
CREATE FUNCTION engage.ledger_after(p_program text, p_now timestamptz, p_duration text) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT (p_now AT TIME ZONE z + p_duration::interval) AT TIME ZONE z FROM engage.program_zone(p_program) AS z
$$;

-- Set points aside. Without a deadline for a day, or the program's longest if that is shorter.
CREATE FUNCTION engage.ledger_hold(
  c engage.ledger_call, m engage.ledger_memo, p_member uuid, p_program text, p_amount bigint, p_deadline timestamptz,
  p_currency text DEFAULT 'POINTS'
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; v_latest timestamptz; v_deadline timestamptz;
BEGIN
  b := engage.ledger_enter(c, p_member, p_program, ARRAY['ACTIVE'], p_currency);
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  v_latest := engage.ledger_after(p_program, c.now, (engage.ledger_policy(p_program, c.now)).hold_longest);
  v_deadline := coalesce(p_deadline, least(v_latest, c.now + interval '1 day'));
  IF v_deadline <= c.now OR v_deadline > v_latest THEN
    RETURN jsonb_build_object('refusal', 'DEADLINE', 'latest', v_latest, 'rings', b.rings);
  END IF;
  IF b.available < p_amount THEN RETURN engage.ledger_insufficient(b, p_amount); END IF;
  b := engage.ledger_set_aside(c, b, m, engage.ledger_take(b, p_amount), v_deadline, 'SPEND');
  RETURN engage.ledger_finish(c, b, jsonb_build_object('hold_id', m.transfer, 'deadline', v_deadline));
END $$;

CREATE FUNCTION engage.ledger_set_aside(
  c engage.ledger_call, b engage.ledger_book, m engage.ledger_memo, t engage.ledger_taking, p_deadline timestamptz,
  p_purpose text
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
BEGIN
  b.due_at := least(b.due_at, p_deadline);
  INSERT INTO holds (id, account_id, member_id, purpose, state, amount, remaining, lots, takes, deadline, created_at)
    VALUES (m.transfer, b.account, b.member, p_purpose, 'OPEN', t.taken, t.taken, t.lots, t.takes, p_deadline, c.now);
  RETURN engage.ledger_post(c, b, 'HOLD', m, ARRAY['AVAILABLE', 'HELD'], ARRAY[-t.taken, t.taken],
                            t.lots, t.minus, t.takes);
END $$;

-- Why a hold cannot be captured or released to this amount, or NULL. The book has been entered, so that a hold past
-- its deadline is closed by now.
CREATE FUNCTION engage.ledger_hold_refusal(h holds, p_amount bigint, p_rings jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN h.state <> 'OPEN' OR h.purpose <> 'SPEND' THEN
      jsonb_build_object('refusal', 'HOLD_NOT_OPEN', 'state', h.state, 'deadline', h.deadline, 'rings', p_rings,
                         'purpose', h.purpose)
    WHEN p_amount > h.remaining THEN
      jsonb_build_object('refusal', 'EXCEEDS_HOLD', 'remaining', h.remaining, 'required', p_amount, 'rings', p_rings) END
$$;

-- Spend what is held, whole or in part. What is left is given back, or goes on being held where the caller keeps it.
CREATE FUNCTION engage.ledger_capture(
  c engage.ledger_call, m engage.ledger_memo, p_hold uuid, p_amount bigint, p_keep boolean
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; h holds; a accounts; t engage.ledger_taking; v_amount bigint; v_refusal jsonb;
BEGIN
  SELECT * INTO h FROM holds WHERE id = p_hold;
  IF NOT FOUND THEN RETURN engage.ledger_missing('holdId'); END IF;
  SELECT * INTO a FROM accounts WHERE id = h.account_id;
  b := engage.ledger_enter(c, h.member_id, engage.ledger_program(a.currency_id), ARRAY['ACTIVE'],
                           engage.ledger_kind(a.currency_id));
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  SELECT * INTO h FROM holds WHERE id = p_hold;
  v_amount := coalesce(p_amount, h.remaining);
  v_refusal := engage.ledger_hold_refusal(h, v_amount, b.rings);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  t := engage.ledger_slice(h.lots, h.takes, 0, v_amount);
  b := engage.ledger_post(c, b, 'CAPTURE', m, ARRAY['HELD', 'REDEEMED'], ARRAY[-v_amount, v_amount],
                          t.lots, array_fill(0::bigint, ARRAY[cardinality(t.lots)]), t.minus, p_refers => p_hold);
  t := engage.ledger_slice(h.lots, h.takes, v_amount, h.remaining);
  IF t.taken > 0 AND NOT p_keep THEN
    b := engage.ledger_return(c, b, 'RELEASE', ROW(engage.uuid7(c.now), 'REST', m.cause_type, m.cause_id),
                              'HELD', t.lots, t.takes, c.now, p_refers => p_hold);
    t := engage.ledger_slice(h.lots, h.takes, 0, 0);
  END IF;
  UPDATE holds SET remaining = t.taken, lots = t.lots, takes = t.takes,
      state = CASE WHEN t.taken = 0 THEN 'CAPTURED' ELSE 'OPEN' END, closed_at = CASE WHEN t.taken = 0 THEN c.now END
    WHERE id = p_hold;
  RETURN engage.ledger_finish(c, b, jsonb_build_object('hold_id', p_hold, 'deadline', h.deadline,
                                                       'remaining', t.taken));
END $$;

-- Give back what is held, whole or in part: what was taken last goes first.
CREATE FUNCTION engage.ledger_release(c engage.ledger_call, m engage.ledger_memo, p_hold uuid, p_amount bigint)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; h holds; a accounts; v_amount bigint; v_refusal jsonb;
BEGIN
  SELECT * INTO h FROM holds WHERE id = p_hold;
  IF NOT FOUND THEN RETURN engage.ledger_missing('holdId'); END IF;
  SELECT * INTO a FROM accounts WHERE id = h.account_id;
  b := engage.ledger_enter(c, h.member_id, engage.ledger_program(a.currency_id),
                           ARRAY['ACTIVE', 'FROZEN', 'SUSPENDED', 'CANCELLED'], engage.ledger_kind(a.currency_id));
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  SELECT * INTO h FROM holds WHERE id = p_hold;
  v_amount := coalesce(p_amount, h.remaining);
  v_refusal := engage.ledger_hold_refusal(h, v_amount, b.rings);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  b := engage.ledger_let_go(c, b, m, h, v_amount, 'RELEASED');
  RETURN engage.ledger_finish(c, b, jsonb_build_object('hold_id', p_hold, 'deadline', h.deadline,
                                                       'remaining', h.remaining - v_amount));
END $$;

CREATE FUNCTION engage.ledger_let_go(
  c engage.ledger_call, b engage.ledger_book, m engage.ledger_memo, h holds, p_amount bigint, p_state text
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  t engage.ledger_taking := engage.ledger_slice(h.lots, h.takes, h.remaining - p_amount, h.remaining);
BEGIN
  b := engage.ledger_return(c, b, 'RELEASE', m, 'HELD', t.lots, t.takes, c.now, p_refers => h.id);
  t := engage.ledger_slice(h.lots, h.takes, 0, h.remaining - p_amount);
  UPDATE holds SET remaining = t.taken, lots = t.lots, takes = t.takes,
      state = CASE WHEN t.taken = 0 THEN p_state ELSE 'OPEN' END, closed_at = CASE WHEN t.taken = 0 THEN c.now END
    WHERE id = h.id;
  RETURN b;
END $$;

-- What a lot is by now in an account: itself, or what merges have made of it there, whose times go on; itself where
-- nothing was left of it to be merged.
CREATE FUNCTION engage.ledger_lot_now(l lots, p_account uuid) RETURNS SETOF lots LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF l.account_id <> p_account THEN
    RETURN QUERY WITH RECURSIVE line AS (
        SELECT n.* FROM lots n JOIN transfers t ON t.id = n.source_id AND t.kind = 'MERGE_IN' WHERE n.origin_lot_id = l.id
        UNION ALL
        SELECT n.* FROM line o JOIN lots n ON n.origin_lot_id = o.id
          JOIN transfers t ON t.id = n.source_id AND t.kind = 'MERGE_IN'
      ) SELECT * FROM line WHERE account_id = p_account;
    IF FOUND THEN RETURN; END IF;
  END IF;
  RETURN NEXT l;
END $$;

-- Give points back to the lots that they came from, out of what is held (`p_source` HELD) or of an account of the
-- house. A lot that expired before `p_at` is reissued where the program does so, and else expires again at once; a lot
-- of an account that was merged into this one gets a successor here (design/ledger, rules 5 and 6). The policy is that
-- of `p_at`, so that it is the same however late time's doing is posted.
-- `p_debt` is debt that goes with them, unpaid.
CREATE FUNCTION engage.ledger_return(
  c engage.ledger_call, b engage.ledger_book, p_kind text, m engage.ledger_memo, p_source text, p_lots uuid[],
  p_takes bigint[], p_at timestamptz, p_refers uuid DEFAULT NULL, p_reverses uuid DEFAULT NULL, p_debt bigint DEFAULT 0
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_policy points_policies := engage.ledger_policy(b.program, p_at);
  v_zone text := engage.program_zone(b.program);
  v_at timestamptz := engage.ledger_until(b.member, p_at);
  v_lots uuid[]; v_takes bigint[]; v_helds bigint[]; v_open bigint; v_pending bigint; v_lot record;
BEGIN
  SELECT array_agg(r.lot ORDER BY r.ord), array_agg(CASE WHEN r.anew THEN 0 ELSE r.take END ORDER BY r.ord),
         array_agg(CASE WHEN p_source = 'HELD' THEN -r.take ELSE 0 END ORDER BY r.ord),
         coalesce(sum(r.take) FILTER (WHERE r.usable), 0), coalesce(sum(r.take) FILTER (WHERE NOT r.usable), 0)
    INTO v_lots, v_takes, v_helds, v_open, v_pending
    FROM (SELECT g.*, l.account_id <> b.account OR n.expires_at <= v_at AND v_policy.returned_kind = 'REISSUED' AS anew,
                 coalesce(n.usable_at <= c.now, false) AS usable
            FROM unnest(p_lots, p_takes) WITH ORDINALITY AS g (lot, take, ord) JOIN lots l ON l.id = g.lot
           CROSS JOIN LATERAL engage.ledger_lot_now(l, b.account) n) r;
  b := engage.ledger_post(c, b, p_kind, m, ARRAY['AVAILABLE', 'PENDING', 'DEBT', p_source],
                          ARRAY[v_open, v_pending, p_debt, -v_open - v_pending - p_debt],
                          coalesce(v_lots, '{}'), v_takes, v_helds, p_refers, p_reverses);
  FOR v_lot IN
    SELECT n.*, g.take, g.lot FROM unnest(p_lots, p_takes) WITH ORDINALITY AS g (lot, take, ord)
      JOIN lots l ON l.id = g.lot CROSS JOIN LATERAL engage.ledger_lot_now(l, b.account) n
     WHERE l.account_id <> b.account OR n.expires_at <= v_at AND v_policy.returned_kind = 'REISSUED' ORDER BY g.ord LOOP
    b := engage.ledger_add_lot(c, b, m.transfer, v_lot.take, v_lot.earned_at, v_lot.usable_at,
                               engage.ledger_returned_expiry(v_lot.expires_at, v_at, v_policy, v_zone), v_lot.idle,
                               v_lot.lot, v_lot.hops,
                               v_lot.fixed_end OR coalesce(v_lot.expires_at <= v_at, false));
  END LOOP;
  RETURN b;
END $$;
