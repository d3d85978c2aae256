-- The lock that every command takes before it moves anything of a member. Follows a merge to the survivor.
-- Answers no row for an unknown member.
CREATE FUNCTION engage.members_lock(p_member uuid) RETURNS TABLE (id uuid, state text) LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := p_member;
  v_state text;
  v_into uuid;
BEGIN
  LOOP
    SELECT m.state, m.merged_into_id INTO v_state, v_into FROM members m WHERE m.id = v_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    EXIT WHEN v_into IS NULL;
    v_id := v_into;
  END LOOP;
  RETURN QUERY SELECT v_id, v_state;
END $$;

-- The same for many members at once, in sorted order.
CREATE FUNCTION engage.members_lock_all(p_members uuid[]) RETURNS TABLE (id uuid, state text) LANGUAGE sql AS $$
  SELECT m.id, m.state FROM members m WHERE m.id = ANY (p_members) ORDER BY m.id FOR NO KEY UPDATE
$$;

-- The lock without waiting: answers those of the members whom nobody else holds now. For sweeps, which can come again.
CREATE FUNCTION engage.members_try_lock(p_members uuid[]) RETURNS SETOF uuid LANGUAGE sql AS $$
  SELECT id FROM members WHERE id = ANY (p_members) FOR NO KEY UPDATE SKIP LOCKED
$$;

-- When points of a program earned at a moment expire by its policy: calendar arithmetic in the program's zone, so that
-- 31 January and one month is the last day of February. NULL means never.
CREATE FUNCTION engage.program_expiry(p_program text, p_earned_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT (p_earned_at AT TIME ZONE time_zone + points_valid_for::interval) AT TIME ZONE time_zone
    FROM programs WHERE code = p_program
$$;

CREATE FUNCTION engage.program_id(p_program text) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT id FROM programs WHERE code = p_program
$$;

CREATE FUNCTION engage.program_zone(p_program text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT time_zone FROM programs WHERE code = p_program
$$;

-- Who is known under these identities; survivors of merges stand for those whom they absorbed.
-- LATERAL with LIMIT keeps each look-up on its index, also under a plan made when the tables were small.
CREATE FUNCTION engage.members_by_identity(p_channels text[], p_identifiers text[])
RETURNS TABLE (channel text, identifier text, member_id uuid) LANGUAGE sql STABLE AS $$
  SELECT q.channel, q.identifier, coalesce(m.merged_into_id, m.id)
    FROM unnest(p_channels, p_identifiers) AS q (channel, identifier)
    CROSS JOIN LATERAL (
      SELECT x.member_id FROM identities x WHERE x.channel = q.channel AND x.identifier = q.identifier LIMIT 1) i
    CROSS JOIN LATERAL (SELECT x.id, x.merged_into_id FROM members x WHERE x.id = i.member_id LIMIT 1) m
$$;

-- A member's profile as JSON, by id; no row for an unknown one.
CREATE FUNCTION engage.members_profiles(p_members uuid[])
RETURNS TABLE (key text, value json) LANGUAGE sql STABLE AS $$
  SELECT m.id::text, json_build_object(
      'id', m.id, 'state', m.state, 'display_name', m.display_name, 'locale', m.locale, 'birthday', m.birthday,
      'created_at', m.created_at,
      'identities', (
        SELECT coalesce(json_agg(json_build_object(
                 'channel', i.channel, 'identifier', i.identifier, 'verified_at', i.verified_at)
               ORDER BY i.channel, i.identifier), '[]')
          FROM identities i WHERE i.member_id = m.id))
    FROM members m WHERE m.id = ANY (p_members)
$$;
