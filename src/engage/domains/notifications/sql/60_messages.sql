-- A page of a member's inbox, newest first, below an id (UUIDv7 sorts by time). One row more than asked for tells that
-- there are more. Answers (key = member id, value = JSON array).
CREATE FUNCTION engage.messages_pages(p_members uuid[], p_first int, p_below uuid, p_unread_only boolean)
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT m::text, (
      SELECT coalesce(json_agg(json_build_object('id', x.id, 'code', x.code, 'params', x.params,
               'created_at', x.created_at, 'read_at', x.read_at) ORDER BY x.id DESC), '[]')
        FROM (SELECT * FROM messages g
               WHERE g.member_id = m AND g.id < p_below AND (NOT p_unread_only OR g.read_at IS NULL)
               ORDER BY g.id DESC LIMIT p_first + 1) x)
    FROM unnest(p_members) AS m
$$;

CREATE FUNCTION engage.messages_unread(p_members uuid[])
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT member_id::text, to_json(count(*)) FROM messages
   WHERE member_id = ANY (p_members) AND read_at IS NULL GROUP BY member_id
$$;
