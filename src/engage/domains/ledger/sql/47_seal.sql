-- History is sealed in blocks, off the hot path: a block holds hashes of the transfers that follow the block before, up
-- to its own last one, in the order of the transactions that wrote them. A transaction takes its number early and may
-- commit late, so only what is older than every running transaction is sealed: nothing can come in before it any more.

-- What is sealed of each transfer in a range, as a hash of its text: all its columns; its entries, its allocations; and
-- of the lots that it made what never changes. An array's text tells NULL from a word, and where each value ends; moments
-- are seconds, so that no setting changes them. What may be erased (`transfer_notes`) is not in it.
CREATE FUNCTION engage.ledger_leaves(p_after_tx bigint, p_after_id uuid, p_last_tx bigint, p_last_id uuid)
RETURNS TABLE (tx bigint, id uuid, hash bytea) LANGUAGE sql STABLE AS $$
  SELECT t.tx, t.id, sha256(convert_to(
      'transfer' || ARRAY[t.tx::text, t.id::text, t.member_id::text, t.currency_id::text, t.account_id::text,
                          t.kind::text, t.amount::text, t.reason::text, t.cause_type::text, t.cause_id::text,
                          t.actor_id::text, t.reverses_id::text, t.refers_id::text, extract(epoch FROM t.posted_at)::text,
                          t.balance_after::text, t.version_after::text]::text
      || coalesce((
        SELECT string_agg(E'\nentry' || ARRAY[e.id::text, e.account_id::text, e.bucket::text, e.amount::text,
                                              e.balance_after::text, e.version::text]::text, '' ORDER BY e.id)
          FROM entries e WHERE e.transfer_id = t.id), '')
      || coalesce((
        SELECT string_agg(E'\nallocation' || ARRAY[a.id::text, a.lot_id::text, a.amount::text, a.held::text]::text, '' ORDER BY a.id)
          FROM allocations a WHERE a.transfer_id = t.id), '')
      || coalesce((
        SELECT string_agg(E'\nlot' || ARRAY[l.id::text, l.account_id::text, l.member_id::text, l.amount::text,
                                            extract(epoch FROM l.earned_at)::text, l.origin_lot_id::text, l.hops::text]::text, ''
                          ORDER BY l.id)
          FROM lots l WHERE l.source_id = t.id), ''), 'UTF8'))
    FROM transfers t
   WHERE t.tx BETWEEN p_after_tx AND p_last_tx
     AND (t.tx, t.id) > (p_after_tx, p_after_id) AND (t.tx, t.id) <= (p_last_tx, p_last_id)
$$;

