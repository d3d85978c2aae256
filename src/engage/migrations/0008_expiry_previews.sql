-- What `engage db migrate` runs. Written from 0008_expiry_previews.py by `make migrations`.

-- Create model ExpiryPreview
CREATE TABLE "expiry_previews" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "program_code" VARCHAR(32) NOT NULL,
    "version" INT NOT NULL,
    "notice" VARCHAR(32) NOT NULL,
    "lots" BIGINT NOT NULL,
    "sooner" BIGINT NOT NULL,
    "later" BIGINT NOT NULL,
    "previewed_at" TIMESTAMPTZ NOT NULL,
    "previewed_by" VARCHAR(80) NOT NULL,
    "job_id" UUID
);
COMMENT ON COLUMN "expiry_previews"."notice" IS 'ISO 8601: nobody loses points sooner than after this.';
COMMENT ON COLUMN "expiry_previews"."sooner" IS 'Points that would expire sooner.';
COMMENT ON COLUMN "expiry_previews"."later" IS 'Points that would expire later, or never.';
COMMENT ON COLUMN "expiry_previews"."job_id" IS 'The job that applies it.';
COMMENT ON TABLE "expiry_previews" IS 'What a version would do to the points that are there, as somebody was shown it; needed to have it done.';

-- Add field fixed_end to Lot
ALTER TABLE "lots" ADD COLUMN "fixed_end" BOOL NOT NULL DEFAULT FALSE;

-- Run SQL
CREATE INDEX accounts_of_program ON accounts (currency_id, id) WHERE member_id IS NOT NULL;

-- Run SQL
DROP INDEX accounts_of_currency;
