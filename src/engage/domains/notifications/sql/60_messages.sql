CREATE FUNCTION engage.message_row(g messages) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object('id', g.id, 'code', g.code, 'params', g.params, 'created_at', g.created_at,
                           'read_at', g.read_at)
$$;

-- A page of a member's inbox, newest first, below an id (UUIDv7 sorts by time). One row more than asked for tells that
-- there are more. Answers (key = member id, value = JSON array).
CREATE FUNCTION engage.messages_pages(p_members uuid[], p_first int, p_below uuid, p_unread_only boolean)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT m::text, (
      SELECT coalesce(json_agg(engage.message_row(x.g) ORDER BY (x.g).id DESC), '[]')
        FROM (SELECT g FROM messages g
               WHERE g.member_id = m AND g.id < p_below AND (NOT p_unread_only OR g.read_at IS NULL)
               ORDER BY g.id DESC LIMIT p_first + 1) x)
    FROM unnest(p_members) AS m
$$;

CREATE FUNCTION engage.messages_unread(p_members uuid[])
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT member_id::text, to_json(count(*)) FROM messages
   WHERE member_id = ANY (p_members) AND read_at IS NULL GROUP BY member_id
$$;