-- What a block of this range holds. However large the ledger is, a range is found by its index.
CREATE FUNCTION engage.ledger_block_content(
  p_after_tx bigint, p_after_id uuid, p_last_tx bigint, p_last_id uuid, OUT count int, OUT leaves bytea, OUT content bytea
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
BEGIN
  WITH sealed AS MATERIALIZED (
    SELECT * FROM engage.ledger_leaves(p_after_tx, p_after_id, p_last_tx, p_last_id)
  )
  SELECT count(*), coalesce(string_agg(uuid_send(s.id) || substring(s.hash FOR 8), ''::bytea ORDER BY s.tx, s.id), ''),
         sha256(coalesce(string_agg(s.hash, ''::bytea ORDER BY s.tx, s.id), ''))
    INTO count, leaves, content FROM sealed s;
END $$;

CREATE FUNCTION engage.ledger_block_digest(
  p_format int, p_height bigint, p_last_tx bigint, p_last_id uuid, p_count int, p_content bytea, p_previous bytea,
  p_sealed_at timestamptz
) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(convert_to(ARRAY[p_format::text, p_height::text, p_last_tx::text, p_last_id::text, p_count::text,
    encode(p_content, 'hex'), encode(p_previous, 'hex'), extract(epoch FROM p_sealed_at)::text]::text, 'UTF8'))
$$;

-- The transfer that a block ends with; where there is no such block, what comes before all transfers.
CREATE FUNCTION engage.ledger_block_end(p_height bigint, OUT tx bigint, OUT id uuid) LANGUAGE sql STABLE AS $$
  SELECT coalesce(b.last_tx, -9223372036854775808), coalesce(b.last_id, '00000000-0000-0000-0000-000000000000')
    FROM (VALUES (p_height)) AS h (height) LEFT JOIN ledger_blocks b ON b.height = h.height
$$;

-- Seal the next block, of up to `p_limit` transfers. Whoever else seals waits, and goes on from there. Answers the
-- block, or nothing where nothing is due. It is to be called in a transaction that has written no transfer.
CREATE FUNCTION engage.ledger_seal(p_limit int, p_now timestamptz)
RETURNS TABLE (height bigint, count int, digest bytea) LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  v_height bigint; v_previous bytea; v_before record; v_last record; v_block record; v_bound bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('engage.ledger_seal'));
  PERFORM engage.ledger_raise_tx_base();
  SELECT b.height, b.digest INTO v_height, v_previous FROM ledger_blocks b ORDER BY b.height DESC LIMIT 1;
  v_height := coalesce(v_height, 0);
  v_before := engage.ledger_block_end(v_height);
  v_bound := public.ledger_tx_base() + pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
  SELECT n.tx, n.id INTO v_last FROM (
    SELECT t.tx, t.id FROM transfers t
     WHERE t.tx >= v_before.tx AND (t.tx, t.id) > (v_before.tx, v_before.id) AND t.tx < v_bound
     ORDER BY t.tx, t.id LIMIT p_limit) n ORDER BY n.tx DESC, n.id DESC LIMIT 1;
  IF NOT FOUND THEN RETURN; END IF;
  SELECT * INTO v_block FROM engage.ledger_block_content(v_before.tx, v_before.id, v_last.tx, v_last.id);
  RETURN QUERY
    INSERT INTO ledger_blocks AS b (height, format, last_tx, last_id, count, leaves, content, previous, digest, sealed_at)
      SELECT n.height, 1, v_last.tx, v_last.id, v_block.count, v_block.leaves, v_block.content, n.previous,
             engage.ledger_block_digest(1, n.height, v_last.tx, v_last.id, v_block.count, v_block.content, n.previous,
                                        p_now), p_now
        FROM (VALUES (v_height + 1, coalesce(v_previous, ''))) AS n (height, previous)
      RETURNING b.height, b.count, b.digest;
END $$;

-- A database that was restored from a dump is on a server that counts its transactions from elsewhere. Where the next
-- number would not be above all that are there, raise the base of the numbers. Answers whether it had to. Gateways and
-- workers may make no functions, so it runs as the owner.
CREATE FUNCTION engage.ledger_raise_tx_base() RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_last bigint;
BEGIN
  v_last := engage.ledger_tx_ahead();
  IF v_last IS NULL THEN RETURN false; END IF;
  PERFORM pg_advisory_xact_lock(hashtext('engage.ledger_raise_tx_base'));
  v_last := engage.ledger_tx_ahead();
  IF v_last IS NULL THEN RETURN false; END IF;
  EXECUTE format('CREATE OR REPLACE FUNCTION public.ledger_tx_base() RETURNS bigint LANGUAGE sql STABLE AS %L',
                 format('SELECT %s::bigint', v_last + 1));
  RETURN true;
END $$;

-- The highest transaction that a transfer or a block tells, if the server has not come to it yet.
CREATE FUNCTION engage.ledger_tx_ahead() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT f.tx FROM (SELECT greatest((SELECT max(tx) FROM transfers),
                                    (SELECT last_tx FROM ledger_blocks ORDER BY height DESC LIMIT 1)) AS tx) f
   WHERE f.tx >= public.ledger_tx_base() + pg_snapshot_xmax(pg_current_snapshot())::text::bigint
$$;

CREATE TRIGGER ledger_blocks_are_history BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_blocks
  FOR EACH STATEMENT EXECUTE FUNCTION engage.refuse_change();

