-- The epoch of all positions: changes when the database is another one (restore), another timeline (failover), or
-- when an operator says so (`engage db epoch --new`). Positions of another epoch mean nothing.
-- The timeline is that of the write-ahead log: the checkpoint's lags behind a promotion.
CREATE FUNCTION engage.epoch() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT left(md5(e.token || s.system_identifier ||
           CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END), 12)
    FROM stream_epoch e, pg_control_system() s
$$;

-- To whom an event is carried beside its handlers: one row of the outbox for each, if any.
CREATE FUNCTION engage.routes_of(p_name text) RETURNS TABLE (handler text, target text) LANGUAGE sql STABLE AS $$
  SELECT DISTINCT r.handler::text, r.target::text FROM outbox_routes r WHERE r.event IN (p_name, '*')
$$;

-- One event: its position is the stream's next one. Takes the stream's head, so it comes last in a command.
-- `p_handlers` is a JSON object, event name to array of handlers: each gets a row in the outbox.
CREATE FUNCTION engage.record_event(
  p_id uuid, p_stream text, p_name text, p_data jsonb, p_now timestamptz, p_handlers jsonb
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_position bigint;
BEGIN
  INSERT INTO stream_heads AS h (id, position) VALUES (p_stream, 1)
    ON CONFLICT (id) DO UPDATE SET position = h.position + 1
    RETURNING position INTO v_position;
  INSERT INTO events (id, stream, position, name, data, recorded_at)
    VALUES (p_id, p_stream, v_position, p_name, p_data, p_now);
  IF p_handlers ? p_name THEN
    INSERT INTO outbox (id, handler, event_id, stream, payload, created_at, due_at)
      SELECT engage.uuid7(p_now), handler, p_id, p_stream,
             jsonb_build_object('name', p_name, 'position', v_position, 'data', p_data), p_now, p_now
        FROM jsonb_array_elements_text(p_handlers -> p_name) AS handler;
  END IF;
  IF EXISTS (SELECT FROM outbox_routes WHERE event IN (p_name, '*')) THEN
    INSERT INTO outbox (id, handler, target, event_id, stream, payload, created_at, due_at)
      SELECT engage.uuid7(p_now), r.handler, r.target, p_id, p_stream,
             jsonb_build_object('name', p_name, 'position', v_position, 'data', p_data), p_now, p_now
        FROM engage.routes_of(p_name) r;
  END IF;
  RETURN v_position;
END $$;

-- Many events at once, of any streams, in the order given. Heads are taken in sorted order, so that two such calls
-- never wait for each other in a circle.
CREATE FUNCTION engage.record_events(
  p_streams text[], p_names text[], p_data jsonb[], p_now timestamptz, p_handlers jsonb
) RETURNS TABLE (stream text, "position" bigint, name text, data jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH given AS (
    SELECT g.stream, g.name, g.data, g.ord,
           row_number() OVER (PARTITION BY g.stream ORDER BY g.ord) AS nth
      FROM unnest(p_streams, p_names, p_data) WITH ORDINALITY AS g (stream, name, data, ord)
  ), counted AS (
    SELECT stream, count(*) AS n FROM given GROUP BY stream ORDER BY stream
  ), heads AS (
    INSERT INTO stream_heads AS h (id, position) SELECT c.stream, c.n FROM counted c ORDER BY c.stream
      ON CONFLICT (id) DO UPDATE SET position = h.position + excluded.position
      RETURNING h.id, h.position
  ), placed AS (
    SELECT engage.uuid7(p_now) AS id, g.stream, h.position - c.n + g.nth AS position, g.name, g.data, g.ord
      FROM given g JOIN counted c ON c.stream = g.stream JOIN heads h ON h.id = g.stream
  ), logged AS (
    INSERT INTO events (id, stream, position, name, data, recorded_at)
      SELECT p.id, p.stream, p.position, p.name, p.data, p_now FROM placed p
  ), promised AS (
    INSERT INTO outbox (id, handler, event_id, stream, payload, created_at, due_at)
      SELECT engage.uuid7(p_now), handler.value, p.id, p.stream,
             jsonb_build_object('name', p.name, 'position', p.position, 'data', p.data), p_now, p_now
        FROM placed p, jsonb_array_elements_text(p_handlers -> p.name) AS handler
  ), routed AS (
    INSERT INTO outbox (id, handler, target, event_id, stream, payload, created_at, due_at)
      SELECT engage.uuid7(p_now), r.handler, r.target, p.id, p.stream,
             jsonb_build_object('name', p.name, 'position', p.position, 'data', p.data), p_now, p_now
        FROM placed p, engage.routes_of(p.name) r
  )
  SELECT p.stream, p.position, p.name, p.data FROM placed p ORDER BY p.ord;
END $$;

CREATE TRIGGER events_are_history BEFORE UPDATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();
