-- The lock that every command takes before it moves anything of a member. Follows a merge to the survivor, without
-- locking who was merged away.
-- Answers no row for an unknown member.
CREATE FUNCTION engage.members_lock(p_member uuid) RETURNS TABLE (id uuid, state text) LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := p_member;
  v_state text;
  v_into uuid;
BEGIN
  LOOP
    SELECT m.state INTO v_state FROM members m WHERE m.id = v_id AND m.merged_into_id IS NULL FOR NO KEY UPDATE;
    EXIT WHEN FOUND;
    SELECT m.merged_into_id INTO v_into FROM members m WHERE m.id = v_id;
    IF v_into IS NULL THEN RETURN; END IF;
    v_id := v_into;
  END LOOP;
  RETURN QUERY SELECT v_id, v_state;
END $$;

-- Those of the members who have not been merged away.
CREATE FUNCTION engage.members_present(p_members uuid[]) RETURNS uuid[] LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(id), '{}') FROM members WHERE id = ANY (p_members) AND merged_into_id IS NULL
$$;

-- The same for many members at once, in sorted order.
CREATE FUNCTION engage.members_lock_all(p_members uuid[]) RETURNS TABLE (id uuid, state text) LANGUAGE sql AS $$
  SELECT m.id, m.state FROM members m WHERE m.id = ANY (p_members) ORDER BY m.id FOR NO KEY UPDATE
$$;

-- The lock without waiting: answers the first so many of the members, in the order given, whom nobody else holds now.
-- For sweeps, which can come again.
CREATE FUNCTION engage.members_try_lock(p_members uuid[], p_limit int) RETURNS SETOF uuid LANGUAGE sql AS $$
  SELECT m.id FROM unnest(p_members) WITH ORDINALITY AS g (id, ord) JOIN members m ON m.id = g.id
   ORDER BY g.ord LIMIT p_limit FOR NO KEY UPDATE OF m SKIP LOCKED
$$;

-- Whether one member was merged into another, at once or by way of others.
CREATE FUNCTION engage.member_merged(p_member uuid, p_into uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  WITH RECURSIVE line (id) AS (
    SELECT p_member
    UNION
    SELECT m.merged_into_id FROM line l JOIN members m ON m.id = l.id WHERE m.merged_into_id IS NOT NULL
  )
  SELECT EXISTS (SELECT FROM line WHERE id = p_into)
$$;

-- Since when a member is frozen; NULL for one who is not.
CREATE FUNCTION engage.member_frozen_at(p_member uuid) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT frozen_at FROM members WHERE id = p_member
$$;

-- The language of texts for a member.
CREATE FUNCTION engage.member_locale(p_member uuid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT locale FROM members WHERE id = p_member
$$;

-- The lock for many members as they are named: answers who each one is by now, who may have been merged away.
CREATE FUNCTION engage.members_lock_named(p_members uuid[])
RETURNS TABLE (named uuid, id uuid, state text, frozen_at timestamptz) LANGUAGE sql AS $$
  SELECT m.id, coalesce(s.id, m.id), coalesce(s.state, m.state),
         engage.member_frozen_at(coalesce(s.id, m.id))
    FROM (SELECT x.id, x.state, x.merged_into_id FROM members x WHERE x.id = ANY (p_members)
           ORDER BY x.id FOR NO KEY UPDATE) m
    LEFT JOIN LATERAL engage.members_lock(m.merged_into_id) s ON m.merged_into_id IS NOT NULL
$$;

-- What a program itself says of its points, where no policy of theirs was published. No row for an unknown one.
CREATE FUNCTION engage.program_terms(p_program text)
RETURNS TABLE (id uuid, created_at timestamptz, points_valid_for text) LANGUAGE sql STABLE AS $$
  SELECT id, created_at, points_valid_for FROM programs WHERE code = p_program
$$;

CREATE FUNCTION engage.program_id(p_program text) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT id FROM programs WHERE code = p_program
$$;

CREATE FUNCTION engage.program_zone(p_program text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT time_zone FROM programs WHERE code = p_program
$$;

-- The currency of money that a program's purchases and stored value are in (ISO 4217).
CREATE FUNCTION engage.program_money(p_program text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT money_currency FROM programs WHERE code = p_program
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
