-- Streams: the positions of the events that are kept run without a gap up to the head. Positions are unique, so that
-- their number and their ends tell; only a stream that is wrong is looked at event by event.
CREATE FUNCTION engage.ledger_verify_streams(p_after text, p_last text) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  WITH kept AS (
    SELECT e.stream, h.id, h.kept_from, h.position, count(*) AS n, min(e.position) AS lowest, max(e.position) AS highest
      FROM events e LEFT JOIN stream_heads h ON h.id = e.stream AND h.id > p_after AND h.id <= p_last
     WHERE e.stream > p_after AND e.stream <= p_last AND (e.position >= h.kept_from OR h.id IS NULL)
     GROUP BY e.stream, h.id, h.kept_from, h.position
  ), first_wrong AS (
    SELECT stream, id, kept_from FROM kept
     WHERE id IS NULL OR n <> position - kept_from + 1 OR lowest <> kept_from OR highest <> position
    UNION ALL
    SELECT h.id, h.id, h.kept_from FROM stream_heads h
     WHERE h.id > p_after AND h.id <= p_last AND h.position >= h.kept_from
       AND NOT EXISTS (SELECT FROM events e WHERE e.stream = h.id AND e.position >= h.kept_from
                                              AND e.stream > p_after AND e.stream <= p_last)
     ORDER BY stream LIMIT 1
  ), numbered AS (
    SELECT e.id, e.position, w.stream, w.id IS NOT NULL AS headed,
           w.kept_from - 1 + row_number() OVER (ORDER BY e.position) AS due
      FROM first_wrong w CROSS JOIN LATERAL (
        SELECT * FROM events x WHERE x.stream = w.stream AND (x.position >= w.kept_from OR w.id IS NULL) OFFSET 0) e
  ), wrong AS (
    SELECT position AS at, 'events' AS in_table, id::text AS id, position::text AS stored,
           CASE WHEN headed THEN due::text ELSE 'a head of ' || stream END AS expected
      FROM numbered WHERE position IS DISTINCT FROM due
    UNION ALL
    SELECT NULL, 'stream_heads', h.id, h.position::text, (h.kept_from - 1 + (SELECT count(*) FROM numbered))::text
      FROM first_wrong w CROSS JOIN LATERAL (SELECT * FROM stream_heads x WHERE x.id = w.id OFFSET 0) h
  )
  SELECT in_table, id, 'position', stored, expected FROM wrong ORDER BY at NULLS LAST LIMIT 1
$$;

-- Events beyond the last head: streams that no head names.
CREATE FUNCTION engage.ledger_verify_headless(p_after text) RETURNS SETOF engage.ledger_finding
LANGUAGE sql STABLE AS $$
  SELECT 'events', id::text, 'position', position::text, 'a head of ' || stream
    FROM events WHERE stream > p_after ORDER BY stream, position LIMIT 1
$$;
