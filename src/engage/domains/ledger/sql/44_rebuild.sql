-- What `engage ledger rebuild` compares and repairs: every figure that is kept, with what `43_derive.sql` derives of it.
-- Transfers, entries and allocations are never touched.

-- A figure that is kept and is not what it should be. Without joins of ranges, as in `43_verify.sql`.
CREATE TYPE engage.ledger_difference AS (in_table text, id uuid, member_id uuid, rule text, stored text, expected text);

CREATE FUNCTION engage.ledger_stale_lots(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_difference
LANGUAGE sql STABLE AS $$
  SELECT 'lots', l.id, (SELECT a.member_id FROM accounts a WHERE a.id = l.account_id), c.rule, c.stored, c.expected
    FROM engage.ledger_derived_lots(p_after, p_last) d
   CROSS JOIN LATERAL (SELECT * FROM lots x WHERE x.id = d.id OFFSET 0) l
   CROSS JOIN LATERAL (VALUES ('remaining', l.remaining::text, d.remaining::text), ('held', l.held::text, d.held::text),
                              ('state', l.state, d.state)) AS c (rule, stored, expected)
   WHERE (l.remaining, l.held, l.state) IS DISTINCT FROM (d.remaining, d.held, d.state) AND c.stored <> c.expected
$$;

CREATE FUNCTION engage.ledger_stale_holds(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_difference
LANGUAGE sql STABLE AS $$
  SELECT 'holds', h.id, (SELECT a.member_id FROM accounts a WHERE a.id = h.account_id), c.rule, c.stored, c.expected
    FROM engage.ledger_derived_holds(p_after, p_last) d
   CROSS JOIN LATERAL (SELECT * FROM holds x WHERE x.id = d.id OFFSET 0) h
   CROSS JOIN LATERAL (VALUES ('remaining', h.remaining::text, d.remaining::text), ('lots', h.lots::text, d.lots::text),
                              ('takes', h.takes::text, d.takes::text), ('state', h.state, d.state),
                              ('closed at', h.closed_at::text, d.closed_at::text)) AS c (rule, stored, expected)
   WHERE (h.remaining, h.lots, h.takes, h.state, h.closed_at)
         IS DISTINCT FROM (d.remaining, d.lots, d.takes, d.state, d.closed_at) AND c.stored IS DISTINCT FROM c.expected
     AND d.remaining IS NOT NULL
$$;

CREATE FUNCTION engage.ledger_stale_debts(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_difference
LANGUAGE sql STABLE AS $$
  SELECT 'debts', b.id, (SELECT a.member_id FROM accounts a WHERE a.id = b.account_id), c.rule, c.stored, c.expected
    FROM engage.ledger_derived_debts(p_after, p_last) d
   CROSS JOIN LATERAL (SELECT * FROM debts x WHERE x.id = d.id OFFSET 0) b
   CROSS JOIN LATERAL (VALUES ('remaining', b.remaining, d.remaining), ('forgiven', b.forgiven, d.forgiven),
                              ('returned', b.returned, d.returned)) AS c (rule, stored, expected)
   WHERE c.stored IS DISTINCT FROM c.expected
$$;

-- When an account has to be looked at next. Earlier than need be is no fault.
CREATE FUNCTION engage.ledger_due(a accounts, p_usable_due timestamptz, p_due timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN a.member_id IS NULL THEN NULL WHEN NOT engage.ledger_due_late(a, p_usable_due, p_due) THEN a.next_due_at
              WHEN engage.member_frozen_at(a.member_id) IS NULL THEN p_due ELSE p_usable_due END
$$;

CREATE FUNCTION engage.ledger_stale_accounts(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_difference
LANGUAGE sql STABLE AS $$
  SELECT 'accounts', a.id, a.member_id, c.rule, c.stored, c.expected
    FROM engage.ledger_derived_accounts(p_after, p_last) d
   CROSS JOIN LATERAL (SELECT * FROM accounts x WHERE x.id = d.id OFFSET 0) a
   CROSS JOIN LATERAL (SELECT engage.ledger_due(a, d.usable_due_at, d.due_at) AS due_at) n
   CROSS JOIN LATERAL (VALUES
      ('version', a.version::text, d.version::text), ('available', a.available::text, d.available::text),
      ('pending', a.pending::text, d.pending::text), ('held', a.held::text, d.held::text),
      ('debt', a.debt::text, d.debt::text), ('next due', a.next_due_at::text, n.due_at::text),
      ('idle', a.idle::text, (a.idle OR d.idle)::text)) AS c (rule, stored, expected)
   WHERE (a.version, a.available, a.pending, a.held, a.debt, a.next_due_at, a.idle)
         IS DISTINCT FROM (d.version, d.available, d.pending, d.held, d.debt, n.due_at, a.idle OR d.idle)
     AND c.stored IS DISTINCT FROM c.expected
$$;

-- The repairs: of these rows in the range, whose members' locks the caller holds. Each answers what it has changed. A row
-- whose figures cannot be, because history itself is wrong, is left as it is.
CREATE FUNCTION engage.ledger_mend_lots(p_after uuid, p_last uuid, p_ids uuid[]) RETURNS SETOF engage.ledger_difference
LANGUAGE sql AS $$
  WITH stale AS MATERIALIZED (
    SELECT * FROM engage.ledger_stale_lots(p_after, p_last) s WHERE s.id = ANY (p_ids)
  ), mended AS (
    UPDATE lots l SET remaining = d.remaining, held = d.held, state = d.state
      FROM engage.ledger_derived_lots(p_after, p_last) d
     WHERE l.id = d.id AND l.id > p_after AND l.id <= p_last AND l.id IN (SELECT s.id FROM stale s)
       AND least(d.remaining, d.held) >= 0 AND d.remaining + d.held <= l.amount
    RETURNING l.id
  )
  SELECT * FROM stale s WHERE s.id IN (SELECT m.id FROM mended m) ORDER BY s.id
$$;

CREATE FUNCTION engage.ledger_mend_holds(p_after uuid, p_last uuid, p_ids uuid[]) RETURNS SETOF engage.ledger_difference
LANGUAGE sql AS $$
  WITH stale AS MATERIALIZED (
    SELECT * FROM engage.ledger_stale_holds(p_after, p_last) s WHERE s.id = ANY (p_ids)
  ), mended AS (
    UPDATE holds h SET remaining = d.remaining, lots = d.lots, takes = d.takes, state = d.state, closed_at = d.closed_at
      FROM engage.ledger_derived_holds(p_after, p_last) d
     WHERE h.id = d.id AND h.id > p_after AND h.id <= p_last AND h.id IN (SELECT s.id FROM stale s)
       AND d.remaining BETWEEN 0 AND h.amount
    RETURNING h.id
  )
  SELECT * FROM stale s WHERE s.id IN (SELECT m.id FROM mended m) ORDER BY s.id
$$;

CREATE FUNCTION engage.ledger_mend_debts(p_after uuid, p_last uuid, p_ids uuid[]) RETURNS SETOF engage.ledger_difference
LANGUAGE sql AS $$
  WITH stale AS MATERIALIZED (
    SELECT * FROM engage.ledger_stale_debts(p_after, p_last) s WHERE s.id = ANY (p_ids)
  ), mended AS (
    UPDATE debts b SET remaining = d.remaining, forgiven = d.forgiven, returned = d.returned
      FROM engage.ledger_derived_debts(p_after, p_last) d
     WHERE b.id = d.id AND b.id > p_after AND b.id <= p_last AND b.id IN (SELECT s.id FROM stale s)
       AND least(d.remaining, d.forgiven, d.returned) >= 0 AND d.remaining + d.forgiven + d.returned <= b.amount
    RETURNING b.id
  )
  SELECT * FROM stale s WHERE s.id IN (SELECT m.id FROM mended m) ORDER BY s.id
$$;

CREATE FUNCTION engage.ledger_mend_accounts(p_after uuid, p_last uuid, p_ids uuid[])
RETURNS SETOF engage.ledger_difference LANGUAGE sql AS $$
  WITH stale AS MATERIALIZED (
    SELECT * FROM engage.ledger_stale_accounts(p_after, p_last) s WHERE s.id = ANY (p_ids)
  ), mended AS (
    UPDATE accounts a SET version = d.version, available = d.available, pending = d.pending, held = d.held, debt = d.debt,
                          next_due_at = engage.ledger_due(a, d.usable_due_at, d.due_at), idle = a.idle OR d.idle
      FROM engage.ledger_derived_accounts(p_after, p_last) d
     WHERE a.id = d.id AND a.id > p_after AND a.id <= p_last AND a.id IN (SELECT s.id FROM stale s)
       AND least(d.available, d.pending, d.held, d.debt) >= 0
    RETURNING a.id
  )
  SELECT * FROM stale s WHERE s.id IN (SELECT m.id FROM mended m) ORDER BY s.id
$$;
