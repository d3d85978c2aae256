-- Ids made in the database, for set-based work only: UUIDv7 (RFC 9562, 5.7) of a given moment, on PostgreSQL 15 too.
CREATE FUNCTION engage.uuid7(p_now timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send((extract(epoch FROM p_now) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

-- The first answer of a command, NULL when its key is new, or the refusal when the key was used with other input.
CREATE FUNCTION engage.idempotency_find(p_key uuid, p_input_hash bytea) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN input_hash = p_input_hash THEN answer || '{"replayed": true}'
              ELSE '{"refusal": "IDEMPOTENCY_CONFLICT"}' END
    FROM idempotency_answers WHERE id = p_key
$$;

CREATE FUNCTION engage.idempotency_save(p_key uuid, p_input_hash bytea, p_answer jsonb, p_until timestamptz)
RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO idempotency_answers (id, input_hash, answer, keep_until)
  VALUES (p_key, p_input_hash, p_answer, p_until)
$$;

-- Rows of history are never changed: a trigger on their tables says so to everyone, the owner included.
CREATE FUNCTION engage.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
