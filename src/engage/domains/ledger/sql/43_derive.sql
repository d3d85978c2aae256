-- The figures that the ledger keeps, derived from its immutable rows: transfers, entries and allocations. `verify`
-- compares them with what is stored, `rebuild` repairs what differs. Like all of verify: ranges of ids, set-based.

-- The sum of whole numbers as a whole number, 0 of none: the built-in one answers a numeric, which costs more.
CREATE AGGREGATE engage.ledger_sum(bigint) (SFUNC = int8pl, STYPE = bigint, INITCOND = '0', PARALLEL = SAFE,
                                           COMBINEFUNC = int8pl);

-- Lots: what remains and is held is what was allocated; CLOSED when nothing remains. Every command settles its account
-- first, so that a lot is OPEN once its account has moved at or after the moment from which it can be used.
CREATE FUNCTION engage.ledger_derived_lots(p_after uuid, p_last uuid)
RETURNS TABLE (id uuid, remaining bigint, held bigint, state text) LANGUAGE sql STABLE AS $$
  WITH sums AS (
    SELECT a.lot_id, engage.ledger_sum(a.amount) AS amount, engage.ledger_sum(a.held) AS held
      FROM allocations a WHERE a.lot_id > p_after AND a.lot_id <= p_last GROUP BY a.lot_id
  ), summed AS (
    SELECT l.id, l.account_id, l.source_id, l.usable_at, l.state, l.amount + coalesce(s.amount, 0) AS remaining,
           coalesce(s.held, 0) AS held
      FROM lots l LEFT JOIN sums s ON s.lot_id = l.id WHERE l.id > p_after AND l.id <= p_last
  )
  SELECT s.id, s.remaining, s.held,
         CASE WHEN s.remaining = 0 THEN 'CLOSED' WHEN s.usable_at IS NULL THEN 'PENDING'
              WHEN s.usable_at <= t.posted_at THEN 'OPEN'
              WHEN s.usable_at <= (SELECT m.posted_at FROM transfers m WHERE m.account_id = s.account_id
                                    ORDER BY m.version_after DESC LIMIT 1) THEN 'OPEN'
              WHEN s.state = 'OPEN' AND EXISTS (  -- the last one was posted by a clock that is behind
                SELECT FROM transfers m WHERE m.account_id = s.account_id AND m.version_after > t.version_after
                                          AND m.posted_at >= s.usable_at) THEN 'OPEN'
              ELSE 'PENDING' END
    FROM summed s CROSS JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = s.source_id OFFSET 0) t
$$;

-- An account that a hold was in, after which and until which of its versions. The first one has depth 0; merges lead on.
CREATE TYPE engage.ledger_place AS (hold_id uuid, account_id uuid, depth int, after_version bigint, until_version bigint);

-- The places of the holds that an account has or had, or that came to it by merges.
CREATE FUNCTION engage.ledger_hold_places(p_account uuid) RETURNS SETOF engage.ledger_place
LANGUAGE sql STABLE SET enable_nestloop = on AS $$
  WITH RECURSIVE family (id) AS (
    SELECT p_account
    UNION
    SELECT o.account_id FROM family f
      JOIN transfers i ON i.account_id = f.id AND i.kind = 'MERGE_IN' JOIN transfers o ON o.id = i.refers_id
  ), merges AS (
    SELECT o.account_id, o.version_after, i.account_id AS into_id, i.version_after AS into_version
      FROM family f JOIN transfers o ON o.account_id = f.id AND o.kind = 'MERGE_OUT'
      JOIN transfers i ON i.refers_id = o.id AND i.kind = 'MERGE_IN'
  ), places AS (
    SELECT t.id AS hold_id, t.account_id, 0 AS depth, t.version_after
      FROM family f JOIN transfers t ON t.account_id = f.id AND t.kind = 'HOLD'
    UNION ALL
    SELECT p.hold_id, m.into_id, p.depth + 1, m.into_version
      FROM places p JOIN LATERAL (
        SELECT * FROM merges x WHERE x.account_id = p.account_id AND x.version_after > p.version_after
         ORDER BY x.version_after LIMIT 1) m ON true
  )
  SELECT p.hold_id, p.account_id, p.depth, p.version_after, (
           SELECT min(m.version_after) FROM merges m
            WHERE m.account_id = p.account_id AND m.version_after > p.version_after)
    FROM places p
$$;

