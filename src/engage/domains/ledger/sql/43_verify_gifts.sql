-- What tells people of transfers: gifts and top-ups.

-- Gifts: each is what its GIFT transfer gave, with the FEE, or what its HOLD sets aside while it is offered; its state
-- is that of the hold.
CREATE FUNCTION engage.ledger_verify_gifts(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH told AS (
    SELECT g.*, t.kind, t.posted_at, c.program_code || ' ' || c.kind AS currency, x.id AS gift_transfer, x.amount AS gave,
           x.member_id AS giver, x.posted_at AS gave_at, coalesce(f.amount, 0) AS cost, r.member_id AS receiver,
           h.amount AS set_aside, h.member_id AS holder, h.closed_at, h.deadline AS held_until,
           CASE WHEN t.kind = 'GIFT' THEN 'GIVEN' WHEN x.id IS NOT NULL THEN 'ACCEPTED' WHEN h.state = 'OPEN' THEN 'OFFERED'
                WHEN h.state = 'EXPIRED' THEN 'EXPIRED' WHEN e.id IS NOT NULL THEN 'DECLINED' ELSE 'WITHDRAWN' END AS due
      FROM gifts g
      LEFT JOIN transfers t ON t.id = g.id AND t.kind IN ('GIFT', 'HOLD') AND t.id > p_after AND t.id <= p_last
      LEFT JOIN currencies c ON c.id = t.currency_id
      LEFT JOIN holds h ON h.id = g.id AND h.id > p_after AND h.id <= p_last
      LEFT JOIN LATERAL (
        SELECT * FROM transfers x WHERE x.kind = 'GIFT'
           AND (t.kind = 'GIFT' AND x.id = t.id OR t.kind = 'HOLD' AND x.refers_id = g.id) OFFSET 0) x ON true
      LEFT JOIN LATERAL (SELECT * FROM transfers y WHERE y.refers_id = x.id AND y.kind = 'FEE' OFFSET 0) f ON true
      LEFT JOIN LATERAL (SELECT * FROM transfers y WHERE y.refers_id = x.id AND y.kind = 'RECEIVE' OFFSET 0) r ON true
      LEFT JOIN LATERAL (
        SELECT * FROM transfers y
         WHERE y.refers_id = g.id AND y.kind = 'RELEASE' AND y.reason = 'DECLINED' OFFSET 0) e ON true
     WHERE g.id > p_after AND g.id <= p_last
  ), wrong AS MATERIALIZED (
    SELECT o.id, c.*
      FROM told o CROSS JOIN LATERAL (VALUES
        (1, o.kind IS NULL, 'transfer', NULL, 'a GIFT or a HOLD'),
        (2, o.state <> o.due, 'state', o.state, o.due),
        (3, o.program_code || ' POINTS' <> o.currency, 'program', o.program_code, o.currency),
        (4, o.sender_id <> coalesce(o.giver, o.holder), 'sender', o.sender_id::text, coalesce(o.giver, o.holder)::text),
        (5, o.recipient_id <> o.receiver, 'recipient', o.recipient_id::text, o.receiver::text),
        (6, o.amount <> o.gave, 'amount', o.amount::text, o.gave::text),
        (7, o.gift_transfer IS NOT NULL AND o.fee <> o.cost, 'fee', o.fee::text, o.cost::text),
        (8, o.amount + o.fee <> o.set_aside, 'amount and fee', (o.amount + o.fee)::text, o.set_aside::text),
        (9, o.created_at <> o.posted_at, 'created at', o.created_at::text, o.posted_at::text),
        (10, o.deadline IS DISTINCT FROM o.held_until, 'deadline', o.deadline::text, o.held_until::text),
        (11, o.decided_at IS DISTINCT FROM CASE o.due WHEN 'ACCEPTED' THEN o.gave_at WHEN 'GIVEN' THEN NULL ELSE o.closed_at END,
         'decided at', o.decided_at::text, CASE o.due WHEN 'ACCEPTED' THEN o.gave_at ELSE o.closed_at END::text)
      ) AS c (rank, broken, rule, stored, expected)
     WHERE c.broken
  )
  SELECT 'gifts', id::text, rule, stored, expected FROM wrong ORDER BY wrong.id, rank LIMIT 1
$$;

-- Top-ups: each is what its TOP_UP transfer has put in, with its payment and the bonus that refers to it.
CREATE FUNCTION engage.ledger_verify_top_ups(p_after uuid, p_last uuid) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH told AS (
    SELECT u.*, t.kind, t.member_id AS payer, t.amount AS put_in, t.posted_at, t.cause_type, t.cause_id, l.earned_at,
           c.program_code || ' ' || c.kind AS currency, b.id AS bonus_due_id, coalesce(b.amount, 0) AS bonus_due
      FROM top_ups u
      LEFT JOIN transfers t ON t.id = u.id AND t.kind = 'TOP_UP' AND t.id > p_after AND t.id <= p_last
      LEFT JOIN currencies c ON c.id = t.currency_id
      LEFT JOIN lots l ON l.source_id = u.id AND l.source_id > p_after AND l.source_id <= p_last
      LEFT JOIN transfers b ON b.refers_id = u.id AND b.kind = 'EARN' AND b.refers_id > p_after AND b.refers_id <= p_last
     WHERE u.id > p_after AND u.id <= p_last
  ), wrong AS MATERIALIZED (
    SELECT o.id, c.*
      FROM told o CROSS JOIN LATERAL (VALUES
        (1, o.kind IS NULL, 'transfer', NULL, 'a TOP_UP'),
        (2, o.member_id <> o.payer, 'member', o.member_id::text, o.payer::text),
        (3, o.program_code || ' CASH' <> o.currency, 'program', o.program_code, o.currency),
        (4, o.amount <> o.put_in, 'amount', o.amount::text, o.put_in::text),
        (5, o.bonus <> o.bonus_due, 'bonus', o.bonus::text, o.bonus_due::text),
        (6, o.bonus_transfer_id IS DISTINCT FROM o.bonus_due_id, 'bonus transfer', o.bonus_transfer_id::text,
         o.bonus_due_id::text),
        (7, o.cause_type = 'payment' AND o.payment_reference <> o.cause_id, 'payment', o.payment_reference, o.cause_id),
        (8, o.paid_at <> o.earned_at, 'paid at', o.paid_at::text, o.earned_at::text),
        (9, o.created_at <> o.posted_at, 'created at', o.created_at::text, o.posted_at::text)
      ) AS c (rank, broken, rule, stored, expected)
     WHERE c.broken
  )
  SELECT 'top_ups', id::text, rule, stored, expected FROM wrong ORDER BY wrong.id, rank LIMIT 1
$$;
