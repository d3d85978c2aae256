-- Accounts, and the entries that made them what they are.

-- Entries of accounts: versions run 1, 2, 3 …; the balance after each runs with the amounts of its bucket. After its
-- last entry, a transfer has that version, and what was available then.
CREATE FUNCTION engage.ledger_verify_runs(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH runs AS (
    SELECT e.id, e.account_id, e.transfer_id, e.version, e.bucket, e.balance_after, row_number() OVER w AS nth,
           lead(e.transfer_id) OVER w IS DISTINCT FROM e.transfer_id AS closes,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'AVAILABLE') OVER w AS available,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'PENDING') OVER w AS pending,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'HELD') OVER w AS held,
           engage.ledger_sum(e.amount) FILTER (WHERE e.bucket = 'DEBT') OVER w AS debt
      FROM entries e WHERE e.account_id > p_after AND e.account_id <= p_last AND e.version IS NOT NULL
    WINDOW w AS (PARTITION BY e.account_id ORDER BY e.version ROWS UNBOUNDED PRECEDING)
  ), judged AS (
    SELECT r.*, t.version_after AS told_version, t.balance_after AS told_balance,
           CASE r.bucket WHEN 'AVAILABLE' THEN r.available WHEN 'PENDING' THEN r.pending WHEN 'HELD' THEN r.held
                         ELSE r.debt END AS due
      FROM runs r
      JOIN transfers t ON t.id = r.transfer_id AND t.account_id > p_after AND t.account_id <= p_last
  ), ruled AS (
    SELECT *, CASE WHEN version <> nth THEN 1
                   WHEN balance_after <> due THEN 2
                   WHEN closes AND told_version <> version THEN 3
                   WHEN closes AND told_balance <> available THEN 4 END AS broken
      FROM judged
  ), wrong AS MATERIALIZED (
    SELECT * FROM ruled WHERE broken IS NOT NULL
  ), first_wrong AS (
    SELECT * FROM wrong ORDER BY account_id, version LIMIT 1
  )
  SELECT CASE WHEN broken <= 2 THEN 'entries' ELSE 'transfers' END,
         CASE WHEN broken <= 2 THEN id::text ELSE transfer_id::text END,
         (ARRAY['version', 'balance after', 'version after', 'balance after'])[broken],
         (ARRAY[version, balance_after, told_version, told_balance])[broken]::text,
         (ARRAY[nth, due, version, available])[broken]::text
    FROM first_wrong
$$;

-- Accounts: their figures are those of their entries, and those of their lots, holds and debts; nothing falls due before
-- `next_due_at` says, where for the frozen only what becomes usable does. Accounts of the house keep no figures.
CREATE FUNCTION engage.ledger_verify_accounts(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH wrong AS MATERIALIZED (
    SELECT a.id, c.*
      FROM engage.ledger_derived_accounts(p_after, p_last) d JOIN accounts a ON a.id = d.id AND a.id > p_after AND a.id <= p_last
     CROSS JOIN LATERAL (VALUES
        (0, (a.kind = 'MEMBER') <> (a.member_id IS NOT NULL), 'kind', a.kind,
         CASE WHEN a.member_id IS NULL THEN 'one of the house' ELSE 'MEMBER' END),
        (1, a.version <> d.version, 'version', a.version::text, d.version::text),
        (2, a.available <> d.available, 'available', a.available::text, d.available::text),
        (3, a.pending <> d.pending, 'pending', a.pending::text, d.pending::text),
        (4, a.held <> d.held, 'held', a.held::text, d.held::text),
        (5, a.debt <> d.debt, 'debt', a.debt::text, d.debt::text),
        (6, a.available <> d.in_open, 'available, by lots', a.available::text, d.in_open::text),
        (7, a.pending <> d.in_pending, 'pending, by lots', a.pending::text, d.in_pending::text),
        (8, a.held <> d.in_holds, 'held, by holds', a.held::text, d.in_holds::text),
        (9, a.held <> d.in_held_lots, 'held, by lots', a.held::text, d.in_held_lots::text),
        (10, a.debt <> d.in_debts, 'debt, by debts', a.debt::text, d.in_debts::text),
        (11, engage.ledger_due_late(a, d.usable_due_at, d.due_at), 'next due, at the latest', a.next_due_at::text,
         d.due_at::text),
        (12, a.member_id IS NULL AND a.next_due_at IS NOT NULL, 'next due of the house', a.next_due_at::text, NULL),
        (13, d.idle AND NOT a.idle, 'idle', a.idle::text, d.idle::text)
      ) AS c (rank, broken, rule, stored, expected)
     WHERE c.broken
  )
  SELECT 'accounts', id::text, rule, stored, expected FROM wrong ORDER BY wrong.id, rank LIMIT 1
$$;
