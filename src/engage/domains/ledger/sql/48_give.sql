-- Points that go from one account to another: gifts, exchanges between programs, merges. Each is a transfer out of one
-- account and one into the other; what arrives are lots that name the ones they came from.

-- Bring points that left lots of another account into this one: a lot each, which keeps its end or gets a new one.
-- `p_numerator` for `p_denominator`, rounded down over the whole, so that nothing is lost to many small lots. `div` is
-- exact, where a quotient would have been rounded up before `floor` sees it.
CREATE FUNCTION engage.ledger_bring(
  c engage.ledger_call, b engage.ledger_book, p_source uuid, p_lots uuid[], p_takes bigint[], p_renew boolean,
  p_hops int DEFAULT 0, p_numerator bigint DEFAULT 1, p_denominator bigint DEFAULT 1
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_policy points_policies := engage.ledger_policy(b.program, c.now);
  v_zone text := engage.program_zone(b.program);
  v_lot record;
BEGIN
  FOR v_lot IN
    SELECT l.*, div(g.upto * p_numerator, p_denominator)::bigint
                - div((g.upto - g.take) * p_numerator, p_denominator)::bigint AS arrives
      FROM (SELECT u.lot, u.ord, u.take, sum(u.take) OVER (ORDER BY u.ord) AS upto
              FROM unnest(p_lots, p_takes) WITH ORDINALITY AS u (lot, take, ord)) g
      JOIN lots l ON l.id = g.lot ORDER BY g.ord LOOP
    CONTINUE WHEN v_lot.arrives = 0;
    b := engage.ledger_add_lot(
      c, b, p_source, v_lot.arrives, v_lot.earned_at, c.now,
      CASE WHEN p_renew THEN engage.ledger_expiry(v_policy, v_zone, c.now)
           ELSE engage.ledger_returned_expiry(v_lot.expires_at, c.now, v_policy, v_zone) END,
      CASE WHEN p_renew THEN v_policy.expiry_kind = 'INACTIVITY' ELSE v_lot.idle END, v_lot.id, v_lot.hops + p_hops,
      NOT p_renew AND v_lot.fixed_end);
  END LOOP;
  RETURN b;
END $$;

-- Lock two members in sorted order, wherever merges have led.
CREATE FUNCTION engage.ledger_lock_both(p_one uuid, p_two uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM engage.members_lock(least(p_one, p_two));
  PERFORM FROM engage.members_lock(greatest(p_one, p_two));
END $$;

-- The book of the one who is to receive: refused with `p_what` where they may not.
CREATE FUNCTION engage.ledger_receiver(c engage.ledger_call, p_member uuid, p_program text, p_what text)
RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  r engage.ledger_book;
BEGIN
  SELECT m.id, m.state INTO r.member, r.state FROM engage.members_lock(p_member) m;
  IF r.member IS NULL THEN r.answer := engage.ledger_missing(p_what); RETURN r; END IF;
  IF r.state <> 'ACTIVE' THEN r.answer := engage.ledger_inactive(r.state, p_what); RETURN r; END IF;
  RETURN engage.ledger_turn(c, r, p_program);
END $$;

-- Why a gift goes beyond the program's limits, or NULL: points and gifts of one day in the program's zone, and points
-- that were given on too often already.
CREATE FUNCTION engage.ledger_gift_refusal(
  c engage.ledger_call, b engage.ledger_book, p_policy points_policies, p_amount bigint, p_fee bigint, p_day date
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_points bigint; v_count bigint; v_givable bigint;
BEGIN
  SELECT coalesce(sum(g.amount), 0), count(*) INTO v_points, v_count FROM gifts g
   WHERE g.sender_id = b.member AND g.program_code = b.program AND g.day = p_day
     AND g.state IN ('GIVEN', 'OFFERED', 'ACCEPTED');
  IF v_points + p_amount > p_policy.gift_daily_points THEN
    RETURN jsonb_build_object('refusal', 'GIFT_LIMIT', 'limit_kind', 'DAILY_POINTS', 'limit', p_policy.gift_daily_points,
                              'remaining', greatest(p_policy.gift_daily_points - v_points, 0), 'rings', b.rings);
  END IF;
  IF v_count >= p_policy.gift_daily_count THEN
    RETURN jsonb_build_object('refusal', 'GIFT_LIMIT', 'limit_kind', 'DAILY_COUNT', 'limit', p_policy.gift_daily_count,
                              'remaining', 0, 'rings', b.rings);
  END IF;
  IF b.available < p_amount + p_fee THEN RETURN engage.ledger_insufficient(b, p_amount + p_fee); END IF;
  SELECT coalesce(sum(l.remaining), 0) INTO v_givable FROM lots l
   WHERE l.account_id = b.account AND l.state = 'OPEN' AND l.hops <= p_policy.gift_hops_max;
  IF v_givable < p_amount + p_fee THEN
    RETURN jsonb_build_object('refusal', 'GIFT_LIMIT', 'limit_kind', 'HOPS', 'limit', p_policy.gift_hops_max,
                              'remaining', greatest(v_givable - p_fee, 0), 'rings', b.rings);
  END IF;
  RETURN NULL;
END $$;

-- The sender's side of a gift: the points go out of what is available or held, and the fee with them, from the last
-- lots.
CREATE FUNCTION engage.ledger_send(
  c engage.ledger_call, b engage.ledger_book, m engage.ledger_memo, t engage.ledger_taking, p_amount bigint,
  p_fee bigint, p_source text, p_refers uuid DEFAULT NULL
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_part engage.ledger_taking := engage.ledger_slice(t.lots, t.takes, 0, p_amount);
  v_held boolean := p_source = 'HELD';
BEGIN
  b := engage.ledger_post(c, b, 'GIFT', m, ARRAY[p_source, 'TRANSFERRED'], ARRAY[-p_amount, p_amount], v_part.lots,
                          CASE WHEN NOT v_held THEN v_part.minus END, CASE WHEN v_held THEN v_part.minus END, p_refers);
  IF p_fee > 0 THEN
    v_part := engage.ledger_slice(t.lots, t.takes, p_amount, p_amount + p_fee);
    b := engage.ledger_post(c, b, 'FEE', ROW(engage.uuid7(c.now), 'GIFT_FEE', NULL, NULL), ARRAY[p_source, 'FEES'],
                            ARRAY[-p_fee, p_fee], v_part.lots, CASE WHEN NOT v_held THEN v_part.minus END,
                            CASE WHEN v_held THEN v_part.minus END, m.transfer);
  END IF;
  RETURN b;
END $$;

-- The recipient's side of a gift.
CREATE FUNCTION engage.ledger_receive(
  c engage.ledger_call, r engage.ledger_book, m engage.ledger_memo, t engage.ledger_taking, p_amount bigint,
  p_policy points_policies, p_gift uuid
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := engage.uuid7(c.now);
  v_part engage.ledger_taking := engage.ledger_slice(t.lots, t.takes, 0, p_amount);
BEGIN
  r := engage.ledger_ensure_account(c, r);
  r := engage.ledger_post(c, r, 'RECEIVE', ROW(v_id, m.reason, m.cause_type, m.cause_id), ARRAY['AVAILABLE', 'TRANSFERRED'],
                          ARRAY[p_amount, -p_amount], p_refers => p_gift);
  r := engage.ledger_bring(c, r, v_id, v_part.lots, v_part.takes, p_policy.gift_expiry = 'RENEW', 1);
  IF r.debt > 0 THEN
    r := engage.ledger_pay_debts(c, r, ARRAY(SELECT l.id FROM lots l WHERE l.source_id = v_id
                                              ORDER BY l.expires_at, l.earned_at, l.origin_lot_id));
  END IF;
  RETURN r;
END $$;

-- Give points to another member: at once, or as an offer that holds them until it is accepted, as the program says.
CREATE FUNCTION engage.ledger_gift(
  c engage.ledger_call, m engage.ledger_memo, p_sender uuid, p_recipient uuid, p_program text, p_amount bigint,
  p_message text
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; r engage.ledger_book; v_policy points_policies; v_fee bigint; v_refusal jsonb;
  v_deadline timestamptz; v_day date; t engage.ledger_taking;
BEGIN
  PERFORM engage.ledger_lock_both(p_sender, p_recipient);
  b := engage.ledger_enter(c, p_sender, p_program, ARRAY['ACTIVE']);
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  r := engage.ledger_receiver(c, p_recipient, p_program, 'recipientId');
  IF r.answer IS NOT NULL THEN RETURN engage.ledger_refused(r.answer, b); END IF;
  IF r.member = b.member THEN RETURN engage.ledger_refused('{"refusal": "SAME_MEMBER"}', b); END IF;
  v_policy := engage.ledger_policy(p_program, c.now);
  v_fee := v_policy.gift_fee_fixed + ceil(p_amount::numeric * v_policy.gift_fee_per_mille / 1000)::bigint;
  v_day := (c.now AT TIME ZONE engage.program_zone(p_program))::date;
  v_refusal := coalesce(engage.ledger_gift_refusal(c, b, v_policy, p_amount, v_fee, v_day),
                        engage.ledger_beyond_limit(r, p_amount));
  IF v_refusal IS NOT NULL THEN RETURN engage.ledger_refused(v_refusal, b, r); END IF;
  t := engage.ledger_take(b, p_amount + v_fee, v_policy.gift_hops_max);
  v_deadline := engage.ledger_after(p_program, c.now, v_policy.gift_accept_within);
  IF v_deadline IS NOT NULL THEN
    b := engage.ledger_set_aside(c, b, m, t, v_deadline, 'GIFT');
  ELSE
    b := engage.ledger_send(c, b, m, t, p_amount, v_fee, 'AVAILABLE');
    r := engage.ledger_receive(c, r, m, t, p_amount, v_policy, m.transfer);
  END IF;
  INSERT INTO gifts (id, program_code, sender_id, recipient_id, amount, fee, state, day, deadline, created_at)
    VALUES (m.transfer, p_program, b.member, r.member, p_amount, v_fee,
            CASE WHEN v_deadline IS NULL THEN 'GIVEN' ELSE 'OFFERED' END, v_day, v_deadline, c.now);
  IF p_message IS NOT NULL THEN
    INSERT INTO transfer_notes (id, transfer_id, member_id, text)
      VALUES (engage.uuid7(c.now), m.transfer, b.member, p_message);
  END IF;
  RETURN engage.ledger_finish(
    c, b, jsonb_build_object('gift_id', m.transfer, 'fee', v_fee, 'deadline', v_deadline, 'recipient_id', r.member),
    CASE WHEN v_deadline IS NULL THEN ARRAY[r] ELSE '{}'::engage.ledger_book[] END);
END $$;

-- Accept a gift (by its recipient, whose side it answers), decline it, or withdraw it (by its sender, whose side both
-- answer), before its deadline.
CREATE FUNCTION engage.ledger_decide_gift(
  c engage.ledger_call, m engage.ledger_memo, p_gift uuid, p_decision text
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; r engage.ledger_book; g gifts; h holds; t engage.ledger_taking; v_extra jsonb; v_refusal jsonb;
BEGIN
  SELECT * INTO g FROM gifts WHERE id = p_gift;
  IF NOT FOUND THEN RETURN engage.ledger_missing('giftId'); END IF;
  PERFORM engage.ledger_lock_both(g.sender_id, g.recipient_id);
  b := engage.ledger_enter(c, g.sender_id, g.program_code, CASE p_decision
    WHEN 'ACCEPTED' THEN ARRAY['ACTIVE'] ELSE ARRAY['ACTIVE', 'FROZEN', 'SUSPENDED', 'CANCELLED'] END);
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  SELECT * INTO g FROM gifts WHERE id = p_gift;
  IF g.state <> 'OFFERED' THEN
    RETURN jsonb_build_object('refusal', 'GIFT_DECIDED', 'state', g.state, 'rings', b.rings);
  END IF;
  IF p_decision = 'ACCEPTED' THEN
    r := engage.ledger_receiver(c, g.recipient_id, g.program_code, 'recipientId');
    v_refusal := CASE WHEN r.answer IS NOT NULL THEN r.answer
                      WHEN r.member = b.member THEN '{"refusal": "SAME_MEMBER"}'  -- who has become one by a merge
                      ELSE engage.ledger_beyond_limit(r, g.amount) END;
    IF v_refusal IS NOT NULL THEN RETURN engage.ledger_refused(v_refusal, b, r); END IF;
  END IF;
  SELECT * INTO h FROM holds WHERE id = p_gift;
  v_extra := jsonb_build_object('gift_id', p_gift, 'fee', g.fee, 'deadline', g.deadline, 'recipient_id', g.recipient_id);
  IF p_decision <> 'ACCEPTED' THEN
    UPDATE gifts SET state = p_decision, decided_at = c.now WHERE id = p_gift;
    b := engage.ledger_let_go(c, b, ROW(m.transfer, p_decision, 'gift', p_gift::text), h, h.remaining, 'RELEASED');
    RETURN engage.ledger_finish(c, b, v_extra);
  END IF;
  UPDATE gifts SET state = p_decision, decided_at = c.now WHERE id = p_gift;
  t := ROW(h.lots, h.takes, NULL, h.remaining);
  UPDATE holds SET state = 'CAPTURED', remaining = 0, lots = '{}', takes = '{}', closed_at = c.now WHERE id = p_gift;
  b := engage.ledger_send(c, b, m, t, g.amount, g.fee, 'HELD', p_gift);
  r := engage.ledger_receive(c, r, m, t, g.amount, engage.ledger_policy(g.program_code, c.now), m.transfer);
  RETURN engage.ledger_finish(c, r, v_extra, ARRAY[b]);
END $$;

-- The rate between two programs that is in force at a moment.
CREATE FUNCTION engage.ledger_rate(p_from text, p_to text, p_now timestamptz) RETURNS exchange_rates
LANGUAGE sql STABLE AS $$
  SELECT * FROM exchange_rates r
   WHERE r.from_program = p_from AND r.to_program = p_to AND r.effective_at <= p_now
   ORDER BY r.version DESC LIMIT 1
$$;

-- Turn points of one program into points of another by the rate in force, rounded down. `p_rate` is the rate that the
-- member was shown; another one in force by now is refused.
CREATE FUNCTION engage.ledger_exchange(
  c engage.ledger_call, m engage.ledger_memo, p_member uuid, p_from text, p_to text, p_amount bigint, p_rate uuid
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book; r engage.ledger_book; v_rate exchange_rates; v_gets bigint; t engage.ledger_taking;
  v_id uuid := engage.uuid7(c.now); v_refusal jsonb;
BEGIN
  b := engage.ledger_enter(c, p_member, p_from, ARRAY['ACTIVE']);
  IF b.answer IS NOT NULL THEN RETURN b.answer; END IF;
  IF engage.program_id(p_to) IS NULL THEN
    RETURN engage.ledger_refused(engage.ledger_missing('toProgram'), b);
  END IF;
  v_rate := engage.ledger_rate(p_from, p_to, c.now);
  IF v_rate.id IS NULL OR v_rate.ends_at <= c.now OR v_rate.id <> p_rate THEN
    RETURN jsonb_build_object('refusal', 'RATE_NOT_IN_FORCE', 'rings', b.rings,
                              'rate_id', CASE WHEN v_rate.ends_at <= c.now THEN NULL ELSE v_rate.id END);
  END IF;
  IF b.available < p_amount THEN RETURN engage.ledger_insufficient(b, p_amount); END IF;
  v_gets := least(div(p_amount::numeric * v_rate.numerator, v_rate.denominator), 9007199254740992);  -- is refused below
  r.member := b.member; r.state := b.state;
  r := engage.ledger_turn(c, r, p_to);
  v_refusal := CASE WHEN v_gets = 0 THEN
    jsonb_build_object('refusal', 'TOO_LITTLE',
                       'minimum', ceil(v_rate.denominator::numeric / v_rate.numerator)::bigint)
    ELSE engage.ledger_beyond_limit(r, v_gets) END;
  IF v_refusal IS NOT NULL THEN RETURN engage.ledger_refused(v_refusal, b, r); END IF;
  t := engage.ledger_take(b, p_amount);
  b := engage.ledger_post(c, b, 'EXCHANGE_OUT', m, ARRAY['AVAILABLE', 'EXCHANGED'], ARRAY[-p_amount, p_amount],
                          t.lots, t.minus);
  r := engage.ledger_ensure_account(c, r);
  r := engage.ledger_post(c, r, 'EXCHANGE_IN', ROW(v_id, m.reason, m.cause_type, m.cause_id),
                          ARRAY['AVAILABLE', 'EXCHANGED'], ARRAY[v_gets, -v_gets], p_refers => m.transfer);
  r := engage.ledger_bring(c, r, v_id, t.lots, t.takes,
                           (engage.ledger_policy(p_to, c.now)).exchange_expiry = 'RENEW', 0,
                           v_rate.numerator, v_rate.denominator);
  IF r.debt > 0 THEN
    r := engage.ledger_pay_debts(c, r, ARRAY(SELECT l.id FROM lots l WHERE l.source_id = v_id
                                              ORDER BY l.expires_at, l.earned_at, l.origin_lot_id));
  END IF;
  RETURN engage.ledger_finish(c, b, jsonb_build_object(
    'rate_id', v_rate.id, 'received', v_gets, 'received_transfer_id', v_id,
    'received_balance', engage.ledger_figures(r.available, r.pending, r.held, r.debt)), ARRAY[r]);
END $$;
