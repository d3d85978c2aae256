-- What `engage db migrate` runs. Written from 0009_seal.py by `make migrations`.

-- Run SQL
CREATE FUNCTION public.ledger_tx_base() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 0::bigint';

-- Add field tx to Transfer
ALTER TABLE "transfers" ADD COLUMN "tx" BIGINT NOT NULL DEFAULT 0;

-- Alter field tx on Transfer
COMMENT ON COLUMN "transfers"."tx" IS 'The transaction that wrote it; orders what is sealed.';
ALTER TABLE "transfers" ALTER COLUMN "tx" SET DEFAULT public.ledger_tx_base() + pg_current_xact_id()::text::bigint;

-- Create model LedgerBlock
CREATE TABLE "ledger_blocks" (
    "height" BIGSERIAL NOT NULL PRIMARY KEY,
    "format" SMALLINT NOT NULL,
    "last_tx" BIGINT NOT NULL,
    "last_id" UUID NOT NULL,
    "count" INT NOT NULL,
    "leaves" BYTEA NOT NULL,
    "content" BYTEA NOT NULL,
    "previous" BYTEA NOT NULL,
    "digest" BYTEA NOT NULL,
    "sealed_at" TIMESTAMPTZ NOT NULL
);
COMMENT ON COLUMN "ledger_blocks"."height" IS '1, 2, 3 …';
COMMENT ON COLUMN "ledger_blocks"."format" IS 'How hashes are made; 1 at present.';
COMMENT ON COLUMN "ledger_blocks"."last_tx" IS 'With last_id: the last transfer of the block.';
COMMENT ON COLUMN "ledger_blocks"."count" IS 'How many transfers it has.';
COMMENT ON COLUMN "ledger_blocks"."leaves" IS 'For each, 16 bytes of its id and 8 of its hash.';
COMMENT ON COLUMN "ledger_blocks"."content" IS 'The hash of all their hashes.';
COMMENT ON COLUMN "ledger_blocks"."previous" IS 'The digest of the block before.';
COMMENT ON COLUMN "ledger_blocks"."digest" IS 'The hash of all the other columns but leaves.';
COMMENT ON TABLE "ledger_blocks" IS 'Transfers as they were when they were sealed, each block bound to the one before. Immutable.';

-- Run SQL
CREATE INDEX transfers_in_order ON transfers (tx, id);

-- Run SQL
ALTER TABLE ledger_blocks ALTER COLUMN leaves SET STORAGE EXTERNAL;
