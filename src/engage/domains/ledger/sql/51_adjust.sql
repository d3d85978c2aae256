-- Bulk work on members whose locks the caller holds.

-- Post corrections, one after another in the order given, each under a key of its own: below zero takes points away.
-- Answers each one as the command for one would: what was posted, or the refusal, which does not touch the others.
CREATE FUNCTION engage.ledger_adjust_many(
  p_program text, p_keys uuid[], p_hashes bytea[], p_keep timestamptz, p_transfers uuid[], p_members uuid[],
  p_amounts bigint[], p_expires timestamptz[], p_reasons text[], p_cause_types text[], p_cause_ids text[],
  p_notes text[], p_states text[], p_actor text, p_now timestamptz, p_handlers jsonb
) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
  c engage.ledger_call; m engage.ledger_memo; v_answer jsonb;
BEGIN
  FOR i IN 1..cardinality(p_members) LOOP
    c := ROW(p_keys[i], p_hashes[i], p_keep, p_actor, p_now, p_handlers);
    m := ROW(p_transfers[i], p_reasons[i], p_cause_types[i], p_cause_ids[i]);
    IF p_amounts[i] > 0 THEN
      v_answer := engage.ledger_earn(c, m, p_members[i], p_program, p_amounts[i], NULL, p_expires[i], false,
                                     'ADJUST_UP', 'ADJUSTED', p_states);
    ELSE
      v_answer := engage.ledger_spend(c, m, p_members[i], p_program, -p_amounts[i], 'ADJUST_DOWN', 'ADJUSTED',
                                      'POINTS', p_states);
    END IF;
    IF p_notes[i] IS NOT NULL AND v_answer -> 'replayed' = 'false' THEN
      PERFORM engage.ledger_note(ARRAY[p_transfers[i]], ARRAY[(v_answer ->> 'member_id')::uuid], ARRAY[p_notes[i]]);
    END IF;
    RETURN NEXT v_answer;
  END LOOP;
END $$;

-- Keep words beside transfers.
CREATE FUNCTION engage.ledger_note(p_transfers uuid[], p_members uuid[], p_texts text[]) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO transfer_notes (id, transfer_id, member_id, text)
    SELECT n.transfer, n.transfer, n.member, n.text FROM unnest(p_transfers, p_members, p_texts)
           AS n (transfer, member, text) WHERE n.text IS NOT NULL
$$;

-- How many points members have in a program, whether they can be used or not. No row for one who never had any.
-- LATERAL with LIMIT keeps each look-up on its index, also under a plan made when the tables were small.
CREATE FUNCTION engage.ledger_holdings(p_program text, p_members uuid[])
RETURNS TABLE (member_id uuid, points bigint) LANGUAGE sql STABLE AS $$
  SELECT m.id, a.points
    FROM (SELECT engage.ledger_currency(p_program) AS id) c, (SELECT DISTINCT unnest(p_members) AS id) m
   CROSS JOIN LATERAL (SELECT x.available + x.pending + x.held AS points FROM accounts x
                        WHERE x.member_id = m.id AND x.currency_id = c.id LIMIT 1) a
$$;
