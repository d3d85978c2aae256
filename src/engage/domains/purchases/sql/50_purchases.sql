-- A page of a member's purchases, newest first, below (purchased_at, id). One row more than asked for tells that there
-- are more. Answers (key = member id, value = JSON array).
CREATE FUNCTION engage.purchases_pages(p_members uuid[], p_first int, p_at timestamptz, p_id uuid)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT m::text, (
      SELECT coalesce(json_agg(json_build_object(
               'id', p.id, 'order_no', p.order_no, 'channel', p.channel, 'store', p.store, 'amount', p.amount::text,
               'currency', p.currency, 'quantity', p.quantity, 'points', p.points, 'purchased_at', p.purchased_at,
               'lines', (SELECT coalesce(json_agg(json_build_object(
                                  'item', l.item, 'category', l.category, 'brand', l.brand, 'quantity', l.quantity,
                                  'amount', l.amount::text) ORDER BY l.line_no), '[]')
                           FROM purchase_lines l WHERE l.purchase_id = p.id))
               ORDER BY p.purchased_at DESC, p.id DESC), '[]')
        FROM (SELECT * FROM purchases x
               WHERE x.member_id = m AND (x.purchased_at, x.id) < (p_at, p_id)
               ORDER BY x.purchased_at DESC, x.id DESC LIMIT p_first + 1) p)
    FROM unnest(p_members) AS m
$$;
