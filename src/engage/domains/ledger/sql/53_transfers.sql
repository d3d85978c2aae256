-- The statement of an account, and all that can be told of one transfer. Each answers (key, value = JSON), as 42_read.

-- A line of a statement; the amount is signed as the member sees it.
CREATE FUNCTION engage.ledger_transfer_row(t transfers, p_program text, p_kind text, p_money text) RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT json_build_array(t.id, t.kind, CASE WHEN engage.ledger_takes(t.kind) THEN -t.amount ELSE t.amount END,
    t.reason, t.cause_type, t.cause_id, t.posted_at, t.balance_after, t.version_after, t.reverses_id, t.refers_id,
    t.member_id, p_program, p_kind, CASE p_kind WHEN 'CASH' THEN p_money END)
$$;

-- The last version of an account before a moment.
CREATE FUNCTION engage.ledger_version_before(p_account uuid, p_at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((engage.ledger_last_by(p_account, p_at - interval '1 microsecond')).version_after, 0)
$$;

CREATE FUNCTION engage.ledger_transfers(p_transfers uuid[]) RETURNS TABLE (key text, value json)
LANGUAGE sql STABLE AS $$
  SELECT t.id::text, engage.ledger_transfer_row(t, c.program_code, c.kind, engage.program_money(c.program_code))
    FROM transfers t JOIN currencies c ON c.id = t.currency_id WHERE t.id = ANY (p_transfers)
$$;

-- Another transfer in a few words.
CREATE FUNCTION engage.ledger_transfer_link(t transfers) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_array(t.id, t.kind, CASE WHEN engage.ledger_takes(t.kind) THEN -t.amount ELSE t.amount END,
                          t.posted_at, t.member_id, c.program_code, c.kind)
    FROM currencies c WHERE c.id = t.currency_id
$$;

-- The other side of what goes from one account to another, NULL for all else.
CREATE FUNCTION engage.ledger_counterpart(t transfers) RETURNS transfers LANGUAGE sql STABLE AS $$
  SELECT x.* FROM transfers x
   WHERE t.kind IN ('RECEIVE', 'EXCHANGE_IN', 'MERGE_IN') AND x.id = t.refers_id
  UNION ALL
  (SELECT x.* FROM transfers x
    WHERE t.kind IN ('GIFT', 'EXCHANGE_OUT', 'MERGE_OUT') AND x.refers_id = t.id
      AND x.kind = CASE t.kind WHEN 'GIFT' THEN 'RECEIVE' WHEN 'EXCHANGE_OUT' THEN 'EXCHANGE_IN' ELSE 'MERGE_IN' END
    LIMIT 1)
$$;

-- How much of a transfer could still be taken back, by one command or another; NULL where none of them takes its kind.
CREATE FUNCTION engage.ledger_left_to_reverse(t transfers) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN t.reverses_id IS NULL AND t.kind IN ('EARN', 'ADJUST_UP', 'SPEND', 'CAPTURE', 'DONATE', 'FEE',
                                                        'ADJUST_DOWN', 'DEDUCT', 'CLAWBACK', 'TOP_UP')
              THEN t.amount - engage.ledger_reversed(t.id) END
$$;

-- A hold as it stands at a moment: one past its deadline has ended then, whenever that is posted.
CREATE FUNCTION engage.ledger_hold_row(h holds, p_now timestamptz) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_array(h.id, h.member_id, h.purpose, CASE WHEN s.over THEN 'EXPIRED' ELSE h.state END, h.amount,
           CASE WHEN s.over THEN 0 ELSE h.remaining END, h.deadline, h.created_at,
           CASE WHEN s.over OR h.state = 'EXPIRED' THEN h.deadline ELSE h.closed_at END, c.program_code, c.kind,
           CASE c.kind WHEN 'CASH' THEN engage.program_money(c.program_code) END)
    FROM (SELECT h.state = 'OPEN' AND h.deadline <= engage.ledger_until(h.member_id, p_now) AS over) s,
         accounts a JOIN currencies c ON c.id = a.currency_id WHERE a.id = h.account_id
$$;

CREATE FUNCTION engage.ledger_gift_over(g gifts, p_now timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT g.state = 'OFFERED' AND g.deadline <= engage.ledger_until(g.sender_id, p_now)
$$;

CREATE FUNCTION engage.ledger_gift_row(g gifts, p_now timestamptz) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_array(g.id, g.program_code, g.sender_id, g.recipient_id, g.amount, g.fee,
           CASE WHEN s.over THEN 'EXPIRED' ELSE g.state END, (SELECT n.text FROM transfer_notes n WHERE n.transfer_id = g.id),
           g.deadline, g.created_at, CASE WHEN s.over OR g.state = 'EXPIRED' THEN g.deadline ELSE g.decided_at END)
    FROM (SELECT engage.ledger_gift_over(g, p_now) AS over) s
$$;

-- Money that was paid in, and how much of it was paid back.
CREATE FUNCTION engage.ledger_top_up_row(u top_ups) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_array(u.id, u.member_id, u.program_code, engage.program_money(u.program_code), u.amount, u.bonus,
           engage.ledger_reversed(u.id), u.channel, u.store, u.payment_reference, u.paid_at, u.created_at)
$$;

-- What a transfer goes back to: the hold, the debt and the gift that it began, changed or ended.
CREATE FUNCTION engage.ledger_transfer_reasons(t transfers, p_now timestamptz)
RETURNS TABLE (hold json, debt json, gift json) LANGUAGE sql STABLE AS $$
  SELECT (SELECT engage.ledger_hold_row(h, p_now) FROM holds h
           WHERE h.id = CASE WHEN t.kind = 'HOLD' THEN t.id
                             WHEN t.kind IN ('CAPTURE', 'RELEASE', 'GIFT') THEN t.refers_id END),
         (SELECT json_build_array(d.id, d.amount, d.remaining, d.forgiven, d.created_at) FROM debts d
           WHERE d.id = CASE WHEN t.kind = 'DEBT_PAID' THEN t.refers_id WHEN t.kind IN ('CLAWBACK', 'DEDUCT') THEN t.id
                             WHEN t.kind IN ('REVERSE', 'RESTORE') THEN t.reverses_id END),
         (SELECT engage.ledger_gift_row(g, p_now) FROM gifts g
           WHERE g.id = CASE WHEN t.kind = 'GIFT' THEN coalesce(t.refers_id, t.id) WHEN t.kind = 'HOLD' THEN t.id
                             WHEN t.kind = 'RELEASE' THEN t.refers_id
                             WHEN t.kind IN ('RECEIVE', 'FEE') THEN (
                               SELECT coalesce(x.refers_id, x.id) FROM transfers x WHERE x.id = t.refers_id) END)
$$;

-- All that a statement does not say of a transfer by itself. Of reversals the first hundred.
CREATE FUNCTION engage.ledger_transfer_details(p_transfers uuid[], p_now timestamptz)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT t.id::text, json_build_object(
      'entries', (
        SELECT json_agg(json_build_array(e.bucket, CASE e.bucket WHEN 'HOUSE' THEN a.kind END, e.amount, e.balance_after)
                        ORDER BY e.id)
          FROM entries e JOIN accounts a ON a.id = e.account_id WHERE e.transfer_id = t.id),
      'left', engage.ledger_left_to_reverse(t),
      'reverses', (SELECT engage.ledger_transfer_link(x) FROM transfers x WHERE x.id = t.reverses_id),
      'reversals', (
        SELECT coalesce(json_agg(engage.ledger_transfer_link(r.x) ORDER BY (r.x).posted_at, (r.x).id), '[]')
          FROM (SELECT x FROM transfers x WHERE x.reverses_id = t.id ORDER BY x.posted_at, x.id LIMIT 100) r),
      'counterpart', (SELECT engage.ledger_transfer_link(x) FROM engage.ledger_counterpart(t) x WHERE x.id IS NOT NULL),
      'hold', r.hold, 'debt', r.debt, 'gift', r.gift)
    FROM transfers t CROSS JOIN LATERAL engage.ledger_transfer_reasons(t, p_now) r WHERE t.id = ANY (p_transfers)
$$;
