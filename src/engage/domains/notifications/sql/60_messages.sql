CREATE FUNCTION engage.message_row(g messages) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object('id', g.id, 'code', g.code, 'params', g.params, 'created_at', g.created_at,
                           'read_at', g.read_at)
$$;

CREATE FUNCTION engage.messages_unread(p_members uuid[])
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT member_id::text, to_json(count(*)) FROM messages
   WHERE member_id = ANY (p_members) AND read_at IS NULL GROUP BY member_id
$$;
