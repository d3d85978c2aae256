-- What every command of the ledger is made of: enter a member's book, post transfers in it, finish with an answer.
-- A command is one statement for its caller. Inside it: lock the member → look the key up → post what is due → decide →
-- post → take the stream's positions → save the answer. Refusals are values; an SQL error means a fault.

-- What comes with every command: where its answer is kept, who asks, when, and who is to be told of its events.
CREATE TYPE engage.ledger_call AS (
  key uuid, input_hash bytea, keep_until timestamptz, actor text, now timestamptz, handlers jsonb);

-- What the command's transfer is to say: its id, which the caller has made, the reason and what it goes back to.
CREATE TYPE engage.ledger_memo AS (transfer uuid, reason text, cause_type text, cause_id text);

-- One account while a command works on it: its figures, and the events to come. `answer` is set where the command
-- has ended already: by a refusal, or by the first answer under its key.
CREATE TYPE engage.ledger_book AS (
  answer jsonb, rings jsonb, member uuid, state text, program text, currency uuid, account uuid,
  available bigint, pending bigint, held bigint, debt bigint, version bigint, due_at timestamptz, idle boolean,
  names text[], data jsonb[]);

CREATE FUNCTION engage.ledger_currency(p_program text, p_kind text DEFAULT 'POINTS') RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT id FROM currencies WHERE program_code = p_program AND kind = p_kind
$$;

-- The same, opening the books of a program with its first movement: the currency and the accounts of the house.
-- NULL for an unknown program.
CREATE FUNCTION engage.ledger_open(p_program text, p_now timestamptz, p_kind text DEFAULT 'POINTS') RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  v_currency uuid := engage.ledger_currency(p_program, p_kind);
BEGIN
  IF v_currency IS NOT NULL OR engage.program_id(p_program) IS NULL THEN RETURN v_currency; END IF;
  INSERT INTO currencies (id, program_id, program_code, kind)
    VALUES (engage.uuid7(p_now), engage.program_id(p_program), p_program, p_kind) ON CONFLICT DO NOTHING;
  v_currency := engage.ledger_currency(p_program, p_kind);
  INSERT INTO accounts (id, currency_id, kind)
    SELECT engage.uuid7(p_now), v_currency, kind
      FROM unnest(ARRAY['ISSUED', 'REDEEMED', 'EXPIRED', 'FORFEITED', 'DONATED', 'EXCHANGED', 'ADJUSTED', 'TRANSFERRED',
                        'FEES']) AS kind
    ON CONFLICT DO NOTHING;
  RETURN v_currency;
END $$;

CREATE FUNCTION engage.ledger_house(p_currency uuid, p_kind text) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT id FROM accounts WHERE currency_id = p_currency AND kind = p_kind AND member_id IS NULL
$$;

