-- What `engage db migrate` runs. Written from 0013_access.py by `make migrations`.

-- Create model ApiKey
CREATE TABLE "api_keys" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "name" VARCHAR(80) NOT NULL,
    "role" VARCHAR(16) NOT NULL,
    "scopes" JSONB NOT NULL,
    "secret_hash" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL,
    "created_by" VARCHAR(80) NOT NULL,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "last_used_at" TIMESTAMPTZ,
    "revoked_at" TIMESTAMPTZ,
    "revoked_by" VARCHAR(80)
);
COMMENT ON COLUMN "api_keys"."role" IS 'Never MEMBER.';
COMMENT ON COLUMN "api_keys"."scopes" IS 'What it is confined to.';
COMMENT ON COLUMN "api_keys"."secret_hash" IS 'SHA-256 of the secret, which has 256 random bits.';
COMMENT ON TABLE "api_keys" IS 'What a till or a service comes with. Its secret is known to its bearer alone; here is a hash of it.';

-- Create model Revocation
CREATE TABLE "revocations" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "mark" VARCHAR(16) NOT NULL,
    "value" VARCHAR(80) NOT NULL,
    "revoked_at" TIMESTAMPTZ NOT NULL,
    "revoked_by" VARCHAR(80) NOT NULL,
    "keep_until" TIMESTAMPTZ NOT NULL
);
CREATE INDEX "idx_revocations_revoked_69625b" ON "revocations" ("revoked_at");
CREATE INDEX "idx_revocations_keep_un_021a50" ON "revocations" ("keep_until");
COMMENT ON COLUMN "revocations"."mark" IS 'TOKEN, SUBJECT, MEMBER or KEY.';
COMMENT ON COLUMN "revocations"."keep_until" IS 'No token that it is about holds any longer.';
COMMENT ON TABLE "revocations" IS 'What is no longer accepted. Gateways look for new rows all the time, and remember them.';
