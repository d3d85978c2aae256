-- The audit log: rows are added and, once they are old, forgotten; nothing else.

-- A row as a statement brings it that is a whole command; all of it is NULL where nothing is to be written.
CREATE TYPE engage.audit_entry AS (
  id uuid, at timestamptz, actor text, role text, via text, command text, subjects jsonb, member_id uuid,
  request_id text, address text, credential text);

-- The answer as it is; what has an effect is recorded with it. Refusals are recorded when the caller has read them.
CREATE FUNCTION engage.audited(p_answer jsonb, e engage.audit_entry) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF e.id IS NULL OR p_answer ? 'refusal' THEN RETURN p_answer; END IF;
  INSERT INTO audit_log (id, at, actor, role, via, command, subjects, member_id, result, request_id, address,
                         credential)
    VALUES (e.id, e.at, e.actor, e.role, e.via, e.command,
            jsonb_strip_nulls(jsonb_build_object('transfer_id', p_answer -> 'transfer_id')) || e.subjects,
            coalesce((p_answer ->> 'member_id')::uuid, e.member_id),
            CASE WHEN (p_answer ->> 'replayed')::boolean THEN 'REPLAYED' ELSE 'OK' END, e.request_id, e.address,
            e.credential);
  RETURN p_answer;
END $$;

CREATE TRIGGER audit_log_is_history BEFORE UPDATE OR TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();

-- Nobody removes a row that is younger than this, by whatever function or setting.
CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON audit_log
  FOR EACH ROW WHEN (OLD.at > now() - interval '90 days') EXECUTE FUNCTION engage.refuse_change();

-- The first id of a moment: ids begin with the millisecond that they were made in.
CREATE FUNCTION engage.first_id(p_at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex(floor(extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Forget rows from before a moment, but for those that nobody removes: the one way for a role that may not DELETE.
CREATE FUNCTION engage.audit_prune(p_before timestamptz, p_limit int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH gone AS (
    DELETE FROM audit_log WHERE id = ANY (ARRAY(
      SELECT id FROM audit_log
       WHERE id < engage.first_id(least(p_before, now() - interval '90 days')) AND at <= now() - interval '90 days'
       ORDER BY id LIMIT p_limit))
    RETURNING 1
  ) SELECT count(*) FROM gone
$$;
