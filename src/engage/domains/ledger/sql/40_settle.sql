-- The lots of a program's accounts change with time alone: pending ones become usable and pay debt, open ones expire,
-- holds reach their deadline. What is due is posted by `ledger_settle`, inside the next command on the account or by
-- the sweep; until then reads work with `ledger_effective_lots`, so that a late sweep never makes a balance wrong
-- (design/ledger, rule 1). For a frozen member, expiry and deadlines stand still since the freeze.

-- The moment up to which a member's points have expired: now, or when they were frozen.
CREATE FUNCTION engage.ledger_until(p_member uuid, p_now timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT least(p_now, engage.member_frozen_at(p_member))
$$;

-- The lots of an account that still hold points. Two arms, since each has its own partial index: without this, what
-- asks for both states reads the whole table.
CREATE FUNCTION engage.ledger_live_lots(p_account uuid) RETURNS SETOF lots LANGUAGE sql STABLE AS $$
  SELECT * FROM lots WHERE account_id = p_account AND state = 'OPEN'
  UNION ALL
  SELECT * FROM lots WHERE account_id = p_account AND state = 'PENDING'
$$;

-- When points that come back at a moment expire, if their lot has an end: that end, or, where it has passed and the
-- program reissues them, its grace from now (design/ledger, rule 6).
CREATE FUNCTION engage.ledger_returned_expiry(
  p_expires timestamptz, p_at timestamptz, p_policy points_policies, p_zone text
) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_expires <= p_at AND p_policy.returned_kind = 'REISSUED'
              THEN (p_at AT TIME ZONE p_zone + p_policy.returned_grace::interval) AT TIME ZONE p_zone
              ELSE p_expires END
$$;

-- What the lots of an account hold at a moment: `usable` or still pending, what remains (0 of what has expired), and
-- how much of the account's debt each has paid on becoming usable. Holds past their deadline have given theirs back.
CREATE FUNCTION engage.ledger_effective_lots(p_account accounts, p_now timestamptz)
RETURNS TABLE (lot uuid, usable boolean, remaining bigint, expires_at timestamptz, paid bigint) LANGUAGE sql STABLE AS $$
  WITH moment AS (SELECT engage.ledger_until(p_account.member_id, p_now) AS until),
  given_back AS (
    SELECT t.lot, t.take, engage.ledger_returned_expiry(l.expires_at, h.deadline,
             engage.ledger_policy(c.program_code, h.deadline), engage.program_zone(c.program_code)) AS expires_at,
           l.usable_at
      FROM moment, holds h CROSS JOIN LATERAL unnest(h.lots, h.takes) AS t (lot, take)
      JOIN lots l ON l.id = t.lot JOIN currencies c ON c.id = p_account.currency_id
     WHERE h.account_id = p_account.id AND h.state = 'OPEN' AND h.deadline <= moment.until
  ), live AS (
    SELECT l.id AS lot, l.remaining, l.expires_at, l.usable_at <= p_now AS usable,
           CASE WHEN l.state = 'PENDING' AND l.usable_at <= p_now AND p_account.debt > 0 THEN
             greatest(0, least(l.remaining, p_account.debt - coalesce(sum(l.remaining)
               FILTER (WHERE l.state = 'PENDING' AND l.usable_at <= p_now)
               OVER (ORDER BY l.usable_at, l.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)))
           ELSE 0 END::bigint AS paid
      FROM engage.ledger_live_lots(p_account.id) l
  ), all_of_them AS (
    SELECT v.lot, coalesce(v.usable, false) AS usable, v.remaining - v.paid AS remaining, v.expires_at, v.paid FROM live v
    UNION ALL
    SELECT g.lot, coalesce(g.usable_at <= p_now, false), g.take, g.expires_at, 0 FROM given_back g
  )
  SELECT a.lot, a.usable, CASE WHEN a.usable AND a.expires_at <= moment.until THEN 0 ELSE a.remaining END, a.expires_at,
         a.paid
    FROM all_of_them a, moment
$$;

-- The balance that holds at a moment: the cached figures less what has expired, plus what has become usable or came
-- back.
CREATE FUNCTION engage.ledger_effective(
  p_account accounts, p_now timestamptz, OUT available bigint, OUT pending bigint, OUT held bigint, OUT debt bigint
) LANGUAGE plpgsql STABLE AS $$
BEGIN
  available := p_account.available;
  pending := p_account.pending;
  held := p_account.held;
  debt := p_account.debt;
  IF p_account.next_due_at <= p_now THEN
    SELECT coalesce(sum(l.remaining) FILTER (WHERE l.usable), 0),
           coalesce(sum(l.remaining) FILTER (WHERE NOT l.usable), 0),
           p_account.debt - coalesce(sum(l.paid), 0)
      INTO available, pending, debt
      FROM engage.ledger_effective_lots(p_account, p_now) l;
    IF held > 0 THEN
      held := held - (SELECT coalesce(sum(h.remaining), 0) FROM holds h
                       WHERE h.account_id = p_account.id AND h.state = 'OPEN'
                         AND h.deadline <= engage.ledger_until(p_account.member_id, p_now));
    END IF;
  END IF;
END $$;

-- What time does one account at a time: holds past their deadline give their points back, and what matures for a
-- member in debt pays it. The caller holds the member's lock.
CREATE FUNCTION engage.ledger_settle_one(p_account accounts, p_now timestamptz, p_handlers jsonb)
RETURNS TABLE (stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
DECLARE
  c engage.ledger_call; b engage.ledger_book; v_row record;
  v_until timestamptz := engage.ledger_until(p_account.member_id, p_now);
BEGIN
  c.actor := 'system'; c.now := p_now; c.handlers := p_handlers;
  b.member := p_account.member_id; b.currency := p_account.currency_id; b.names := '{}'; b.data := '{}';
  SELECT program_code INTO b.program FROM currencies WHERE id = b.currency;
  b := engage.ledger_figures_now(b);
  FOR v_row IN SELECT h.id, h.lots, h.takes, h.deadline FROM holds h
                WHERE h.account_id = b.account AND h.state = 'OPEN' AND h.deadline <= v_until
                ORDER BY h.deadline, h.id LOOP
    b := engage.ledger_return(c, b, 'RELEASE', ROW(engage.uuid7(p_now), 'DEADLINE', 'hold', v_row.id::text),
                              'HELD', v_row.lots, v_row.takes, v_row.deadline, p_refers => v_row.id);
    UPDATE holds SET state = 'EXPIRED', remaining = 0, lots = '{}', takes = '{}', closed_at = p_now WHERE id = v_row.id;
    UPDATE gifts SET state = 'EXPIRED', decided_at = p_now WHERE id = v_row.id;
  END LOOP;
  IF b.debt > 0 THEN
    FOR v_row IN SELECT l.id, l.remaining FROM lots l
                  WHERE l.account_id = b.account AND l.state = 'PENDING' AND l.usable_at <= p_now
                  ORDER BY l.usable_at, l.id LOOP
      b := engage.ledger_post(c, b, 'MATURE', ROW(engage.uuid7(p_now), 'MATURE', NULL, NULL),
                              ARRAY['PENDING', 'AVAILABLE'], ARRAY[-v_row.remaining, v_row.remaining]);
      UPDATE lots SET state = 'OPEN' WHERE id = v_row.id;
      b := engage.ledger_pay_debts(c, b, ARRAY[v_row.id]);
    END LOOP;
  END IF;
  IF cardinality(b.names) > 0 THEN
    RETURN QUERY SELECT * FROM engage.ledger_say(c, ARRAY[b]);
  END IF;
END $$;

-- When time will next do something to an account. Expiry and deadlines of a frozen member stand still.
CREATE FUNCTION engage.ledger_next_due(p_account uuid, p_now timestamptz, p_frozen boolean) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT least(
    (SELECT min(l.usable_at) FROM lots l
      WHERE l.account_id = p_account AND l.state = 'PENDING' AND l.usable_at > p_now),
    (SELECT min(l.expires_at) FROM lots l
      WHERE l.account_id = p_account AND l.state = 'PENDING' AND l.expires_at > p_now AND NOT p_frozen),
    (SELECT min(l.expires_at) FROM lots l
      WHERE l.account_id = p_account AND l.state = 'OPEN' AND l.expires_at > p_now AND NOT p_frozen),
    (SELECT min(h.deadline) FROM holds h
      WHERE h.account_id = p_account AND h.state = 'OPEN' AND h.deadline > p_now AND NOT p_frozen))
$$;

-- Post what is due on these accounts: first MATURE, then EXPIRE, one transfer of each per account at the most, and one
-- event of each per member. The caller holds the members' locks. Answers the events that it recorded.
CREATE FUNCTION engage.ledger_settle(p_accounts uuid[], p_now timestamptz, p_handlers jsonb)
RETURNS TABLE (stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_streams text[]; v_names text[]; v_data jsonb[]; v_account accounts;
BEGIN
  FOR v_account IN SELECT * FROM accounts WHERE id = ANY (p_accounts) AND (held > 0 OR debt > 0) LOOP
    RETURN QUERY SELECT * FROM engage.ledger_settle_one(v_account, p_now, p_handlers);
  END LOOP;
  WITH moments AS (
    SELECT a.id AS account_id, engage.ledger_until(a.member_id, p_now) AS until
      FROM accounts a WHERE a.id = ANY (p_accounts)
  ), due AS (
    SELECT l.id, l.account_id, l.state, l.remaining, coalesce(l.expires_at <= m.until, false) AS lapsed
      FROM lots l JOIN moments m ON m.account_id = l.account_id
     WHERE l.account_id = ANY (p_accounts)
       AND (l.state = 'PENDING' AND l.usable_at <= p_now OR l.state = 'OPEN' AND l.expires_at <= m.until)
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
    SELECT m.account_id, engage.ledger_next_due(m.account_id, p_now, m.until < p_now) AS due_at FROM moments m
  ), moves AS (
    SELECT a.*, c.program_code, c.kind AS currency_kind, s.matured, s.expired, engage.uuid7(p_now) AS maturing,
           engage.uuid7(p_now) AS expiring
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
           m.version + 2 AS version_after, m.held, m.debt, m.currency_kind, 1 AS nth
      FROM moves m WHERE m.matured > 0
    UNION ALL
    SELECT m.expiring, m.id, m.member_id, m.currency_id, m.program_code, 'EXPIRE',
           m.expired, m.available + m.matured - m.expired, m.pending - m.matured,
           m.version + CASE WHEN m.matured > 0 THEN 3 ELSE 1 END, m.held, m.debt, m.currency_kind, 2
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
                     engage.ledger_figures(p.available_after, p.pending_after, p.held, p.debt), p.currency_kind)
                   ORDER BY p.member_id, p.nth)
    INTO v_streams, v_names, v_data FROM posted p;
  IF v_streams IS NOT NULL THEN
    RETURN QUERY SELECT * FROM engage.record_events(v_streams, v_names, v_data, p_now, p_handlers);
  END IF;
END $$;

-- One batch of the sweep over members who do nothing. Members held by a live command are left for a later batch, so
-- that nobody waits for the sweep; as many more are looked at as there may be live commands. Answers how many accounts
-- were settled, and the events.
CREATE FUNCTION engage.ledger_sweep(p_limit int, p_now timestamptz, p_handlers jsonb, OUT due int, OUT rings jsonb)
LANGUAGE plpgsql AS $$
DECLARE
  v_accounts uuid[]; v_members uuid[];
BEGIN
  SELECT array_agg(a.id), array_agg(a.member_id) INTO v_accounts, v_members FROM (
    SELECT id, member_id FROM accounts WHERE next_due_at <= p_now ORDER BY next_due_at LIMIT p_limit + 100) a;
  v_members := ARRAY(SELECT engage.members_try_lock(v_members, p_limit));
  v_accounts := ARRAY(SELECT id FROM accounts
    WHERE id = ANY (v_accounts) AND member_id = ANY (v_members) AND next_due_at <= p_now
    ORDER BY next_due_at LIMIT p_limit);
  due := cardinality(v_accounts);
  SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') INTO rings
    FROM engage.ledger_settle(v_accounts, p_now, p_handlers) s;
END $$;

CREATE TRIGGER transfers_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
CREATE TRIGGER exchange_rates_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange_rates
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
CREATE TRIGGER entries_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
CREATE TRIGGER allocations_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON allocations
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
