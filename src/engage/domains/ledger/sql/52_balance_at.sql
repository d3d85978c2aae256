-- What a balance was at a moment that is past: what an effective read would have said then, whether time's doing was
-- posted before, after or never. Of the moment on, three things can be told from what is there now:
-- * the last transfer posted by then has the figures as they were posted;
-- * whatever came due since then and by the moment was posted by the very next command or sweep, before anything else;
--   so the transfers that share the next one's moment name the lots and holds;
-- * an end or a deadline is moved only while it lies ahead: what was posted as over, and lies before the moment, was
--   over then, too. (What stands still for the frozen is not posted as over.)

-- The last transfer of an account that was posted by a moment, found by halving its versions: each look is one on the
-- index that the statement has, so that time needs none of its own. Where clocks of machines differ a little, posting
-- is not quite in the order of time; then one of the neighbours of the moment is found.
CREATE FUNCTION engage.ledger_last_by(p_account uuid, p_at timestamptz) RETURNS transfers LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_low bigint := 0; v_high bigint; v_middle bigint; t transfers;
BEGIN
  SELECT * INTO t FROM transfers x WHERE x.account_id = p_account ORDER BY x.version_after DESC LIMIT 1;
  IF t.posted_at <= p_at THEN RETURN t; END IF;
  v_high := t.version_after;
  WHILE v_high - v_low > 1 LOOP
    v_middle := (v_low + v_high) / 2;
    SELECT * INTO t FROM transfers x
     WHERE x.account_id = p_account AND x.version_after > v_low AND x.version_after <= v_middle
     ORDER BY x.version_after DESC LIMIT 1;
    IF t.posted_at > p_at THEN v_high := t.version_after; ELSE v_low := v_middle; END IF;
  END LOOP;
  SELECT * INTO t FROM transfers x
   WHERE x.account_id = p_account AND x.version_after <= v_low ORDER BY x.version_after DESC LIMIT 1;
  RETURN t;
END $$;

-- What a bucket of an account held after a version.
CREATE FUNCTION engage.ledger_bucket_at(p_account uuid, p_bucket text, p_version bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT e.balance_after FROM entries e
     WHERE e.account_id = p_account AND e.bucket = p_bucket AND e.bucket IN ('PENDING', 'HELD', 'DEBT')
       AND e.version <= p_version
     ORDER BY e.version DESC LIMIT 1), 0)
$$;

