-- What `engage db migrate` runs. Written from 0005_webhooks.py by `make migrations`.

-- Create model WebhookEndpoint
CREATE TABLE "webhook_endpoints" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "url" VARCHAR(500) NOT NULL,
    "description" VARCHAR(200) NOT NULL,
    "events" JSONB NOT NULL,
    "state" VARCHAR(16) NOT NULL,
    "secret" BYTEA NOT NULL,
    "former_secret" BYTEA,
    "former_until" TIMESTAMPTZ,
    "disabled_at" TIMESTAMPTZ,
    "disabled_reason" VARCHAR(16),
    "created_at" TIMESTAMPTZ NOT NULL,
    "created_by" VARCHAR(80) NOT NULL
);
COMMENT ON COLUMN "webhook_endpoints"."events" IS 'Wire names, or `*`; while not DISABLED, its routes are these.';
COMMENT ON COLUMN "webhook_endpoints"."state" IS 'ACTIVE, PAUSED or DISABLED.';
COMMENT ON COLUMN "webhook_endpoints"."former_until" IS 'The former secret signs too until then.';
COMMENT ON COLUMN "webhook_endpoints"."disabled_reason" IS 'GONE or FAILING.';
COMMENT ON COLUMN "webhook_endpoints"."created_by" IS 'Who asked for it: the subject of a token.';
COMMENT ON TABLE "webhook_endpoints" IS 'An address of others that is told what happens. Its secrets are sealed, see `engage.base.sealing`.';