-- Blocks: their heights run 1, 2, 3 …; each names the digest of the one before, and has the digest of what it says.
CREATE FUNCTION engage.ledger_verify_links() RETURNS SETOF engage.ledger_finding LANGUAGE sql STABLE AS $$
  WITH linked AS (
    SELECT b.height, b.previous, b.digest, row_number() OVER w AS nth, coalesce(lag(b.digest) OVER w, '') AS before,
           engage.ledger_block_digest(b.format, b.height, b.last_tx, b.last_id, b.count, b.content, b.previous,
                                      b.sealed_at) AS due
      FROM ledger_blocks b WINDOW w AS (ORDER BY b.height)
  ), ruled AS (
    SELECT *, CASE WHEN height <> nth THEN 1 WHEN previous <> before THEN 2 WHEN digest <> due THEN 3 END AS broken
      FROM linked
  ), first_wrong AS (
    SELECT * FROM ruled WHERE broken IS NOT NULL ORDER BY height LIMIT 1
  )
  SELECT 'ledger_blocks', CASE broken WHEN 1 THEN nth ELSE height END::text,
         (ARRAY['height', 'previous digest', 'digest'])[broken],
         CASE broken WHEN 1 THEN NULL WHEN 2 THEN encode(previous, 'hex') ELSE encode(digest, 'hex') END,
         CASE broken WHEN 1 THEN nth::text WHEN 2 THEN encode(before, 'hex') ELSE encode(due, 'hex') END
    FROM first_wrong
$$;

-- One block: the transfers in its range are those that were sealed, and say what they said then. The first that was
-- altered, removed or put in since is named by what is left of its hash; where none was, it is the block that was.
CREATE FUNCTION engage.ledger_verify_block(p_height bigint) RETURNS SETOF engage.ledger_finding
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_nestloop = on AS $$
DECLARE
  v_before record; b ledger_blocks; v_found record;
BEGIN
  v_before := engage.ledger_block_end(p_height - 1);
  SELECT * INTO b FROM ledger_blocks WHERE height = p_height;
  SELECT * INTO v_found FROM engage.ledger_block_content(v_before.tx, v_before.id, b.last_tx, b.last_id);
  IF (v_found.leaves, v_found.content) = (b.leaves, b.content) THEN RETURN; END IF;
  RETURN QUERY
  WITH told AS (
    SELECT nth, encode(substring(b.leaves FROM 24 * nth - 23 FOR 16), 'hex')::uuid AS id,
           substring(b.leaves FROM 24 * nth - 7 FOR 8) AS hash
      FROM generate_series(1, octet_length(b.leaves) / 24) AS nth
  ), found AS (
    SELECT nth, encode(substring(v_found.leaves FROM 24 * nth - 23 FOR 16), 'hex')::uuid AS id,
           substring(v_found.leaves FROM 24 * nth - 7 FOR 8) AS hash
      FROM generate_series(1, v_found.count) AS nth
  ), differing AS (
    SELECT coalesce(t.nth, f.nth) AS nth, coalesce(t.id, f.id)::text AS id, encode(f.hash, 'hex') AS stored,
           encode(t.hash, 'hex') AS expected
      FROM told t FULL JOIN found f ON f.id = t.id
     WHERE t.hash IS DISTINCT FROM f.hash AND v_found.content <> b.content
  ), wrong (place, in_table, id, rule, stored, expected) AS (
    SELECT nth, 'transfers', id, 'hash in block ' || p_height, stored, expected FROM differing
    UNION ALL
    SELECT 2147483647, 'ledger_blocks', p_height::text, 'content', encode(b.content, 'hex'),
           encode(v_found.content, 'hex') WHERE v_found.content <> b.content
    UNION ALL
    SELECT 2147483647, 'ledger_blocks', p_height::text, 'leaves', encode(sha256(b.leaves), 'hex'),
           encode(sha256(v_found.leaves), 'hex') WHERE v_found.content = b.content
  )
  SELECT w.in_table, w.id, w.rule, w.stored, w.expected FROM wrong w ORDER BY w.place, w.id LIMIT 1;
END $$;
