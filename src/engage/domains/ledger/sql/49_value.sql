-- Stored value (a program's cash currency), the merge of two members' accounts, and time standing still for the frozen.

-- Put money in that was paid outside, with the bonus that the program's policy gives. A payment counts once.
CREATE FUNCTION engage.ledger_top_up(
  c engage.ledger_call, m engage.ledger_memo, p_member uuid, p_program text, p_amount bigint, p_channel text,
  p_store text, p_reference text, p_paid_at timestamptz
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; v_policy points_policies; v_bonus bigint; v_bonus_id uuid; v_refusal jsonb;
  v_expires timestamptz;
BEGIN
  b := engage.ledger_enter(c, p_member, p_program, ARRAY['ACTIVE', 'FROZEN'], 'CASH');
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  v_policy := engage.ledger_policy(p_program, c.now);
  v_bonus := engage.ledger_top_up_bonus(v_policy, p_amount);
  v_refusal := engage.ledger_beyond_limit(b, p_amount + v_bonus);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  v_bonus_id := CASE WHEN v_bonus > 0 THEN engage.uuid7(c.now) END;
  INSERT INTO top_ups (id, member_id, program_code, amount, bonus, bonus_transfer_id, channel, store,
                       payment_reference, paid_at, created_at)
    VALUES (m.transfer, b.member, p_program, p_amount, v_bonus, v_bonus_id, p_channel, p_store, p_reference, p_paid_at,
            c.now) ON CONFLICT (program_code, payment_reference) DO NOTHING;
  IF NOT FOUND THEN RETURN engage.ledger_refused('{"refusal": "PAYMENT_USED"}', b); END IF;
  b := engage.ledger_ensure_account(c, b, 'CASH');
  b := engage.ledger_post(c, b, 'TOP_UP', m, ARRAY['AVAILABLE', 'ISSUED'], ARRAY[p_amount, -p_amount]);
  b := engage.ledger_add_lot(c, b, m.transfer, p_amount, p_paid_at, c.now, NULL, false, p_fixed => true);
  IF v_bonus > 0 THEN
    v_expires := engage.ledger_after(p_program, c.now, v_policy.top_up_bonus_valid_for);
    b := engage.ledger_post(c, b, 'EARN', ROW(v_bonus_id, 'TOP_UP_BONUS', 'top_up', m.transfer::text),
                            ARRAY['AVAILABLE', 'ISSUED'], ARRAY[v_bonus, -v_bonus], p_refers => m.transfer);
    b := engage.ledger_add_lot(c, b, v_bonus_id, v_bonus, c.now, c.now, v_expires, false, p_fixed => true);
    IF b.debt > 0 THEN
      b := engage.ledger_pay_debts(c, b, ARRAY(SELECT l.id FROM lots l WHERE l.source_id = v_bonus_id));
    END IF;
  END IF;
  RETURN engage.ledger_finish(c, b, jsonb_build_object('bonus', v_bonus));
END $$;

-- The bonus by the highest threshold that an amount reaches, rounded down.
CREATE FUNCTION engage.ledger_top_up_bonus(p_policy points_policies, p_amount bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT floor(p_amount::numeric * (r ->> 'per_mille')::int / 1000)::bigint + (r ->> 'fixed')::bigint
      FROM jsonb_array_elements(p_policy.top_up_bonus) AS r
     WHERE (r ->> 'from')::bigint <= p_amount ORDER BY (r ->> 'from')::bigint DESC LIMIT 1), 0)
$$;

-- Pay back what is unspent of a top-up, or part of it. As much of its bonus is taken back, in proportion to all that was
-- paid back by then and rounded up, as is still there.
CREATE FUNCTION engage.ledger_refund(c engage.ledger_call, m engage.ledger_memo, p_top_up uuid, p_amount bigint)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; u top_ups; v_left bigint; v_amount bigint; v_lots uuid[]; t engage.ledger_taking;
BEGIN
  SELECT * INTO u FROM top_ups WHERE id = p_top_up;
  IF NOT FOUND THEN RETURN engage.ledger_missing('transferId'); END IF;
  b := engage.ledger_enter(c, u.member_id, u.program_code, ARRAY['ACTIVE', 'FROZEN', 'SUSPENDED', 'CANCELLED'], 'CASH');
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  v_lots := ARRAY(SELECT l.id FROM engage.ledger_lineage(p_top_up) l WHERE l.account_id = b.account ORDER BY l.id);
  v_left := (SELECT coalesce(sum(l.remaining), 0) FROM lots l WHERE l.id = ANY (v_lots));
  v_amount := coalesce(p_amount, v_left);
  IF v_left = 0 OR v_amount > v_left THEN
    RETURN jsonb_build_object('refusal', 'EXCEEDS_REVERSIBLE', 'remaining', v_left,
                              'required', coalesce(p_amount, u.amount), 'rings', b.rings);
  END IF;
  t := engage.ledger_take_from(v_lots, v_amount);
  b := engage.ledger_post(c, b, 'REFUND', m, ARRAY['AVAILABLE', 'ISSUED'], ARRAY[-v_amount, v_amount],
                          t.lots, t.minus, p_reverses => p_top_up);
  v_lots := ARRAY(
    SELECT l.id FROM engage.ledger_lineage(u.bonus_transfer_id) l WHERE l.account_id = b.account ORDER BY l.id);
  t := engage.ledger_take_from(v_lots, ceil(u.bonus::numeric * engage.ledger_reversed(p_top_up) / u.amount)::bigint
                                       - engage.ledger_reversed(u.bonus_transfer_id));
  IF t.taken > 0 THEN
    b := engage.ledger_post(c, b, 'CLAWBACK', ROW(engage.uuid7(c.now), 'TOP_UP_REFUNDED', 'top_up', p_top_up::text),
                            ARRAY['AVAILABLE', 'ISSUED'], ARRAY[-t.taken, t.taken], t.lots, t.minus,
                            p_refers => m.transfer, p_reverses => u.bonus_transfer_id);
  END IF;
  RETURN engage.ledger_finish(c, b, jsonb_build_object('bonus', t.taken, 'remaining', v_left - v_amount));
END $$;

-- Move everything that one member has in all programs to another, whose locks the caller holds: available, pending,
-- held and owed. Lots keep their ends, moved by as long as the absorbed was frozen; open holds, debts and gifts go on with
-- the survivor, but for what one of them has offered the other. Answers the rings, or a refusal, after which the caller
-- rolls back.
CREATE FUNCTION engage.ledger_merge(p_absorbed uuid, p_survivor uuid, p_actor text, p_now timestamptz, p_handlers jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  c engage.ledger_call; b engage.ledger_book; r engage.ledger_book; a record; v_rings jsonb := '[]';
  v_before engage.ledger_book; v_out uuid; v_refusal jsonb;
BEGIN
  c.actor := p_actor; c.now := p_now; c.handlers := p_handlers;
  v_rings := v_rings || engage.ledger_end_offers(c, p_absorbed, p_survivor);
  PERFORM engage.ledger_thaw(p_absorbed, f.at, p_now) FROM engage.member_frozen_at(p_absorbed) AS f (at)
    WHERE f.at IS NOT NULL;
  FOR a IN SELECT x.currency_id, u.program_code, u.kind FROM accounts x JOIN currencies u ON u.id = x.currency_id
            WHERE x.member_id = p_absorbed ORDER BY u.program_code, u.kind LOOP
    b := NULL; r := NULL;
    b.member := p_absorbed; r.member := p_survivor;
    b := engage.ledger_turn(c, b, a.program_code, a.kind);
    r := engage.ledger_ensure_account(c, engage.ledger_turn(c, r, a.program_code, a.kind), a.kind);
    v_refusal := coalesce(engage.ledger_beyond_limit(r, b.available + b.pending + b.held),
                          engage.ledger_debt_beyond_limit(r, b.debt));
    IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
    IF b.available + b.pending + b.held + b.debt > 0 THEN
      v_before := b;
      v_out := engage.uuid7(p_now);
      b := engage.ledger_merge_out(c, b, v_out);
      r := engage.ledger_merge_in(c, r, v_before, v_out);
      v_rings := v_rings || (SELECT jsonb_agg(to_jsonb(e)) FROM engage.ledger_say(c, ARRAY[b, r]) e);
    END IF;
    v_rings := v_rings || b.rings || r.rings;
  END LOOP;
  UPDATE gifts SET recipient_id = p_survivor WHERE recipient_id = p_absorbed AND state = 'OFFERED';
  UPDATE gifts SET sender_id = p_survivor WHERE sender_id = p_absorbed AND state = 'OFFERED';
  RETURN v_rings;
END $$;

-- End the gifts that two members have offered each other: nobody gives to themselves.
CREATE FUNCTION engage.ledger_end_offers(c engage.ledger_call, p_one uuid, p_two uuid) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; g gifts; h holds; v_rings jsonb := '[]';
BEGIN
  FOR g IN SELECT * FROM gifts x WHERE x.state = 'OFFERED' AND (x.sender_id, x.recipient_id) IN ((p_one, p_two), (p_two, p_one))
            ORDER BY x.id LOOP
    b := NULL;
    b.member := g.sender_id;
    b := engage.ledger_turn(c, b, g.program_code);
    SELECT * INTO h FROM holds WHERE id = g.id;
    IF h.state = 'OPEN' THEN
      UPDATE gifts SET state = 'WITHDRAWN', decided_at = c.now WHERE id = g.id;
      b := engage.ledger_let_go(c, b, ROW(engage.uuid7(c.now), 'MERGE', 'gift', g.id::text), h, h.remaining, 'RELEASED');
      b.rings := b.rings || (SELECT jsonb_agg(to_jsonb(e)) FROM engage.ledger_say(c, ARRAY[b]) e);
    END IF;
    v_rings := v_rings || b.rings;
  END LOOP;
  RETURN v_rings;
END $$;

-- All that an account has goes out of it.
CREATE FUNCTION engage.ledger_merge_out(c engage.ledger_call, b engage.ledger_book, p_transfer uuid)
RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_lots uuid[]; v_takes bigint[]; v_helds bigint[];
BEGIN
  SELECT coalesce(array_agg(l.id ORDER BY l.id), '{}'), array_agg(-l.remaining ORDER BY l.id),
         array_agg(-l.held ORDER BY l.id)
    INTO v_lots, v_takes, v_helds FROM engage.ledger_lots_with_points(b.account) l;
  b.due_at := NULL;
  RETURN engage.ledger_post(
    c, b, 'MERGE_OUT', ROW(p_transfer, 'MERGE', NULL, NULL), ARRAY['AVAILABLE', 'PENDING', 'HELD', 'DEBT', 'TRANSFERRED'],
    ARRAY[-b.available, -b.pending, -b.held, b.debt, b.available + b.pending + b.held - b.debt], v_lots, v_takes, v_helds);
END $$;

CREATE FUNCTION engage.ledger_lots_with_points(p_account uuid) RETURNS SETOF lots LANGUAGE sql STABLE AS $$
  SELECT * FROM engage.ledger_live_lots(p_account)
  UNION
  SELECT l.* FROM holds h CROSS JOIN LATERAL unnest(h.lots) AS t (lot) JOIN lots l ON l.id = t.lot
   WHERE h.account_id = p_account AND h.state = 'OPEN'
$$;

-- It arrives in the survivor's account: a successor for each lot, under the same holds; `p_before` is the book of the
-- absorbed before it was emptied.
CREATE FUNCTION engage.ledger_merge_in(
  c engage.ledger_call, r engage.ledger_book, p_before engage.ledger_book, p_out uuid
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := engage.uuid7(c.now);
BEGIN
  r.due_at := least(r.due_at, p_before.due_at);
  r.idle := r.idle OR p_before.idle;
  r := engage.ledger_post(
    c, r, 'MERGE_IN', ROW(v_id, 'MERGE', NULL, NULL), ARRAY['AVAILABLE', 'PENDING', 'HELD', 'DEBT', 'TRANSFERRED'],
    ARRAY[p_before.available, p_before.pending, p_before.held, -p_before.debt,
          p_before.debt - p_before.available - p_before.pending - p_before.held], p_refers => p_out);
  UPDATE accounts SET idle = r.idle WHERE id = r.account;
  INSERT INTO lots (id, account_id, member_id, state, amount, remaining, held, earned_at, usable_at, expires_at, idle,
                    fixed_end, source_id, origin_lot_id, hops)
    SELECT engage.uuid7(c.now), r.account, r.member,
           CASE WHEN a.amount = 0 THEN 'CLOSED' WHEN l.usable_at <= c.now THEN 'OPEN' ELSE 'PENDING' END,
           -a.amount - a.held, -a.amount, -a.held, l.earned_at, l.usable_at, l.expires_at, l.idle, l.fixed_end, v_id, l.id, l.hops
      FROM allocations a JOIN lots l ON l.id = a.lot_id WHERE a.transfer_id = p_out;
  INSERT INTO allocations (transfer_id, lot_id, amount, held)
    SELECT v_id, l.id, -l.held, l.held FROM lots l WHERE l.source_id = v_id AND l.held > 0;
  UPDATE holds h SET account_id = r.account, member_id = r.member, lots = (
      SELECT array_agg(n.id ORDER BY t.ord) FROM unnest(h.lots) WITH ORDINALITY AS t (lot, ord)
        JOIN lots n ON n.origin_lot_id = t.lot AND n.source_id = v_id)
    WHERE h.account_id = p_before.account AND h.state = 'OPEN';
  UPDATE debts SET account_id = r.account WHERE account_id = p_before.account AND remaining > 0;
  RETURN r;
END $$;

-- After a thaw: what stood still since the freeze goes on. Ends and deadlines move by as long as that was, the ends of
-- points that became usable later by as long as they were. The caller holds the member's lock; the member is not frozen
-- any more.
CREATE FUNCTION engage.ledger_thaw(p_member uuid, p_frozen_at timestamptz, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_still interval := p_now - p_frozen_at; v_accounts uuid[];
BEGIN
  v_accounts := ARRAY(SELECT id FROM accounts WHERE member_id = p_member);
  UPDATE lots l SET expires_at = l.expires_at + (p_now - greatest(p_frozen_at, least(l.usable_at, p_now)))
    FROM transfers t  -- lots that are used up too: their points may come back
   WHERE t.account_id = ANY (v_accounts) AND l.source_id = t.id AND l.expires_at > p_frozen_at;
  UPDATE holds SET deadline = deadline + v_still
   WHERE account_id = ANY (v_accounts) AND state = 'OPEN' AND deadline > p_frozen_at;
  UPDATE gifts SET deadline = deadline + v_still
   WHERE sender_id = p_member AND state = 'OFFERED' AND deadline > p_frozen_at;
  UPDATE accounts a SET next_due_at = least(
      engage.ledger_next_due(a.id, p_now, false), CASE WHEN a.next_due_at <= p_now THEN a.next_due_at END)
    WHERE a.id = ANY (v_accounts);
END $$;
