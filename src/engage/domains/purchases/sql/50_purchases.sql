-- A purchase with its lines. Amounts are text, since a JSON number would lose decimals.
CREATE FUNCTION engage.purchase_row(p purchases) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object(
      'id', p.id, 'member_id', p.member_id, 'order_no', p.order_no, 'channel', p.channel, 'store', p.store,
      'amount', p.amount::text, 'currency', p.currency, 'quantity', p.quantity, 'points', p.points,
      'purchased_at', p.purchased_at,
      'lines', (SELECT coalesce(json_agg(json_build_object(
                         'item', l.item, 'category', l.category, 'brand', l.brand, 'quantity', l.quantity,
                         'amount', l.amount::text) ORDER BY l.line_no), '[]')
                  FROM purchase_lines l WHERE l.purchase_id = p.id))
$$;

-- Say that orders are on file, in the order given: `purchases.recorded.v1`, of ids, figures and codes. The amount is
-- text, since a JSON number would lose decimals. Takes stream positions, so it comes last in a command.
CREATE FUNCTION engage.purchases_say_recorded(p_program text, p_purchases uuid[], p_now timestamptz, p_handlers jsonb)
RETURNS TABLE (stream text, "position" bigint, name text, data jsonb) LANGUAGE sql AS $$
  SELECT e.* FROM (
      SELECT array_agg('member:' || p.member_id ORDER BY g.ord) AS streams,
             array_agg('purchases.recorded.v1'::text) AS names,
             array_agg(jsonb_build_object(
               'purchase_id', p.id, 'member_id', p.member_id, 'program', p_program, 'amount', trim_scale(p.amount)::text,
               'currency', p.currency, 'points', p.points, 'purchased_at', p.purchased_at) ORDER BY g.ord) AS data
        FROM unnest(p_purchases) WITH ORDINALITY AS g (id, ord)
       CROSS JOIN LATERAL (SELECT * FROM purchases x WHERE x.id = g.id LIMIT 1) p
    ) a, engage.record_events(a.streams, a.names, a.data, p_now, p_handlers) e
$$;
