-- Give the points of orders that were just put on file, in the order given, and say that they are recorded. The caller
-- holds the members' locks. Answers the events in order; those of the earnings carry the order's number in `line`.
CREATE FUNCTION engage.earning_post(
  p_program text, p_purchases uuid[], p_actor text, p_now timestamptz, p_handlers jsonb
) RETURNS TABLE (line bigint, stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
DECLARE
  v_size int[] := ARRAY[cardinality(p_purchases)];
BEGIN
  RETURN QUERY SELECT e.* FROM (
      SELECT array_agg(p.member_id ORDER BY g.ord) AS members, array_agg(engage.uuid7(p_now)) AS transfers,
             array_agg(p.points ORDER BY g.ord) AS points, array_agg(p.purchased_at ORDER BY g.ord) AS earned
        FROM unnest(p_purchases) WITH ORDINALITY AS g (id, ord)
       CROSS JOIN LATERAL (SELECT x.member_id, x.points, x.purchased_at FROM purchases x WHERE x.id = g.id LIMIT 1) p
    ) a, engage.ledger_post_earnings(
      p_program, a.members, a.transfers, a.points, a.earned, a.earned, array_fill(NULL::timestamptz, v_size),
      array_fill('PURCHASE'::text, v_size), array_fill('purchase'::text, v_size), p_purchases::text[],
      p_actor, p_now, p_handlers) e;
  RETURN QUERY SELECT NULL::bigint, r.* FROM engage.purchases_say_recorded(p_program, p_purchases, p_now, p_handlers) r;
END $$;

-- The same for a file of orders, where nobody asks for each one's balance. Answers the newest event of each stream,
-- which is enough to ring: subscribers read what came before it from the log. `expired` is the sum of these points
-- that had expired already; it stands in every row.
CREATE FUNCTION engage.earning_post_many(
  p_program text, p_purchases uuid[], p_actor text, p_now timestamptz, p_handlers jsonb
) RETURNS TABLE (stream text, "position" bigint, name text, data jsonb, expired bigint) LANGUAGE sql AS $$
  WITH said AS MATERIALIZED (
    SELECT e.*, max(e.ord) FILTER (WHERE e.line IS NOT NULL) OVER () AS last_earned
      FROM engage.earning_post(p_program, p_purchases, p_actor, p_now, p_handlers)
           WITH ORDINALITY AS e (line, stream, "position", name, data, ord)
  )
  SELECT DISTINCT ON (s.stream) s.stream, s.position, s.name, s.data, (
      SELECT coalesce(-sum((x.data ->> 'amount')::bigint), 0)::bigint FROM said x
       WHERE x.name = 'ledger.points_expired.v1' AND x.ord > x.last_earned)
    FROM said s ORDER BY s.stream, s.position DESC
$$;
