-- The lots of a program's accounts change with time alone: pending ones become usable, open ones expire. What is due
-- is posted by `ledger_settle`, inside the next command on the account or by the sweep; until then reads work with
-- `ledger_effective`, so that a late sweep never makes a balance wrong (design/ledger, rule 1).

CREATE FUNCTION engage.ledger_currency(p_program text) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT id FROM currencies WHERE program_code = p_program AND kind = 'POINTS'
$$;

-- The same, opening the books of a program with its first movement: the currency and the accounts of the house.
-- NULL for an unknown program.
CREATE FUNCTION engage.ledger_open(p_program text, p_now timestamptz) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  v_currency uuid := engage.ledger_currency(p_program);
BEGIN
  IF v_currency IS NOT NULL OR engage.program_id(p_program) IS NULL THEN RETURN v_currency; END IF;
  INSERT INTO currencies (id, program_id, program_code, kind)
    VALUES (engage.uuid7(p_now), engage.program_id(p_program), p_program, 'POINTS') ON CONFLICT DO NOTHING;
  v_currency := engage.ledger_currency(p_program);
  INSERT INTO accounts (id, currency_id, kind)
    SELECT engage.uuid7(p_now), v_currency, kind
      FROM unnest(ARRAY['ISSUED', 'REDEEMED', 'EXPIRED', 'FORFEITED', 'DONATED', 'EXCHANGED', 'ADJUSTED']) AS kind
    ON CONFLICT DO NOTHING;
  RETURN v_currency;
END $$;

CREATE FUNCTION engage.ledger_house(p_currency uuid, p_kind text) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT id FROM accounts WHERE currency_id = p_currency AND kind = p_kind AND member_id IS NULL
$$;

-- The lots of an account that still hold points. Two arms, since each has its own partial index: without this, what
-- asks for both states reads the whole table.
CREATE FUNCTION engage.ledger_live_lots(p_account uuid) RETURNS SETOF lots LANGUAGE sql STABLE AS $$
  SELECT * FROM lots WHERE account_id = p_account AND state = 'OPEN'
  UNION ALL
  SELECT * FROM lots WHERE account_id = p_account AND state = 'PENDING'
$$;

-- The balance that holds at a moment: the cached figures less what has expired, plus what has become usable.
CREATE FUNCTION engage.ledger_effective(
  p_account accounts, p_now timestamptz, OUT available bigint, OUT pending bigint
) LANGUAGE plpgsql STABLE AS $$
BEGIN
  available := p_account.available;
  pending := p_account.pending;
  IF p_account.next_due_at <= p_now THEN
    SELECT coalesce(sum(l.remaining) FILTER (WHERE l.usable_at <= p_now
             AND (l.expires_at IS NULL OR l.expires_at > p_now)), 0),
           coalesce(sum(l.remaining) FILTER (WHERE l.usable_at > p_now), 0)
      INTO available, pending
      FROM engage.ledger_live_lots(p_account.id) l;
  END IF;
END $$;

-- Figures of an account as events and answers carry them. STABLE, as what it calls is: so the planner inlines it.
CREATE FUNCTION engage.ledger_figures(p_available bigint, p_pending bigint, p_held bigint, p_debt bigint)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('available', p_available, 'pending', p_pending, 'held', p_held, 'debt', p_debt)
$$;