-- The name of the event that tells of a transfer.
CREATE FUNCTION engage.ledger_event_name(p_kind text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'ledger.' || CASE p_kind
    WHEN 'EARN' THEN 'points_earned' WHEN 'SPEND' THEN 'points_spent' WHEN 'MATURE' THEN 'points_matured'
    WHEN 'EXPIRE' THEN 'points_expired' WHEN 'CONFIRM' THEN 'points_confirmed' WHEN 'HOLD' THEN 'points_held'
    WHEN 'CAPTURE' THEN 'hold_captured' WHEN 'RELEASE' THEN 'hold_released' WHEN 'REVERSE' THEN 'points_returned'
    WHEN 'CLAWBACK' THEN 'points_clawed_back' WHEN 'DEBT_PAID' THEN 'debt_paid' WHEN 'GIFT' THEN 'points_gifted'
    WHEN 'RECEIVE' THEN 'gift_received' WHEN 'FEE' THEN 'fee_charged' WHEN 'DONATE' THEN 'points_donated'
    WHEN 'EXCHANGE_OUT' THEN 'points_exchanged' WHEN 'EXCHANGE_IN' THEN 'exchange_received'
    WHEN 'DEDUCT' THEN 'points_deducted' WHEN 'RESTORE' THEN 'points_restored'
    WHEN 'ADJUST_UP' THEN 'points_added' WHEN 'ADJUST_DOWN' THEN 'points_removed'
    WHEN 'TOP_UP' THEN 'value_topped_up' WHEN 'REFUND' THEN 'value_refunded'
    WHEN 'MERGE_OUT' THEN 'points_merged_away' WHEN 'MERGE_IN' THEN 'points_merged_in' END || '.v1'
$$;

-- Whether a transfer of a kind takes points from its member: what a statement shows with a minus.
CREATE FUNCTION engage.ledger_takes(p_kind text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT p_kind IN ('SPEND', 'EXPIRE', 'HOLD', 'CAPTURE', 'CLAWBACK', 'DEBT_PAID', 'GIFT', 'FEE', 'DONATE',
                    'EXCHANGE_OUT', 'DEDUCT', 'ADJUST_DOWN', 'REFUND', 'MERGE_OUT')
$$;

-- Figures of an account as events and answers carry them. STABLE, as what it calls is: so the planner inlines it.
CREATE FUNCTION engage.ledger_figures(p_available bigint, p_pending bigint, p_held bigint, p_debt bigint)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('available', p_available, 'pending', p_pending, 'held', p_held, 'debt', p_debt)
$$;

-- What an event of the ledger holds: ids, figures and codes.
CREATE FUNCTION engage.ledger_event(
  p_member uuid, p_program text, p_transfer uuid, p_kind text, p_amount bigint, p_reason text,
  p_cause_type text, p_cause_id text, p_now timestamptz, p_balance jsonb,
  p_currency text DEFAULT 'POINTS', p_refers uuid DEFAULT NULL, p_reverses uuid DEFAULT NULL
) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('member_id', p_member, 'program', p_program, 'transfer_id', p_transfer, 'kind', p_kind,
    'amount', p_amount, 'reason', p_reason, 'cause_type', p_cause_type, 'cause_id', p_cause_id, 'posted_at', p_now,
    'balance', p_balance, 'currency', p_currency, 'refers_id', p_refers, 'reverses_id', p_reverses)
$$;

-- The refusal of a member in a state that lets nothing move this way.
CREATE FUNCTION engage.ledger_inactive(p_state text, p_what text DEFAULT 'memberId') RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('refusal', 'MEMBER_NOT_ACTIVE', 'state', p_state, 'what', p_what)
$$;

CREATE FUNCTION engage.ledger_missing(p_what text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('refusal', 'NOT_FOUND', 'what', p_what)
$$;

-- A refusal that tells of what was posted on the way because it was due: in these books, whose changes stay.
CREATE FUNCTION engage.ledger_refused(p_refusal jsonb, VARIADIC p_books engage.ledger_book[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT p_refusal || jsonb_build_object('rings', (
    SELECT coalesce(jsonb_agg(e.value ORDER BY b.ordinality, e.ordinality), '[]')
      FROM unnest(p_books) WITH ORDINALITY AS b
     CROSS JOIN jsonb_array_elements(b.rings) WITH ORDINALITY AS e (value, ordinality)))
$$;

-- Take the member's lock, look the key up, judge the member's state, and open the book of one of their accounts with
-- everything posted that is due. Where they never had an account the book has none, and zeros.
CREATE FUNCTION engage.ledger_enter(
  c engage.ledger_call, p_member uuid, p_program text, p_states text[], p_kind text DEFAULT 'POINTS'
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  b engage.ledger_book;
BEGIN
  SELECT m.id, m.state INTO b.member, b.state FROM engage.members_lock(p_member) m;
  IF b.member IS NULL THEN b.answer := engage.ledger_missing('memberId'); RETURN b; END IF;
  b.answer := engage.idempotency_find(c.key, c.input_hash);
  IF b.answer IS NOT NULL THEN RETURN b; END IF;
  IF b.state <> ALL (p_states) THEN b.answer := engage.ledger_inactive(b.state); RETURN b; END IF;
  RETURN engage.ledger_turn(c, b, p_program, p_kind);
END $$;

-- Open the book of another account of the same member, whose lock is held.
CREATE FUNCTION engage.ledger_turn(
  c engage.ledger_call, b engage.ledger_book, p_program text, p_kind text DEFAULT 'POINTS'
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
BEGIN
  b.program := p_program;
  b.currency := engage.ledger_currency(p_program, p_kind);
  IF b.currency IS NULL AND engage.program_id(p_program) IS NULL THEN
    b.answer := engage.ledger_missing('program');
    RETURN b;
  END IF;
  b.rings := coalesce(b.rings, '[]');
  b.names := '{}';
  b.data := '{}';
  b := engage.ledger_figures_now(b);
  IF b.due_at <= c.now THEN b := engage.ledger_settled(c, b); END IF;
  RETURN b;
END $$;

-- Post what is due on the book's account, and read its figures again.
CREATE FUNCTION engage.ledger_settled(c engage.ledger_call, b engage.ledger_book) RETURNS engage.ledger_book
LANGUAGE plpgsql AS $$
BEGIN
  b.rings := b.rings || (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]')
                           FROM engage.ledger_settle(ARRAY[b.account], c.now, c.handlers) s);
  RETURN engage.ledger_figures_now(b);
END $$;

CREATE FUNCTION engage.ledger_figures_now(b engage.ledger_book) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
BEGIN
  SELECT a.id, a.available, a.pending, a.held, a.debt, a.version, a.next_due_at, a.idle
    INTO b.account, b.available, b.pending, b.held, b.debt, b.version, b.due_at, b.idle
    FROM accounts a WHERE a.member_id = b.member AND a.currency_id = b.currency;
  IF NOT FOUND THEN
    b.available := 0; b.pending := 0; b.held := 0; b.debt := 0; b.version := 0; b.idle := false;
  END IF;
  RETURN b;
END $$;

-- Give the book an account where the member has none yet.
CREATE FUNCTION engage.ledger_ensure_account(c engage.ledger_call, b engage.ledger_book, p_kind text DEFAULT 'POINTS')
RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
BEGIN
  IF b.account IS NOT NULL THEN RETURN b; END IF;
  b.currency := engage.ledger_open(b.program, c.now, p_kind);
  b.account := engage.uuid7(c.now);
  INSERT INTO accounts (id, currency_id, kind, member_id) VALUES (b.account, b.currency, 'MEMBER', b.member);
  RETURN b;
END $$;

-- Post one transfer. `p_legs` name buckets of the member or accounts of the house, `p_amounts` are signed and sum to
-- zero; legs of 0 are left out. `p_takes` change what remains of the lots, `p_helds` what is held of them.
CREATE FUNCTION engage.ledger_post(
  c engage.ledger_call, b engage.ledger_book, p_kind text, m engage.ledger_memo, p_legs text[], p_amounts bigint[],
  p_lots uuid[] DEFAULT '{}', p_takes bigint[] DEFAULT '{}', p_helds bigint[] DEFAULT '{}',
  p_refers uuid DEFAULT NULL, p_reverses uuid DEFAULT NULL
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_accounts uuid[] := '{}'; v_buckets text[] := '{}'; v_amounts bigint[] := '{}';
  v_afters bigint[] := '{}'; v_versions bigint[] := '{}';
  v_amount bigint := 0; v_after bigint; v_leg text; v_move bigint;
BEGIN
  FOR v_leg, v_move IN SELECT * FROM unnest(p_legs, p_amounts) LOOP
    CONTINUE WHEN v_move = 0;
    v_amount := v_amount + greatest(v_move, 0);
    v_amounts := v_amounts || v_move;
    IF v_leg IN ('AVAILABLE', 'PENDING', 'HELD', 'DEBT') THEN
      CASE v_leg
        WHEN 'AVAILABLE' THEN b.available := b.available + v_move; v_after := b.available;
        WHEN 'PENDING' THEN b.pending := b.pending + v_move; v_after := b.pending;
        WHEN 'HELD' THEN b.held := b.held + v_move; v_after := b.held;
        ELSE b.debt := b.debt - v_move; v_after := -b.debt;
      END CASE;
      b.version := b.version + 1;
      v_accounts := v_accounts || b.account;
      v_buckets := v_buckets || v_leg;
      v_afters := v_afters || v_after;
      v_versions := v_versions || b.version;
    ELSE
      v_accounts := v_accounts || engage.ledger_house(b.currency, v_leg);
      v_buckets := v_buckets || 'HOUSE'::text;
      v_afters := v_afters || NULL::bigint;
      v_versions := v_versions || NULL::bigint;
    END IF;
  END LOOP;
  INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, cause_type, cause_id, actor_id,
                         posted_at, balance_after, version_after, refers_id, reverses_id)
    VALUES (m.transfer, b.member, b.currency, b.account, p_kind, v_amount, m.reason, m.cause_type, m.cause_id, c.actor,
            c.now, b.available, b.version, p_refers, p_reverses);
  INSERT INTO entries (transfer_id, account_id, bucket, amount, balance_after, version)
    SELECT m.transfer, e.* FROM unnest(v_accounts, v_buckets, v_amounts, v_afters, v_versions) AS e;
  IF cardinality(p_lots) > 0 THEN
    b := engage.ledger_allocate(c, b, m.transfer, p_lots, p_takes, p_helds);
  END IF;
  UPDATE accounts SET available = b.available, pending = b.pending, held = b.held, debt = b.debt, version = b.version,
                      next_due_at = b.due_at WHERE id = b.account;
  IF b.idle THEN b := engage.ledger_stir(c, b, p_kind); END IF;
  b.names := b.names || engage.ledger_event_name(p_kind);
  b.data := b.data || engage.ledger_event(
    b.member, b.program, m.transfer, p_kind, CASE WHEN engage.ledger_takes(p_kind) THEN -v_amount ELSE v_amount END,
    m.reason, m.cause_type, m.cause_id, c.now, engage.ledger_figures(b.available, b.pending, b.held, b.debt),
    (SELECT kind FROM currencies WHERE id = b.currency), p_refers, p_reverses);
  RETURN b;
END $$;

-- Change what remains of lots and what is held of them, in the order given, and say which transfer did. One lot after
-- another: there are few, and each look-up stays on its index under any plan.
CREATE FUNCTION engage.ledger_allocate(
  c engage.ledger_call, b engage.ledger_book, p_transfer uuid, p_lots uuid[], p_takes bigint[], p_helds bigint[]
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_take bigint; v_hold bigint; l record;
BEGIN
  FOR i IN 1..cardinality(p_lots) LOOP
    v_take := coalesce(p_takes[i], 0);
    v_hold := coalesce(p_helds[i], 0);
    CONTINUE WHEN v_take = 0 AND v_hold = 0;
    INSERT INTO allocations (transfer_id, lot_id, amount, held) VALUES (p_transfer, p_lots[i], v_take, v_hold);
    UPDATE lots SET remaining = remaining + v_take, held = held + v_hold,
        state = CASE WHEN remaining + v_take = 0 THEN 'CLOSED' WHEN state <> 'CLOSED' THEN state
                     WHEN usable_at <= c.now THEN 'OPEN' ELSE 'PENDING' END
      WHERE id = p_lots[i] RETURNING state, usable_at, expires_at INTO l;
    IF v_take > 0 THEN
      b.due_at := least(b.due_at, l.expires_at, CASE WHEN l.state = 'PENDING' THEN l.usable_at END);
    END IF;
  END LOOP;
  RETURN b;
END $$;

-- Make a lot of points that a transfer brought. `p_usable` NULL: when they are confirmed. `p_fixed`: its end was given,
-- and is not the policy's.
CREATE FUNCTION engage.ledger_add_lot(
  c engage.ledger_call, b engage.ledger_book, p_source uuid, p_amount bigint, p_earned timestamptz,
  p_usable timestamptz, p_expires timestamptz, p_idle boolean, p_origin uuid DEFAULT NULL, p_hops int DEFAULT 0,
  p_fixed boolean DEFAULT false
) RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_pending boolean := p_usable IS NULL OR p_usable > c.now;
BEGIN
  INSERT INTO lots (id, account_id, member_id, state, amount, remaining, earned_at, usable_at, expires_at, idle,
                    fixed_end, source_id, origin_lot_id, hops)
    VALUES (engage.uuid7(c.now), b.account, b.member, CASE WHEN v_pending THEN 'PENDING' ELSE 'OPEN' END, p_amount,
            p_amount, p_earned, p_usable, p_expires, p_idle, p_fixed, p_source, p_origin, p_hops);
  b.due_at := least(b.due_at, p_expires, CASE WHEN v_pending THEN p_usable END);
  b.idle := b.idle OR p_idle;
  UPDATE accounts SET next_due_at = b.due_at, idle = b.idle WHERE id = b.account;
  RETURN b;
END $$;

-- Points that expire by inactivity live on with what the program's policy counts as activity, held ones too. What has
-- expired does not, though it may have come back to its lot in this very command.
CREATE FUNCTION engage.ledger_stir(c engage.ledger_call, b engage.ledger_book, p_activity text)
RETURNS engage.ledger_book LANGUAGE plpgsql AS $$
DECLARE
  v_policy points_policies := engage.ledger_policy(b.program, c.now);
  v_until timestamptz; v_lapsed timestamptz := engage.ledger_until(b.member, c.now);
BEGIN
  IF v_policy.expiry_kind <> 'INACTIVITY' OR NOT v_policy.expiry_activities ? p_activity THEN RETURN b; END IF;
  v_until := engage.ledger_expiry(v_policy, engage.program_zone(b.program), c.now);
  UPDATE lots SET expires_at = v_until
   WHERE account_id = b.account AND state = 'OPEN' AND idle AND expires_at > v_lapsed AND expires_at < v_until;
  UPDATE lots SET expires_at = v_until
   WHERE account_id = b.account AND state = 'PENDING' AND idle AND expires_at < v_until;
  IF b.held > 0 THEN
    UPDATE lots SET expires_at = v_until
     WHERE id IN (SELECT unnest(h.lots) FROM holds h WHERE h.account_id = b.account AND h.state = 'OPEN')
       AND state = 'CLOSED' AND idle AND expires_at > v_lapsed AND expires_at < v_until;
  END IF;
  RETURN b;
END $$;

-- Record the events of the book, in order, save the answer under the key and give it: the event of the first transfer,
-- with the balance that the command leaves behind, and `p_extra`. What came back to lots that have expired is posted.
CREATE FUNCTION engage.ledger_finish(
  c engage.ledger_call, b engage.ledger_book, p_extra jsonb DEFAULT '{}', p_others engage.ledger_book[] DEFAULT '{}'
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_answer jsonb := b.data[1]; v_position bigint; v_name text; v_rings jsonb; o engage.ledger_book;
BEGIN
  IF cardinality(b.names) = 1 AND cardinality(p_others) = 0 THEN
    v_name := b.names[1];
    v_position := engage.record_event(engage.uuid7(c.now), 'member:' || b.member, v_name, b.data[1], c.now, c.handlers);
    b.rings := b.rings || jsonb_build_object('stream', 'member:' || b.member, 'position', v_position, 'name', v_name,
                                             'data', b.data[1]);
  ELSE
    SELECT jsonb_agg(to_jsonb(e)), max(e.position) FILTER (WHERE e.stream = 'member:' || b.member)
      INTO v_rings, v_position
      FROM engage.ledger_say(c, b || p_others) e;
    b.rings := b.rings || v_rings;
  END IF;
  IF b.due_at <= c.now THEN b := engage.ledger_settled(c, b); END IF;
  FOREACH o IN ARRAY p_others LOOP
    IF o.due_at <= c.now THEN o := engage.ledger_settled(c, o); END IF;
    b.rings := b.rings || coalesce(o.rings, '[]');
  END LOOP;
  v_answer := v_answer || p_extra || jsonb_build_object(
    'balance', engage.ledger_figures(b.available, b.pending, b.held, b.debt), 'position', v_position,
    'replayed', false);
  IF c.key IS NOT NULL THEN
    PERFORM engage.idempotency_save(c.key, c.input_hash, v_answer, c.keep_until);
  END IF;
  RETURN v_answer || jsonb_build_object('rings', b.rings);
END $$;

-- Record the events of several books.
CREATE FUNCTION engage.ledger_say(c engage.ledger_call, p_books engage.ledger_book[])
RETURNS TABLE (stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
DECLARE
  v_streams text[] := '{}'; v_names text[] := '{}'; v_data jsonb[] := '{}'; b engage.ledger_book;
BEGIN
  FOREACH b IN ARRAY p_books LOOP
    v_streams := v_streams || array_fill('member:' || b.member, ARRAY[cardinality(b.names)]);
    v_names := v_names || b.names;
    v_data := v_data || b.data;
  END LOOP;
  RETURN QUERY SELECT * FROM engage.record_events(v_streams, v_names, v_data, c.now, c.handlers);
END $$;