-- What remained of a lot after a version of its account; 0 where it was made later.
CREATE FUNCTION engage.ledger_lot_at(l lots, p_version bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN (SELECT t.version_after FROM transfers t WHERE t.id = l.source_id) > p_version THEN 0
    ELSE l.amount + coalesce((
      SELECT sum(x.amount) FROM allocations x JOIN transfers t ON t.id = x.transfer_id
       WHERE x.lot_id = l.id AND t.version_after <= p_version), 0)::bigint END
$$;

-- The lots that became usable or expired after the last transfer and by the moment, as the next command posted it:
-- how much each had, whether it matured only then, and whether it was gone.
CREATE FUNCTION engage.ledger_lots_due(p_last transfers, p_settled uuid[], p_expired uuid[], p_at timestamptz)
RETURNS TABLE (id uuid, usable_at timestamptz, had bigint, matured boolean, lapsed boolean) LANGUAGE sql STABLE AS $$
  WITH due AS (
    SELECT l.id FROM lots l
     WHERE l.account_id = p_last.account_id AND l.usable_at > p_last.posted_at AND l.usable_at <= p_at
       AND EXISTS (SELECT FROM transfers t WHERE t.id = ANY (p_settled) AND t.kind = 'MATURE')
    UNION
    SELECT x FROM unnest(p_expired) AS x
  )
  SELECT l.id, l.usable_at, engage.ledger_lot_at(l, p_last.version_after), l.usable_at > p_last.posted_at,
         coalesce(l.expires_at <= p_at AND l.id = ANY (p_expired), false)
    FROM due d JOIN lots l ON l.id = d.id WHERE l.usable_at <= p_at
$$;

-- What holds that reached their deadline after the last transfer and by the moment gave back, and whether the lot that
-- it came to, the old one or its reissue, was gone by then.
CREATE FUNCTION engage.ledger_given_back(p_settled uuid[], p_expired uuid[], p_at timestamptz)
RETURNS TABLE (take bigint, lapsed boolean) LANGUAGE sql STABLE AS $$
  SELECT -x.held, coalesce(l.expires_at <= p_at AND l.id = ANY (p_expired), false)
    FROM transfers t JOIN holds h ON h.id = t.refers_id JOIN allocations x ON x.transfer_id = t.id
   CROSS JOIN LATERAL (
     SELECT o.id, o.expires_at FROM lots o WHERE o.id = x.lot_id AND x.amount > 0
      UNION ALL
     SELECT n.id, n.expires_at FROM lots n WHERE n.origin_lot_id = x.lot_id AND n.source_id = t.id AND x.amount = 0) l
   WHERE t.id = ANY (p_settled) AND t.kind = 'RELEASE' AND h.state = 'EXPIRED' AND h.deadline <= p_at
$$;

CREATE FUNCTION engage.ledger_balance_at(
  p_account accounts, p_at timestamptz, OUT available bigint, OUT pending bigint, OUT held bigint, OUT debt bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_last transfers := engage.ledger_last_by(p_account.id, p_at); v_next transfers;
  v_settled uuid[]; v_expired uuid[]; v_owed bigint; v_matured bigint; v_paid bigint; v_lapsed bigint; v_held bigint; v_back bigint;
BEGIN
  IF v_last.id IS NULL THEN
    available := 0; pending := 0; held := 0; debt := 0;
    RETURN;
  END IF;
  IF v_last.version_after = p_account.version THEN
    SELECT * INTO available, pending, held, debt FROM engage.ledger_effective(p_account, p_at);
    RETURN;
  END IF;
  SELECT * INTO v_next FROM transfers t
   WHERE t.account_id = p_account.id AND t.version_after > v_last.version_after ORDER BY t.version_after LIMIT 1;
  v_settled := ARRAY(
    SELECT t.id FROM transfers t
     WHERE t.account_id = p_account.id AND t.version_after > v_last.version_after
       AND t.version_after <= (engage.ledger_last_by(p_account.id, v_next.posted_at)).version_after
       AND t.posted_at = v_next.posted_at);
  v_expired := ARRAY(
    SELECT x.lot_id FROM transfers t JOIN allocations x ON x.transfer_id = t.id
     WHERE t.id = ANY (v_settled) AND t.kind = 'EXPIRE');
  available := v_last.balance_after;
  pending := engage.ledger_bucket_at(p_account.id, 'PENDING', v_last.version_after);
  held := engage.ledger_bucket_at(p_account.id, 'HELD', v_last.version_after);
  debt := -engage.ledger_bucket_at(p_account.id, 'DEBT', v_last.version_after);
  v_owed := debt;
  WITH paying AS (
    SELECT d.*, CASE WHEN d.matured THEN greatest(0, least(d.had, v_owed - coalesce(
             sum(d.had) FILTER (WHERE d.matured)
               OVER (ORDER BY d.usable_at, d.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)))
           ELSE 0 END AS paid
      FROM engage.ledger_lots_due(v_last, v_settled, v_expired, p_at) d
  )
  SELECT coalesce(sum(p.had) FILTER (WHERE p.matured), 0), coalesce(sum(p.paid), 0),
         coalesce(sum(p.had - p.paid) FILTER (WHERE p.lapsed), 0)
    INTO v_matured, v_paid, v_lapsed FROM paying p;
  SELECT coalesce(sum(g.take), 0), coalesce(sum(g.take) FILTER (WHERE NOT g.lapsed), 0) INTO v_held, v_back
    FROM engage.ledger_given_back(v_settled, v_expired, p_at) g;
  available := available + v_matured - v_paid - v_lapsed + v_back;
  pending := pending - v_matured;
  held := held - v_held;
  debt := debt - v_paid;
END $$;

CREATE FUNCTION engage.ledger_balances_at(p_members uuid[], p_program text, p_at timestamptz)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT a.member_id::text,
         json_build_object('available', b.available, 'pending', b.pending, 'held', b.held, 'debt', b.debt)
    FROM engage.ledger_accounts(p_members, p_program) a, engage.ledger_balance_at(a, p_at) b
$$;

-- Stored value with the currency of the program's money: at a moment that is past, or now where that is NULL. Zeros
-- where there never was any; no row for an unknown program.
CREATE FUNCTION engage.ledger_stored_values(p_members uuid[], p_program text, p_at timestamptz, p_now timestamptz)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT m::text, json_build_object(
      'money', engage.program_money(p_program), 'available', coalesce(b.available, 0),
      'pending', coalesce(b.pending, 0), 'held', coalesce(b.held, 0), 'debt', coalesce(b.debt, 0))
    FROM unnest(p_members) AS m
    LEFT JOIN engage.ledger_accounts(p_members, p_program, 'CASH') a ON a.member_id = m
    LEFT JOIN LATERAL (
      SELECT * FROM engage.ledger_effective(a, p_now) WHERE p_at IS NULL
      UNION ALL
      SELECT * FROM engage.ledger_balance_at(a, p_at) WHERE p_at IS NOT NULL) b ON a.id IS NOT NULL
   WHERE engage.program_id(p_program) IS NOT NULL
$$;