-- Post what is due on these accounts: first MATURE, then EXPIRE, one transfer of each per account at the most, and one
-- event of each per member. The caller holds the members' locks. Answers the events that it recorded.
CREATE FUNCTION engage.ledger_settle(p_accounts uuid[], p_now timestamptz, p_handlers jsonb)
RETURNS TABLE (stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_streams text[]; v_names text[]; v_data jsonb[];
BEGIN
  WITH due AS (
    SELECT l.id, l.account_id, l.state, l.remaining, l.expires_at <= p_now AS lapsed
      FROM lots l
     WHERE l.account_id = ANY (p_accounts)
       AND (l.state = 'PENDING' AND l.usable_at <= p_now OR l.state = 'OPEN' AND l.expires_at <= p_now)
  ), lots_moved AS (
    UPDATE lots l SET remaining = CASE WHEN d.lapsed THEN 0 ELSE l.remaining END,
                      state = CASE WHEN d.lapsed THEN 'CLOSED' ELSE 'OPEN' END
      FROM due d WHERE l.id = d.id
  ), sums AS (
    SELECT d.account_id,
           coalesce(sum(d.remaining) FILTER (WHERE d.state = 'PENDING'), 0)::bigint AS matured,
           coalesce(sum(d.remaining) FILTER (WHERE d.lapsed), 0)::bigint AS expired
      FROM due d GROUP BY d.account_id
  ), next AS (
    SELECT a AS account_id, least(
             (SELECT min(l.usable_at) FROM lots l
               WHERE l.account_id = a AND l.state = 'PENDING' AND l.usable_at > p_now),
             (SELECT min(l.expires_at) FROM lots l
               WHERE l.account_id = a AND l.state = 'PENDING' AND l.expires_at > p_now),
             (SELECT min(l.expires_at) FROM lots l
               WHERE l.account_id = a AND l.state = 'OPEN' AND l.expires_at > p_now)) AS due_at
      FROM unnest(p_accounts) AS a
  ), moves AS (
    SELECT a.*, c.program_code, s.matured, s.expired, engage.uuid7(p_now) AS maturing, engage.uuid7(p_now) AS expiring
      FROM sums s JOIN accounts a ON a.id = s.account_id JOIN currencies c ON c.id = a.currency_id
  ), accounts_moved AS (
    UPDATE accounts a
       SET pending = a.pending - coalesce(s.matured, 0),
           available = a.available + coalesce(s.matured, 0) - coalesce(s.expired, 0),
           version = a.version + CASE WHEN s.matured > 0 THEN 2 ELSE 0 END + CASE WHEN s.expired > 0 THEN 1 ELSE 0 END,
           next_due_at = n.due_at
      FROM next n LEFT JOIN sums s ON s.account_id = n.account_id WHERE a.id = n.account_id
  ), posted AS (
    SELECT m.maturing AS id, m.id AS account_id, m.member_id, m.currency_id, m.program_code, 'MATURE' AS kind,
           m.matured AS amount, m.available + m.matured AS available_after, m.pending - m.matured AS pending_after,
           m.version + 2 AS version_after, m.held, m.debt, 1 AS nth
      FROM moves m WHERE m.matured > 0
    UNION ALL
    SELECT m.expiring, m.id, m.member_id, m.currency_id, m.program_code, 'EXPIRE',
           m.expired, m.available + m.matured - m.expired, m.pending - m.matured,
           m.version + CASE WHEN m.matured > 0 THEN 3 ELSE 1 END, m.held, m.debt, 2
      FROM moves m WHERE m.expired > 0
  ), transfers_posted AS (
    INSERT INTO transfers (id, member_id, currency_id, account_id, kind, amount, reason, actor_id, posted_at,
                           balance_after, version_after)
      SELECT p.id, p.member_id, p.currency_id, p.account_id, p.kind, p.amount, p.kind, 'system', p_now,
             p.available_after, p.version_after FROM posted p
  ), entries_posted AS (
    INSERT INTO entries (transfer_id, account_id, bucket, amount, balance_after, version)
      SELECT p.id, p.account_id, 'PENDING', -p.amount, p.pending_after, p.version_after - 1
        FROM posted p WHERE p.kind = 'MATURE'
      UNION ALL
      SELECT p.id, p.account_id, 'AVAILABLE', CASE p.kind WHEN 'MATURE' THEN p.amount ELSE -p.amount END,
             p.available_after, p.version_after FROM posted p
      UNION ALL
      SELECT p.id, engage.ledger_house(p.currency_id, 'EXPIRED'), 'HOUSE', p.amount, NULL, NULL
        FROM posted p WHERE p.kind = 'EXPIRE'
  ), allocations_posted AS (
    INSERT INTO allocations (transfer_id, lot_id, amount)
      SELECT m.expiring, d.id, -d.remaining FROM due d JOIN moves m ON m.id = d.account_id WHERE d.lapsed
  )
  SELECT array_agg('member:' || p.member_id ORDER BY p.member_id, p.nth),
         array_agg(CASE p.kind WHEN 'MATURE' THEN 'ledger.points_matured.v1' ELSE 'ledger.points_expired.v1' END
                   ORDER BY p.member_id, p.nth),
         array_agg(engage.ledger_event(p.member_id, p.program_code, p.id, p.kind,
                     CASE p.kind WHEN 'MATURE' THEN p.amount ELSE -p.amount END, p.kind, NULL, NULL, p_now,
                     engage.ledger_figures(p.available_after, p.pending_after, p.held, p.debt))
                   ORDER BY p.member_id, p.nth)
    INTO v_streams, v_names, v_data FROM posted p;
  IF v_streams IS NOT NULL THEN
    RETURN QUERY SELECT * FROM engage.record_events(v_streams, v_names, v_data, p_now, p_handlers);
  END IF;
END $$;

-- What an event of the ledger holds: ids, figures and codes.
CREATE FUNCTION engage.ledger_event(
  p_member uuid, p_program text, p_transfer uuid, p_kind text, p_amount bigint, p_reason text,
  p_cause_type text, p_cause_id text, p_now timestamptz, p_balance jsonb
) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('member_id', p_member, 'program', p_program, 'transfer_id', p_transfer, 'kind', p_kind,
    'amount', p_amount, 'reason', p_reason, 'cause_type', p_cause_type, 'cause_id', p_cause_id, 'posted_at', p_now,
    'balance', p_balance)
$$;

-- One batch of the sweep over members who do nothing. Members held by a live command are left for the next batch, so
-- that nobody waits for the sweep. Answers how many accounts were due in this batch, and the events.
CREATE FUNCTION engage.ledger_sweep(p_limit int, p_now timestamptz, p_handlers jsonb, OUT due int, OUT rings jsonb)
LANGUAGE plpgsql AS $$
DECLARE
  v_accounts uuid[]; v_members uuid[];
BEGIN
  SELECT array_agg(a.id), array_agg(a.member_id) INTO v_accounts, v_members FROM (
    SELECT id, member_id FROM accounts WHERE next_due_at <= p_now ORDER BY next_due_at LIMIT p_limit) a;
  v_members := ARRAY(SELECT engage.members_try_lock(v_members));
  v_accounts := ARRAY(SELECT id FROM accounts
    WHERE id = ANY (v_accounts) AND member_id = ANY (v_members) AND next_due_at <= p_now);
  due := cardinality(v_accounts);
  SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') INTO rings
    FROM engage.ledger_settle(v_accounts, p_now, p_handlers) s;
END $$;

CREATE TRIGGER transfers_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
CREATE TRIGGER entries_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
CREATE TRIGGER allocations_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON allocations
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