-- When a transfer was posted among those of its member: by the number of its entries, which are made under the member's
-- lock. The clocks of gateways differ, and a command may have waited for the lock. (`+ 0`: or else all entries may be gone
-- through backwards by their numbers, in the hope that one of the transfer comes soon.)
CREATE FUNCTION engage.ledger_nth(p_transfer uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT max(id + 0) FROM entries WHERE transfer_id = p_transfer
$$;

-- What penalties and clawbacks have taken out of an account's holds, hold by hold, and which was the last. A transfer says
-- how much it took of what was held, and the rule says of which: the newest first. So they are gone through in order.
-- It holds for the holds that the account has now; of others, which were merged into the next one since, not all is known.
CREATE FUNCTION engage.ledger_hold_deductions(p_account uuid)
RETURNS TABLE (hold_id uuid, amount bigint, last_at timestamptz, last_nth bigint)
LANGUAGE plpgsql STABLE SET enable_nestloop = on AS $$
DECLARE
  v_places engage.ledger_place[] := ARRAY(SELECT p FROM engage.ledger_hold_places(p_account) p);
  v_taken jsonb := '{}'; v_last jsonb := '{}'; v_left bigint; v_take bigint; d record; h record;
BEGIN
  FOR d IN
    SELECT t.account_id, t.version_after, t.posted_at, engage.ledger_nth(t.id) AS nth, -e.amount AS held
      FROM (SELECT DISTINCT p.account_id FROM unnest(v_places) p) a
      JOIN entries e ON e.account_id = a.account_id AND e.version IS NOT NULL AND e.bucket = 'HELD' AND e.amount < 0
      JOIN transfers t ON t.id = e.transfer_id AND t.kind IN ('CLAWBACK', 'DEDUCT')
     ORDER BY nth
  LOOP
    v_left := d.held;
    FOR h IN
      SELECT t.id, t.amount - coalesce((v_taken ->> t.id::text)::bigint, 0) - coalesce((
               SELECT sum(coalesce(f.amount, 0) + r.amount) FROM transfers r
                 JOIN unnest(v_places) q ON q.hold_id = t.id AND q.account_id = r.account_id
                 LEFT JOIN transfers f ON r.kind = 'GIFT' AND f.refers_id = r.id AND f.kind = 'FEE'
                WHERE r.refers_id = t.id AND r.kind IN ('CAPTURE', 'RELEASE', 'GIFT')
                  AND (q.depth < p.depth OR q.depth = p.depth AND r.version_after < d.version_after)), 0) AS remaining
        FROM unnest(v_places) p JOIN transfers t ON t.id = p.hold_id
       WHERE p.account_id = d.account_id AND p.after_version < d.version_after
         AND (p.until_version IS NULL OR p.until_version > d.version_after)
       ORDER BY t.posted_at DESC, t.id DESC
    LOOP
      EXIT WHEN v_left = 0;
      v_take := least(v_left, h.remaining);
      CONTINUE WHEN v_take <= 0;
      v_left := v_left - v_take;
      v_taken := v_taken || jsonb_build_object(h.id, coalesce((v_taken ->> h.id::text)::bigint, 0) + v_take);
      v_last := v_last || jsonb_build_object(h.id, jsonb_build_array(d.posted_at, d.nth));
    END LOOP;
  END LOOP;
  RETURN QUERY SELECT e.key::uuid, e.value::bigint, (v_last -> e.key ->> 0)::timestamptz, (v_last -> e.key ->> 1)::bigint
                 FROM jsonb_each_text(v_taken) e;
END $$;

-- What a lot is called in an account: itself, or what merges made of it there.
CREATE FUNCTION engage.ledger_lot_after(p_lot uuid, p_account uuid) RETURNS uuid
LANGUAGE sql STABLE SET enable_nestloop = on AS $$
  WITH RECURSIVE line AS (
    SELECT l.id, l.account_id FROM lots l WHERE l.id = p_lot
    UNION
    SELECT n.id, n.account_id FROM line l JOIN lots n ON n.origin_lot_id = l.id
      JOIN transfers t ON t.id = n.source_id AND t.kind = 'MERGE_IN'
     WHERE l.account_id <> p_account
  )
  SELECT coalesce((SELECT id FROM line WHERE account_id = p_account), p_lot)
$$;

-- Holds: what remains is what was held less what was captured, given, released and deducted since; the lots are those of
-- the HOLD, of which captures take the first, all else the last. How a hold ended is told by what came last. Where there
-- is no such transfer, nothing is known.
CREATE FUNCTION engage.ledger_derived_holds(p_after uuid, p_last uuid)
RETURNS TABLE (id uuid, remaining bigint, lots uuid[], takes bigint[], state text, closed_at timestamptz)
LANGUAGE sql STABLE AS $$
  WITH kept AS MATERIALIZED (
    SELECT h.id, h.account_id, coalesce(e.captured, 0) AS captured, t.amount - coalesce(e.amount, 0) AS left_over,
           CASE WHEN e.kind <> 'RELEASE' OR e.reason = 'REST' AND e.with_capture THEN 'CAPTURED'
                WHEN (e.reason, e.actor_id, e.cause_type, e.cause_id) = ('DEADLINE', 'system', 'hold', h.id::text)
                THEN 'EXPIRED' ELSE 'RELEASED' END AS state, e.posted_at, e.nth
      FROM holds h
      LEFT JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = h.id OFFSET 0) t ON true
      LEFT JOIN LATERAL (
        SELECT r.kind, r.reason, r.actor_id, r.cause_type, r.cause_id, r.posted_at, engage.ledger_nth(r.id) AS nth,
               bool_or(r.kind = 'CAPTURE') OVER (PARTITION BY r.posted_at) AS with_capture,
               (sum(r.amount + f.amount) OVER ())::bigint AS amount,
               (sum(r.amount + f.amount) FILTER (WHERE r.kind <> 'RELEASE') OVER ())::bigint AS captured
          FROM transfers r CROSS JOIN LATERAL (
            SELECT engage.ledger_sum(f.amount) AS amount FROM transfers f
             WHERE r.kind = 'GIFT' AND f.refers_id = r.id AND f.kind = 'FEE') f
         WHERE r.refers_id = h.id AND r.kind IN ('CAPTURE', 'RELEASE', 'GIFT') ORDER BY nth DESC LIMIT 1) e ON true
     WHERE h.id > p_after AND h.id <= p_last
  ), deducted AS MATERIALIZED (
    SELECT a.account_id, d.hold_id, d.amount, d.last_at, d.last_nth
      FROM (SELECT DISTINCT k.account_id FROM kept k WHERE k.left_over > 0) a
     CROSS JOIN LATERAL engage.ledger_hold_deductions(a.account_id) d
  ), figured AS (
    SELECT k.*, k.left_over - coalesce(d.amount, 0) AS remaining, d.last_at, d.last_nth
      FROM kept k LEFT JOIN deducted d ON d.hold_id = k.id AND d.account_id = k.account_id
  )
  SELECT f.id, f.remaining, CASE WHEN f.remaining > 0 THEN (s.parts).lots ELSE '{}' END,
         CASE WHEN f.remaining > 0 THEN (s.parts).takes ELSE '{}' END,
         CASE WHEN f.remaining > 0 THEN 'OPEN' WHEN f.last_nth > f.nth OR f.nth IS NULL THEN 'RELEASED' ELSE f.state END,
         CASE WHEN f.remaining > 0 THEN NULL WHEN f.last_nth > f.nth OR f.nth IS NULL THEN f.last_at ELSE f.posted_at END
    FROM figured f
    LEFT JOIN LATERAL (
      SELECT engage.ledger_slice(array_agg(engage.ledger_lot_after(a.lot_id, f.account_id) ORDER BY a.id),
                                 array_agg(a.held ORDER BY a.id), f.captured, f.captured + f.remaining) AS parts
        FROM allocations a WHERE a.transfer_id = f.id AND f.remaining > 0) s ON true
