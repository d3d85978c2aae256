-- Transfers and their entries: verified by themselves, whatever they moved.

-- Entries of an account that name another transfer than the one to which their version belongs, of those that name this
-- one or belong to it.
CREATE FUNCTION engage.ledger_strays_of(t transfers) RETURNS TABLE (id bigint, stored uuid, expected uuid)
LANGUAGE sql STABLE SET enable_nestloop = on AS $$
  SELECT e.id, e.transfer_id, o.id
    FROM (SELECT x.* FROM entries x WHERE x.transfer_id = t.id AND x.version IS NOT NULL
          UNION
          SELECT x.* FROM entries x WHERE x.account_id = t.account_id AND x.version <= t.version_after AND x.version > (
            SELECT coalesce(max(p.version_after), 0) FROM transfers p
             WHERE p.account_id = t.account_id AND p.version_after < t.version_after)) e
   CROSS JOIN LATERAL (SELECT x.id FROM transfers x WHERE x.account_id = e.account_id AND x.version_after >= e.version
                        ORDER BY x.version_after LIMIT 1) o
   WHERE o.id <> e.transfer_id
$$;

-- What is wrong in a transfer that is wrong: the row of which a change alone explains it, where there is one.
CREATE FUNCTION engage.ledger_wrong_in_transfer(p_transfer uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE SET enable_nestloop = on AS $$
  WITH whole AS (
    SELECT t, t.*, a.member_id AS owner, a.currency_id AS account_currency, a.version AS account_version, k.legs,
           a.member_id <> t.member_id OR a.currency_id <> t.currency_id AS strange,
           EXISTS (SELECT FROM transfers x WHERE x.account_id = t.account_id AND x.id <> t.id) AS others,
           EXISTS (SELECT FROM transfers x WHERE x.account_id = t.account_id AND x.member_id = a.member_id
                                             AND x.currency_id = a.currency_id) AS others_agree
      FROM transfers t LEFT JOIN accounts a ON a.id = t.account_id LEFT JOIN engage.ledger_kinds k ON k.kind = t.kind
     WHERE t.id = p_transfer
  ), legs AS MATERIALIZED (
    SELECT * FROM engage.ledger_legs_of(p_transfer)
  ), sides AS (
    SELECT count(*) AS n, min(account_id::text) FILTER (WHERE bucket <> 'HOUSE') AS account,
           count(DISTINCT account_id) FILTER (WHERE bucket <> 'HOUSE') AS accounts,
           min(owner::text) FILTER (WHERE bucket <> 'HOUSE') AS owner,
           min(currency_id::text) FILTER (WHERE bucket <> 'HOUSE') AS currency,
           count(version) AS n_own, max(version) AS highest, max(version) - min(version) = count(version) - 1 AS closed_up,
           coalesce(sum(amount), 0) AS total, coalesce(sum(greatest(amount, 0)), 0) AS added,
           count(*) FILTER (WHERE sign IS NULL OR amount * sign < 0) AS n_odd,
           bool_or((sign IS NULL OR amount * sign < 0) AND runs) AS odd_runs, (
             SELECT string_agg(x.kind, ' or ' ORDER BY x.kind) FROM engage.ledger_kinds x
              WHERE NOT EXISTS (SELECT FROM legs l WHERE NOT EXISTS (
                SELECT FROM engage.ledger_legs y WHERE y.kind = x.kind AND y.leg = l.leg AND l.amount * y.sign >= 0))
           ) AS fitting
      FROM legs
  ), found (rank, in_table, id, rule, stored, expected) AS (
    SELECT 1, 'transfers', w.id::text, 'account', w.account_id::text, s.account FROM whole w, sides s
     WHERE (w.strange OR w.account_currency IS NULL) AND s.accounts = 1 AND s.account <> w.account_id::text
       AND s.owner = w.member_id::text AND s.currency = w.currency_id::text
    UNION ALL
    SELECT 2, CASE WHEN blamed THEN 'accounts' ELSE 'transfers' END,
           CASE WHEN blamed THEN w.account_id ELSE w.id END::text, c.rule, CASE WHEN blamed THEN c.at_account ELSE c.told END,
           CASE WHEN blamed THEN c.told ELSE c.at_account END
      FROM whole w CROSS JOIN LATERAL (SELECT w.others AND NOT w.others_agree AS blamed) b
      CROSS JOIN LATERAL (VALUES ('member', w.member_id::text, w.owner::text),
                                 ('currency', w.currency_id::text, w.account_currency::text)) AS c (rule, told, at_account)
     WHERE c.told <> c.at_account
    UNION ALL
    SELECT 3, 'entries', l.id::text, 'account', l.account_id::text, w.account_id::text FROM whole w, legs l
     WHERE l.bucket <> 'HOUSE' AND l.account_id <> w.account_id OR l.leg IS NULL
    UNION ALL
    SELECT 4, 'entries', l.id::text, 'currency', l.currency_id::text, w.currency_id::text FROM whole w, legs l
     WHERE l.currency_id <> w.currency_id
    UNION ALL
    SELECT 5, 'entries', x.id::text, 'transfer', x.stored::text, x.expected::text
      FROM whole w CROSS JOIN sides s CROSS JOIN LATERAL engage.ledger_strays_of(w.t) x WHERE s.total <> 0
    UNION ALL
    SELECT 6, 'transfers', w.id::text, 'kind', w.kind, coalesce(s.fitting, 'that of its legs')
      FROM whole w, sides s
     WHERE w.legs IS NULL OR s.total = 0 AND (s.n_odd > 1 OR s.odd_runs AND s.fitting IS NOT NULL)
    UNION ALL
    SELECT 7, 'entries', l.id::text, 'leg', l.leg,
           (SELECT string_agg(k.leg, ' or ' ORDER BY k.leg) FROM engage.ledger_legs k WHERE k.kind = w.kind)
      FROM whole w, legs l WHERE l.sign IS NULL
    UNION ALL
    SELECT 8, 'entries', l.id::text, 'version and balance', concat_ws(' and ', l.version, l.balance_after),
           CASE l.bucket WHEN 'HOUSE' THEN 'none for the house' ELSE 'both for a member' END
      FROM legs l WHERE (l.bucket = 'HOUSE') <> (l.version IS NULL) OR (l.bucket = 'HOUSE') <> (l.balance_after IS NULL)
    UNION ALL
    SELECT 9, 'entries', l.id::text, 'amount', l.amount::text, l.due::text FROM sides s, legs l
     WHERE s.total <> 0 AND l.fits
    UNION ALL
    SELECT 10, 'transfers', w.id::text, 'entries', s.n || ' that sum to ' || s.total,
           CASE w.legs WHEN 2 THEN '2 that sum to 0' ELSE '2 to ' || w.legs || ' that sum to 0' END
      FROM whole w, sides s WHERE s.total <> 0 OR s.n NOT BETWEEN 2 AND w.legs
    UNION ALL
    SELECT 11, 'entries', x.id::text, 'leg', x.leg, 'each leg once'
      FROM (SELECT l.id, l.leg, row_number() OVER (PARTITION BY CASE l.bucket WHEN 'HOUSE' THEN l.bucket ELSE l.leg END
                                                   ORDER BY l.runs DESC, l.version DESC, l.id) AS nth FROM legs l) x WHERE x.nth > 1
    UNION ALL
    SELECT 12, 'transfers', w.id::text, 'amount', w.amount::text, s.added::text FROM whole w, sides s
     WHERE s.added <> w.amount
    UNION ALL
    SELECT 13, 'entries', l.id::text, 'version', l.version::text, (
             SELECT min(v) FROM generate_series(w.version_after - s.n_own + 1, w.version_after) AS v
              WHERE NOT EXISTS (SELECT FROM legs x WHERE x.version = v))::text
      FROM whole w, sides s, legs l
     WHERE l.version NOT BETWEEN w.version_after - s.n_own + 1 AND w.version_after
       AND (NOT s.closed_up OR s.n_own = 1 AND l.version NOT BETWEEN 1 AND w.account_version)
    UNION ALL
    SELECT 14, 'transfers', w.id::text, 'version after', w.version_after::text, s.highest::text FROM whole w, sides s
     WHERE s.highest <> w.version_after
    UNION ALL
    SELECT 15, 'transfers', w.id::text, 'entries', s.n || ' that sum to ' || s.total, 'those of ' || w.kind
      FROM whole w, sides s
  )
  SELECT in_table, id, rule, stored, expected FROM found ORDER BY rank, id LIMIT 1
$$;

-- Each transfer is of its account's member and currency; its legs are those of its kind, once each, in one currency, and sum to
-- zero; its amount is what they add; their versions run up to its own.
CREATE FUNCTION engage.ledger_verify_transfers(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH judged AS (
    SELECT t.id, count(*) AS n, count(e.version) AS n_own, min(e.version) AS lowest, max(e.version) AS highest,
           engage.ledger_sum(e.amount) AS total, engage.ledger_sum(greatest(e.amount, 0)) AS added,
           engage.ledger_sum(k.bit) AS bits, bit_or(k.bit) AS kinds_of_bits,
           bool_or(k.bit IS NULL OR e.amount * k.sign < 0 OR a.currency_id <> t.currency_id
                   OR (e.account_id = t.account_id) <> (e.bucket <> 'HOUSE')
                   OR (e.bucket = 'HOUSE') <> (e.version IS NULL) OR (e.bucket = 'HOUSE') <> (e.balance_after IS NULL)
                   OR e.account_id = t.account_id AND a.member_id <> t.member_id) AS odd
      FROM transfers t
      JOIN entries e ON e.transfer_id = t.id AND e.transfer_id > p_after AND e.transfer_id <= p_last
     CROSS JOIN LATERAL (SELECT * FROM accounts x WHERE x.id = e.account_id OFFSET 0) a
      LEFT JOIN engage.ledger_legs k ON k.kind = t.kind AND k.leg = CASE e.bucket WHEN 'HOUSE' THEN a.kind ELSE e.bucket END
     WHERE t.id > p_after AND t.id <= p_last
     GROUP BY t.id
  ), wrong AS MATERIALIZED (
    SELECT t.id FROM transfers t
      LEFT JOIN engage.ledger_kinds k ON k.kind = t.kind LEFT JOIN judged j ON j.id = t.id
     WHERE t.id > p_after AND t.id <= p_last
       AND (k.kind IS NULL OR j.id IS NULL OR j.odd OR j.n NOT BETWEEN 2 AND k.legs OR j.total <> 0 OR j.added <> t.amount
            OR j.bits <> j.kinds_of_bits OR j.highest <> t.version_after OR j.highest - j.lowest <> j.n_own - 1)
  )
  SELECT f.* FROM (SELECT id FROM wrong ORDER BY id LIMIT 1) w, engage.ledger_wrong_in_transfer(w.id) f
$$;
