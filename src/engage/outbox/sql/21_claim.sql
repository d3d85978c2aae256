-- Leasing rows that are due. A lane is the rows of one handler and target; a kind with bounds (so many at once, so
-- many a minute) has a row in `outbox_lanes` for each of its lanes, and one worker at a time claims, so the bounds
-- hold over all workers. `holding` names what is in flight, as of the last claim: what has ended since is found
-- by primary key, so nothing has to be counted down when a worker dies.
CREATE FUNCTION engage.lanes_with_room(
  p_handlers text[], p_ordered boolean[], p_priorities int[], p_in_flight int[], p_per_minute int[], p_now timestamptz
) RETURNS TABLE (
  lane_id uuid, handler text, target text, ordered boolean, priority int, room int, held jsonb, tokens float8
) LANGUAGE sql STABLE AS $$
  SELECT l.id, k.handler, t.target, k.ordered, k.priority,
         least(CASE WHEN k.in_flight IS NULL THEN 1000
                    WHEN l.failures > 0 THEN 1 - jsonb_array_length(still.held)
                    ELSE k.in_flight - jsonb_array_length(still.held) END,
               CASE WHEN k.per_minute IS NULL THEN 1000 ELSE floor(bucket.tokens)::int END),
         still.held, bucket.tokens
    FROM unnest(p_handlers, p_ordered, p_priorities, p_in_flight, p_per_minute)
           AS k (handler, ordered, priority, in_flight, per_minute)
   CROSS JOIN LATERAL (
     SELECT '' AS target UNION SELECT n.target FROM outbox_lanes n WHERE n.handler = k.handler
   ) t
    LEFT JOIN outbox_lanes l ON l.handler = k.handler AND l.target = t.target
   CROSS JOIN LATERAL (
     SELECT coalesce(jsonb_agg(h.id), '[]') AS held
       FROM jsonb_array_elements_text(coalesce(l.holding, '[]')) AS h (id)
      WHERE EXISTS (SELECT FROM outbox o
                     WHERE o.id = h.id::uuid AND o.finished_at IS NULL AND o.dead_at IS NULL
                       AND o.leased_until > p_now)
   ) still
   CROSS JOIN LATERAL (
     SELECT least(greatest(k.per_minute / 6.0, 1),
                  coalesce(l.tokens, greatest(k.per_minute / 6.0, 1))
                  + k.per_minute * extract(epoch FROM p_now - coalesce(l.filled_at, p_now)) / 60)::float8 AS tokens
   ) bucket
   WHERE l.paused_at IS NULL AND (l.not_before IS NULL OR l.not_before <= p_now)
     AND NOT EXISTS (SELECT FROM outbox_lanes p
                      WHERE p.handler = k.handler AND p.target = '' AND p.paused_at IS NOT NULL)
$$;

-- Up to `p_limit` rows of the handlers given: by priority, then those due longest. A row of an ordered handler is
-- passed over while an earlier one of its stream and target is undone; that one was committed before, since positions
-- are taken in order of commit. Each lane is an index range of its own, so neither finished rows nor the backlog of a
-- lane that waits are read.
CREATE FUNCTION engage.claim_outbox(
  p_handlers text[], p_ordered boolean[], p_priorities int[], p_in_flight int[], p_per_minute int[],
  p_now timestamptz, p_until timestamptz, p_limit int
) RETURNS TABLE (id uuid, lease int, handler text, target text, attempts int) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF array_remove(p_in_flight || p_per_minute, NULL) <> '{}' THEN
    PERFORM pg_advisory_xact_lock(hashtext('engage.claim_outbox'));
  END IF;
  RETURN QUERY
  WITH lanes AS MATERIALIZED (
    SELECT * FROM engage.lanes_with_room(p_handlers, p_ordered, p_priorities, p_in_flight, p_per_minute, p_now)
     WHERE room > 0
  ), due AS (
    SELECT o.id, l.priority, o.due_at
      FROM lanes l
     CROSS JOIN LATERAL (
       SELECT o.id, o.due_at FROM outbox o
        WHERE o.handler = l.handler AND o.target = l.target AND o.due_at <= p_now
          AND o.finished_at IS NULL AND o.dead_at IS NULL AND (o.leased_until IS NULL OR o.leased_until <= p_now)
          AND (NOT l.ordered OR NOT EXISTS (
                SELECT FROM outbox e
                 WHERE e.handler = o.handler AND e.target = o.target AND e.stream = o.stream
                   AND e.finished_at IS NULL AND e.dead_at IS NULL
                   AND (e.payload ->> 'position')::bigint < (o.payload ->> 'position')::bigint))
        ORDER BY o.due_at LIMIT least(l.room, 2 * p_limit)
     ) o
  ), picked AS (
    SELECT o.id
      FROM (SELECT d.id FROM due d ORDER BY d.priority, d.due_at) d
     CROSS JOIN LATERAL (
       SELECT o.id FROM outbox o
        WHERE o.id = d.id AND o.due_at <= p_now AND o.finished_at IS NULL AND o.dead_at IS NULL
          AND (o.leased_until IS NULL OR o.leased_until <= p_now)
          FOR UPDATE SKIP LOCKED
     ) o
     LIMIT p_limit
  ), taken AS (
    UPDATE outbox o SET leased_until = p_until, lease = o.lease + 1, attempts = o.attempts + 1
     WHERE o.id = ANY (ARRAY(SELECT p.id FROM picked p))
    RETURNING o.id, o.lease, o.handler, o.target, o.attempts
  ), booked AS (
    UPDATE outbox_lanes b SET holding = l.held || t.ids, tokens = l.tokens - t.n, filled_at = p_now
      FROM lanes l
      JOIN (SELECT t.handler, t.target, jsonb_agg(t.id) AS ids, count(*) AS n FROM taken t GROUP BY 1, 2) t
        ON t.handler = l.handler AND t.target = l.target
      JOIN unnest(p_handlers, p_in_flight, p_per_minute) AS k (handler, in_flight, per_minute)
        ON k.handler = l.handler AND (k.in_flight IS NOT NULL OR k.per_minute IS NOT NULL)
     WHERE b.id = l.lane_id
  )
  SELECT t.id, t.lease, t.handler::text, t.target::text, t.attempts FROM taken t;
END $$;