$$;

-- Debts: what remains is what was owed less what was paid and forgiven. What reversals give back is debt first, of which
-- what was not forgiven had been paid.
CREATE FUNCTION engage.ledger_derived_debts(p_after uuid, p_last uuid)
RETURNS TABLE (id uuid, amount bigint, remaining bigint, forgiven bigint, returned bigint)
LANGUAGE sql STABLE AS $$
  WITH owed AS (
    SELECT e.transfer_id AS id, -e.amount AS amount FROM entries e
     WHERE e.transfer_id > p_after AND e.transfer_id <= p_last AND e.bucket = 'DEBT'
  ), paid AS (
    SELECT t.refers_id AS id, engage.ledger_sum(t.amount) AS amount FROM transfers t
     WHERE t.refers_id > p_after AND t.refers_id <= p_last AND t.kind = 'DEBT_PAID' GROUP BY t.refers_id
  ), undone AS (
    SELECT t.reverses_id AS id, engage.ledger_sum(t.amount) AS amount, engage.ledger_sum(coalesce(e.amount, 0)) AS forgiven
      FROM transfers t LEFT JOIN entries e ON e.transfer_id = t.id AND e.bucket = 'DEBT'
     WHERE t.reverses_id > p_after AND t.reverses_id <= p_last AND t.kind IN ('REVERSE', 'RESTORE') GROUP BY t.reverses_id
  )
  SELECT d.id, o.amount, o.amount - coalesce(p.amount, 0) - coalesce(u.forgiven, 0), coalesce(u.forgiven, 0),
         least(coalesce(u.amount, 0), o.amount) - coalesce(u.forgiven, 0)
    FROM debts d LEFT JOIN owed o ON o.id = d.id LEFT JOIN paid p ON p.id = d.id LEFT JOIN undone u ON u.id = d.id
   WHERE d.id > p_after AND d.id <= p_last
