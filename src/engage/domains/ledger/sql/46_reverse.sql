-- Taking back and giving back: reversals, clawbacks, deductions. A transfer has one figure "left to reverse", which all
-- of them share, so that nothing is given back twice (design/ledger, rules 5 and 7).

CREATE FUNCTION engage.ledger_reversed(p_transfer uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(amount), 0)::bigint FROM transfers WHERE reverses_id = p_transfer
$$;

-- NULL where there is no such transfer.
CREATE FUNCTION engage.ledger_left_to_reverse(p_transfer uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT amount - engage.ledger_reversed(id) FROM transfers WHERE id = p_transfer
$$;

-- Why no such part of a transfer can be taken back, or NULL. `p_amount` NULL means all that is left.
CREATE FUNCTION engage.ledger_reverse_refusal(t transfers, p_kinds text[], p_left bigint, p_amount bigint, p_rings jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN t.reverses_id IS NOT NULL OR t.kind <> ALL (p_kinds) THEN
      jsonb_build_object('refusal', 'NOT_REVERSIBLE', 'kind', t.kind, 'kinds', to_jsonb(p_kinds), 'rings', p_rings)
    WHEN p_left = 0 OR p_amount > p_left THEN
      jsonb_build_object('refusal', 'EXCEEDS_REVERSIBLE', 'remaining', p_left,
                         'required', coalesce(p_amount, t.amount), 'rings', p_rings) END
$$;

-- Reverse a transfer, wholly or by amount. What took points gives them back to the lots that it took them from, last
-- taken first; what gave points takes them back, and what is spent already becomes debt unless `p_shortfall` says
-- otherwise. `p_kind` is REVERSE or RESTORE; `p_kinds` which transfers may be meant.
CREATE FUNCTION engage.ledger_reverse(
  c engage.ledger_call, m engage.ledger_memo, p_transfer uuid, p_amount bigint, p_kind text, p_kinds text[],
  p_shortfall text, p_pending_only boolean DEFAULT false
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; t transfers; v_left bigint; v_refusal jsonb; v_amount bigint; v_holders uuid[];
BEGIN
  SELECT * INTO t FROM transfers WHERE id = p_transfer;
  IF NOT FOUND THEN RETURN engage.ledger_missing('transferId'); END IF;
  LOOP  -- while this waited for a lock, points may have gone on to someone else
    v_holders := engage.ledger_holders(t);
    PERFORM FROM engage.members_lock_all(engage.members_present(v_holders));
    EXIT WHEN engage.ledger_holders(t) <@ v_holders;
  END LOOP;
  b := engage.ledger_enter(c, t.member_id, engage.ledger_program(t.currency_id),
                           ARRAY['ACTIVE', 'FROZEN', 'SUSPENDED', 'CANCELLED'], engage.ledger_kind(t.currency_id));
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  v_left := t.amount - engage.ledger_reversed(t.id);
  v_refusal := engage.ledger_reverse_refusal(t, p_kinds, v_left, p_amount, b.rings);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  v_amount := coalesce(p_amount, v_left);
  IF p_pending_only AND p_amount IS NULL THEN  -- all that is pending, where a penalty has taken the rest
    v_amount := least(v_left, (
      SELECT nullif(sum(l.remaining), 0) FROM engage.ledger_lineage(t.id) l
       WHERE l.account_id = b.account AND l.state = 'PENDING'));
  END IF;
  IF t.kind IN ('EARN', 'ADJUST_UP', 'TOP_UP') THEN
    RETURN engage.ledger_take_back(c, b, m, t, v_amount, p_shortfall, p_pending_only);
  END IF;
  v_refusal := engage.ledger_beyond_limit(b, v_amount);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  b := engage.ledger_give_back(c, b, m, t, v_amount, t.amount - v_left, p_kind);
  RETURN engage.ledger_finish(c, b, jsonb_build_object('remaining', v_left - v_amount));
END $$;

-- What a transfer took for good, lot by lot in order of consumption.
CREATE FUNCTION engage.ledger_consumed(p_transfer uuid) RETURNS engage.ledger_taking LANGUAGE sql STABLE AS $$
  SELECT ROW(coalesce(array_agg(lot_id ORDER BY id), '{}'), coalesce(array_agg(-amount - held ORDER BY id), '{}'),
             coalesce(array_agg(amount + held ORDER BY id), '{}'),
             coalesce(sum(-amount - held), 0)::bigint)::engage.ledger_taking
    FROM allocations WHERE transfer_id = p_transfer
$$;

CREATE FUNCTION engage.ledger_backwards(t engage.ledger_taking) RETURNS engage.ledger_taking LANGUAGE sql IMMUTABLE AS $$
  SELECT ROW(coalesce(array_agg(g.lot ORDER BY g.ord DESC), '{}'), coalesce(array_agg(g.take ORDER BY g.ord DESC), '{}'),
             coalesce(array_agg(-g.take ORDER BY g.ord DESC), '{}'), t.taken)::engage.ledger_taking
    FROM unnest(t.lots, t.takes) WITH ORDINALITY AS g (lot, take, ord)
$$;

-- Undo `p_amount` of what a transfer took, when `p_before` of it is undone already. Debt that it made goes first: what
-- is unpaid is forgiven, what was paid goes back to the lots that paid.
CREATE FUNCTION engage.ledger_give_back(
  c engage.ledger_call, b engage.ledger_book, m engage.ledger_memo, t transfers, p_amount bigint, p_before bigint,
  p_kind text
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_house text; v_debt debts; v_owed bigint := 0; v_forgiven bigint := 0; v_paid bigint := 0;
  k engage.ledger_taking; v_lots uuid[] := '{}'; v_takes bigint[] := '{}'; v_lot uuid;
BEGIN
  SELECT a.kind INTO v_house FROM entries e JOIN accounts a ON a.id = e.account_id
   WHERE e.transfer_id = t.id AND e.bucket = 'HOUSE';
  SELECT * INTO v_debt FROM debts WHERE id = t.id;
  IF FOUND THEN
    v_owed := least(p_amount, greatest(v_debt.amount - p_before, 0));
    v_forgiven := least(v_owed, v_debt.remaining);
    v_paid := v_owed - v_forgiven;
    k := engage.ledger_paid_by(t.id);
    k := engage.ledger_slice(k.lots, k.takes, v_debt.returned, v_debt.returned + v_paid);
    v_lots := k.lots;
    v_takes := k.takes;
    UPDATE debts SET remaining = remaining - v_forgiven, forgiven = forgiven + v_forgiven, returned = returned + v_paid
     WHERE id = t.id;
  END IF;
  k := engage.ledger_backwards(engage.ledger_consumed(t.id));
  k := engage.ledger_slice(k.lots, k.takes, greatest(p_before - coalesce(v_debt.amount, 0), 0),
                           greatest(p_before - coalesce(v_debt.amount, 0), 0) + p_amount - v_owed);
  v_lots := v_lots || k.lots;
  v_takes := v_takes || k.takes;
  b := engage.ledger_return(c, b, p_kind, m, v_house, v_lots, v_takes, c.now, p_reverses => t.id,
                            p_debt => v_forgiven);
  -- Restored points pay only the debt that clawing back their own lot has made.
  IF b.debt > 0 THEN
    FOREACH v_lot IN ARRAY v_lots LOOP
      b := engage.ledger_pay_debts(c, b, ARRAY(
        SELECT l.id FROM lots l WHERE (l.id = v_lot OR l.source_id = m.transfer AND l.origin_lot_id = v_lot)
                                  AND l.account_id = b.account AND l.state = 'OPEN'), v_lot);
    END LOOP;
  END IF;
  RETURN b;
END $$;

-- The lots that paid a debt, last payment first.
CREATE FUNCTION engage.ledger_paid_by(p_debt uuid) RETURNS engage.ledger_taking LANGUAGE sql STABLE AS $$
  SELECT ROW(coalesce(array_agg(a.lot_id ORDER BY a.id DESC), '{}'), coalesce(array_agg(-a.amount ORDER BY a.id DESC), '{}'),
             coalesce(array_agg(a.amount ORDER BY a.id DESC), '{}'), coalesce(-sum(a.amount), 0)::bigint
            )::engage.ledger_taking
    FROM transfers t JOIN allocations a ON a.transfer_id = t.id
   WHERE t.refers_id = p_debt AND t.kind = 'DEBT_PAID'
$$;

-- The lots in which points live on that a transfer gave: its own, and what gifts and merges made of them.
CREATE FUNCTION engage.ledger_lineage(p_transfer uuid) RETURNS SETOF lots LANGUAGE sql STABLE AS $$
  WITH RECURSIVE line AS (
    SELECT l.* FROM lots l WHERE l.source_id = p_transfer
    UNION
    SELECT n.* FROM line o JOIN lots n ON n.origin_lot_id = o.id
     WHERE EXISTS (SELECT FROM accounts x JOIN accounts y ON y.currency_id = x.currency_id
                    WHERE x.id = o.account_id AND y.id = n.account_id)
  )
  SELECT * FROM line
$$;

-- Everyone whose points a reversal of this transfer may touch: its member, and who holds what it gave.
CREATE FUNCTION engage.ledger_holders(t transfers) RETURNS uuid[] LANGUAGE sql STABLE AS $$
  SELECT array_agg(DISTINCT m) FROM (
    SELECT t.member_id AS m
    UNION ALL
    SELECT l.member_id FROM engage.ledger_lineage(t.id) l WHERE t.kind IN ('EARN', 'ADJUST_UP', 'TOP_UP')) AS x
$$;

-- Take back what a transfer gave: from the lot itself and what became of it, whoever holds that now; then from the
-- member's other points; the rest is debt, or refused, or forgone. The caller has all holders' locks and entered the
-- member's book; what is due with the others is posted first, so that nothing is taken which has expired there.
CREATE FUNCTION engage.ledger_take_back(
  c engage.ledger_call, b engage.ledger_book, m engage.ledger_memo, t transfers, p_amount bigint, p_shortfall text,
  p_pending_only boolean
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  o engage.ledger_book; v_others engage.ledger_book[] := '{}'; v_holder record; v_left bigint := p_amount;
  v_own uuid[]; k engage.ledger_taking; v_taken bigint := 0; v_refusal jsonb;
BEGIN
  b.rings := b.rings || (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM engage.ledger_settle(ARRAY(
    SELECT DISTINCT a.id FROM engage.ledger_lineage(t.id) l JOIN accounts a ON a.id = l.account_id
     WHERE a.id <> b.account AND a.next_due_at <= c.now), c.now, c.handlers) s);
  v_own := ARRAY(SELECT l.id FROM engage.ledger_lineage(t.id) l WHERE l.account_id = b.account ORDER BY l.id);
  IF p_pending_only AND (SELECT coalesce(sum(l.remaining), 0) FROM lots l
                          WHERE l.id = ANY (v_own) AND l.state = 'PENDING') < p_amount THEN
    RETURN jsonb_build_object('refusal', 'NOT_PENDING', 'rings', b.rings, 'state', (
      SELECT max(l.state) FROM lots l WHERE l.id = ANY (v_own)));
  END IF;
  v_taken := (SELECT coalesce(sum(l.remaining), 0) FROM (
    SELECT l.remaining FROM engage.ledger_lineage(t.id) l
    UNION ALL
    SELECT l.remaining FROM lots l WHERE l.account_id = b.account AND l.state = 'OPEN' AND l.id <> ALL (v_own)) l);
  IF p_shortfall = 'REFUSE' AND v_taken < p_amount THEN
    RETURN jsonb_build_object('refusal', 'INSUFFICIENT_POINTS', 'available', v_taken, 'required', p_amount,
                              'rings', b.rings);
  END IF;
  v_refusal := engage.ledger_debt_beyond_limit(b, p_amount - v_taken);
  IF p_shortfall = 'DEBT' AND v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  k := engage.ledger_take_from(v_own, v_left);
  v_left := v_left - k.taken;
  FOR v_holder IN SELECT l.member_id, array_agg(l.id ORDER BY l.id) AS lots, sum(l.remaining) AS points
                    FROM engage.ledger_lineage(t.id) l
                   WHERE l.account_id <> b.account AND l.remaining > 0 AND v_left > 0
                   GROUP BY l.member_id ORDER BY l.member_id LOOP
    EXIT WHEN v_left = 0;
    o.member := v_holder.member_id; o.rings := NULL;
    o := engage.ledger_turn(c, o, b.program, engage.ledger_kind(b.currency));
    v_taken := least(v_left, v_holder.points);
    o := engage.ledger_claw(c, o, 'CLAWBACK', ROW(engage.uuid7(c.now), 'ORIGIN_REVERSED', 'transfer', t.id::text),
                            'ISSUED', engage.ledger_take_from(v_holder.lots, v_taken), 0, t.id, NULL);
    v_left := v_left - v_taken;
    v_others := v_others || o;
  END LOOP;
  RETURN engage.ledger_collect(c, b, 'CLAWBACK', m, 'ISSUED', k, v_left, p_amount, ARRAY['AVAILABLE'], p_shortfall,
                               t.id, (SELECT l.id FROM lots l WHERE l.source_id = t.id), v_others);
END $$;

-- Take `p_left` more than what was chosen (`k`) from these buckets of the member, in their order; then deal with what
-- is not there. The whole is one transfer.
CREATE FUNCTION engage.ledger_collect(
  c engage.ledger_call, b engage.ledger_book, p_kind text, m engage.ledger_memo, p_house text, k engage.ledger_taking,
  p_left bigint, p_amount bigint, p_buckets text[], p_shortfall text, p_reverses uuid, p_lot uuid,
  p_others engage.ledger_book[] DEFAULT '{}'
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_more engage.ledger_taking; v_left bigint := p_left; v_held bigint := 0; v_bucket text; v_debt bigint;
  v_refusal jsonb;
BEGIN
  FOREACH v_bucket IN ARRAY p_buckets LOOP
    IF v_bucket = 'HELD' THEN
      v_held := least(v_left, b.held);
      v_left := v_left - v_held;
    ELSE
      v_more := engage.ledger_take_from(ARRAY(
        SELECT l.id FROM engage.ledger_live_lots(b.account) l
         WHERE l.id <> ALL (k.lots) AND l.state = CASE v_bucket WHEN 'AVAILABLE' THEN 'OPEN' ELSE 'PENDING' END
         ORDER BY l.expires_at, l.earned_at, l.id), v_left);
      k := ROW(k.lots || v_more.lots, k.takes || v_more.takes, k.minus || v_more.minus, k.taken + v_more.taken);
      v_left := v_left - v_more.taken;
    END IF;
  END LOOP;
  v_debt := CASE p_shortfall WHEN 'DEBT' THEN v_left ELSE 0 END;
  v_refusal := engage.ledger_debt_beyond_limit(b, v_debt);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  IF v_left > 0 AND p_shortfall = 'REFUSE' OR k.taken + v_held + v_debt = 0 AND cardinality(p_others) = 0 THEN
    RETURN jsonb_build_object('refusal', 'INSUFFICIENT_POINTS', 'available', p_amount - v_left,
                              'required', greatest(p_amount, 1), 'rings', b.rings);
  END IF;
  IF k.taken + v_held + v_debt = 0 THEN  -- all of it was with others
    RETURN engage.ledger_finish(c, p_others[1], jsonb_build_object(
      'shortfall', v_left, 'debt', 0, 'taken', 0, 'remaining', engage.ledger_left_to_reverse(p_reverses)), p_others[2:]);
  END IF;
  b := engage.ledger_ensure_account(c, b);
  b := engage.ledger_claw(c, b, p_kind, m, p_house, k, v_debt, p_reverses, p_lot, v_held);
  RETURN engage.ledger_finish(c, b, jsonb_build_object(
    'shortfall', v_left, 'debt', v_debt, 'taken', k.taken + v_held,
    'remaining', engage.ledger_left_to_reverse(p_reverses)), p_others);
END $$;

-- Post what was collected: from lots, from holds (the newest first), and as debt. An offered gift that has lost points
-- cannot be accepted any more: it ends, and what is left of it is free.
CREATE FUNCTION engage.ledger_claw(
  c engage.ledger_call, b engage.ledger_book, p_kind text, m engage.ledger_memo, p_house text, k engage.ledger_taking,
  p_debt bigint, p_reverses uuid, p_lot uuid, p_held bigint DEFAULT 0
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_open bigint; v_pending bigint; v_left bigint := p_held; h holds; t engage.ledger_taking; v_take bigint;
  v_zeros bigint[] := array_fill(0::bigint, ARRAY[cardinality(k.lots)]);
BEGIN
  SELECT coalesce(sum(g.take) FILTER (WHERE l.state = 'OPEN'), 0), coalesce(sum(g.take) FILTER (WHERE l.state = 'PENDING'), 0)
    INTO v_open, v_pending FROM unnest(k.lots, k.takes) AS g (lot, take) JOIN lots l ON l.id = g.lot;
  FOR h IN SELECT * FROM holds WHERE account_id = b.account AND state = 'OPEN' ORDER BY created_at DESC, id DESC LOOP
    EXIT WHEN v_left = 0;
    v_take := least(v_left, h.remaining);
    t := engage.ledger_slice(h.lots, h.takes, h.remaining - v_take, h.remaining);
    k.lots := k.lots || t.lots;
    k.minus := k.minus || array_fill(0::bigint, ARRAY[cardinality(t.lots)]);
    v_zeros := v_zeros || t.minus;
    t := engage.ledger_slice(h.lots, h.takes, 0, h.remaining - v_take);
    UPDATE holds SET remaining = t.taken, lots = t.lots, takes = t.takes,
        state = CASE WHEN t.taken = 0 THEN 'RELEASED' ELSE 'OPEN' END, closed_at = CASE WHEN t.taken = 0 THEN c.now END
      WHERE id = h.id;
    v_left := v_left - v_take;
  END LOOP;
  b := engage.ledger_post(c, b, p_kind, m, ARRAY['AVAILABLE', 'PENDING', 'HELD', 'DEBT', p_house],
                          ARRAY[-v_open, -v_pending, -p_held, -p_debt, v_open + v_pending + p_held + p_debt],
                          k.lots, k.minus, v_zeros, p_reverses => p_reverses);
  IF p_debt > 0 THEN
    INSERT INTO debts (id, account_id, lot_id, amount, remaining, created_at)
      VALUES (m.transfer, b.account, p_lot, p_debt, p_debt, c.now);
  END IF;
  IF p_held > 0 THEN
    FOR h IN SELECT x.* FROM gifts g JOIN holds x ON x.id = g.id
              WHERE g.sender_id = b.member AND g.program_code = b.program AND g.state = 'OFFERED'
                AND x.remaining < g.amount + g.fee ORDER BY x.id LOOP
      UPDATE gifts SET state = 'WITHDRAWN', decided_at = c.now WHERE id = h.id;
      IF h.remaining > 0 THEN
        b := engage.ledger_let_go(c, b, ROW(engage.uuid7(c.now), 'WITHDRAWN', 'gift', h.id::text), h, h.remaining,
                                  'RELEASED');
      END IF;
    END LOOP;
  END IF;
  RETURN b;
END $$;

-- Take points of a member without a transfer that they go back to: a clawback, or a penalty's deduction.
-- `p_amount` NULL takes all that these buckets have.
CREATE FUNCTION engage.ledger_deduct(
  c engage.ledger_call, m engage.ledger_memo, p_member uuid, p_program text, p_amount bigint, p_kind text,
  p_house text, p_buckets text[], p_shortfall text
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; v_amount bigint;
BEGIN
  b := engage.ledger_enter(c, p_member, p_program, ARRAY['ACTIVE', 'FROZEN', 'SUSPENDED', 'CANCELLED']);
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  v_amount := coalesce(p_amount, b.available + CASE WHEN 'PENDING' = ANY (p_buckets) THEN b.pending ELSE 0 END
                                 + CASE WHEN 'HELD' = ANY (p_buckets) THEN b.held ELSE 0 END);
  RETURN engage.ledger_collect(c, b, p_kind, m, p_house, ROW('{}', '{}', '{}', 0), v_amount, v_amount, p_buckets,
                               p_shortfall, NULL, NULL);
END $$;