$$;

-- Accounts: the sums of their entries; what else has to come to the same figures; and the first moment at which something
-- is due, whether or not the member is frozen (`usable_due_at`) and for all others (`due_at`).
CREATE FUNCTION engage.ledger_derived_accounts(p_after uuid, p_last uuid)
RETURNS TABLE (id uuid, version bigint, available bigint, pending bigint, held bigint, debt bigint,
               in_open bigint, in_pending bigint, in_holds bigint, in_held_lots bigint, in_debts bigint,
               usable_due_at timestamptz, due_at timestamptz, idle boolean)
LANGUAGE sql STABLE AS $$
  WITH facts (account_id, version, available, pending, held, debt, in_open, in_pending, in_holds, in_held_lots, in_debts,
              usable_at, ends_at, idle) AS (
    SELECT e.account_id, 1::bigint, CASE e.bucket WHEN 'AVAILABLE' THEN e.amount END,
           CASE e.bucket WHEN 'PENDING' THEN e.amount END, CASE e.bucket WHEN 'HELD' THEN e.amount END,
           CASE e.bucket WHEN 'DEBT' THEN -e.amount END, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
           NULL::bigint, NULL::timestamptz, NULL::timestamptz, false
      FROM entries e WHERE e.account_id > p_after AND e.account_id <= p_last AND e.version IS NOT NULL
    UNION ALL
    SELECT l.account_id, NULL, NULL, NULL, NULL, NULL, l.remaining, NULL, NULL, NULL, NULL, NULL, l.expires_at, l.idle
      FROM lots l WHERE l.state = 'OPEN' AND l.account_id > p_after AND l.account_id <= p_last
    UNION ALL
    SELECT l.account_id, NULL, NULL, NULL, NULL, NULL, NULL, l.remaining, NULL, NULL, NULL, l.usable_at, l.expires_at, l.idle
      FROM lots l WHERE l.state = 'PENDING' AND l.account_id > p_after AND l.account_id <= p_last
    UNION ALL
    SELECT h.account_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, h.remaining, NULL, NULL, NULL, h.deadline, false
      FROM holds h WHERE h.state = 'OPEN' AND h.account_id > p_after AND h.account_id <= p_last
    UNION ALL
    SELECT x.account_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, l.held, NULL, NULL, NULL, false
      FROM (SELECT DISTINCT h.account_id, t.lot FROM holds h CROSS JOIN LATERAL unnest(h.lots) AS t (lot)
             WHERE h.state = 'OPEN' AND h.account_id > p_after AND h.account_id <= p_last) x
     CROSS JOIN LATERAL (SELECT * FROM lots y WHERE y.id = x.lot OFFSET 0) l
    UNION ALL
    SELECT d.account_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, d.remaining, NULL, NULL, false
      FROM debts d WHERE d.remaining > 0 AND d.account_id > p_after AND d.account_id <= p_last
  ), sums AS (
    SELECT f.account_id, engage.ledger_sum(f.version) AS version, engage.ledger_sum(f.available) AS available,
           engage.ledger_sum(f.pending) AS pending, engage.ledger_sum(f.held) AS held, engage.ledger_sum(f.debt) AS debt,
           engage.ledger_sum(f.in_open) AS in_open, engage.ledger_sum(f.in_pending) AS in_pending,
           engage.ledger_sum(f.in_holds) AS in_holds, engage.ledger_sum(f.in_held_lots) AS in_held_lots,
           engage.ledger_sum(f.in_debts) AS in_debts, min(f.usable_at) AS usable_due_at,
           least(min(f.usable_at), min(f.ends_at)) AS due_at, bool_or(f.idle) AS idle
      FROM facts f GROUP BY f.account_id
  )
  SELECT a.id, coalesce(s.version, 0), coalesce(s.available, 0), coalesce(s.pending, 0), coalesce(s.held, 0),
         coalesce(s.debt, 0), coalesce(s.in_open, 0), coalesce(s.in_pending, 0), coalesce(s.in_holds, 0),
         coalesce(s.in_held_lots, 0), coalesce(s.in_debts, 0), s.usable_due_at, s.due_at, coalesce(s.idle, false)
    FROM accounts a LEFT JOIN sums s ON s.account_id = a.id WHERE a.id > p_after AND a.id <= p_last
$$;

-- Whether an account is looked at later than something falls due in it.
CREATE FUNCTION engage.ledger_due_late(a accounts, p_usable_due timestamptz, p_due timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_due < coalesce(a.next_due_at, 'infinity') THEN
    p_usable_due < coalesce(a.next_due_at, 'infinity') OR engage.member_frozen_at(a.member_id) IS NULL ELSE false END
$$;
