-- What `engage db migrate` runs. Written from 0004_jobs.py by `make migrations`.

-- Create model JobFile
CREATE TABLE "job_files" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "job_id" UUID,
    "name" VARCHAR(255) NOT NULL,
    "bytes" BIGINT NOT NULL DEFAULT 0,
    "sha256" VARCHAR(64),
    "created_at" TIMESTAMPTZ NOT NULL
);
CREATE INDEX "idx_job_files_job_id_a1e6a7" ON "job_files" ("job_id");
CREATE INDEX "idx_job_files_created_10be79" ON "job_files" ("created_at");
COMMENT ON COLUMN "job_files"."job_id" IS 'None while it is being written.';
COMMENT ON COLUMN "job_files"."sha256" IS 'Of the whole; None while it is being written.';
COMMENT ON TABLE "job_files" IS 'A file that a job reads or has made; its content is in `job_file_parts`. Goes with its job.';

-- Create model JobFilePart
CREATE TABLE "job_file_parts" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "file_id" UUID NOT NULL,
    "number" INT NOT NULL,
    "content" BYTEA NOT NULL,
    CONSTRAINT "uid_job_file_pa_file_id_590c4b" UNIQUE ("file_id", "number")
);
COMMENT ON TABLE "job_file_parts" IS 'A piece of a file, numbered from 0.';

-- Create model JobResult
CREATE TABLE "job_results" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "job_id" UUID NOT NULL,
    "row" BIGINT NOT NULL,
    "code" VARCHAR(60) NOT NULL,
    "detail" JSONB NOT NULL,
    CONSTRAINT "uid_job_results_job_id_6bcb85" UNIQUE ("job_id", "row")
);
COMMENT ON TABLE "job_results" IS 'What became of one row of a job''s input; the first word on it stays.';

-- Create model JobRun
CREATE TABLE "job_runs" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "asked_by" VARCHAR(80),
    "steps" INT NOT NULL DEFAULT 0,
    "state" JSONB NOT NULL DEFAULT '{}',
    "rows_done" BIGINT NOT NULL DEFAULT 0,
    "rows_failed" BIGINT NOT NULL DEFAULT 0,
    "rows_total" BIGINT,
    "worked_ms" BIGINT NOT NULL DEFAULT 0,
    "began_at" TIMESTAMPTZ,
    "told_at" TIMESTAMPTZ
);
COMMENT ON COLUMN "job_runs"."worked_ms" IS 'In steps that committed; the rate counts by it.';
COMMENT ON COLUMN "job_runs"."told_at" IS 'Of the last checkpoint.';
COMMENT ON TABLE "job_runs" IS 'How far a job is: its last checkpoint and its counts. Same id as its row in the outbox, and goes with it.';

-- Create model OutboxLane
CREATE TABLE "outbox_lanes" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "handler" VARCHAR(120) NOT NULL,
    "target" VARCHAR(80) NOT NULL DEFAULT '',
    "paused_at" TIMESTAMPTZ,
    "paused_by" VARCHAR(80),
    "failures" INT NOT NULL DEFAULT 0,
    "failing_since" TIMESTAMPTZ,
    "not_before" TIMESTAMPTZ,
    "holding" JSONB,
    "tokens" DOUBLE PRECISION,
    "filled_at" TIMESTAMPTZ,
    CONSTRAINT "uid_outbox_lane_handler_0ab13b" UNIQUE ("handler", "target")
);
COMMENT ON COLUMN "outbox_lanes"."failures" IS 'In a row, of what is called; then one is tried at a time.';
COMMENT ON COLUMN "outbox_lanes"."not_before" IS 'Nothing is claimed until then.';
COMMENT ON COLUMN "outbox_lanes"."holding" IS 'Rows in flight, as of the last claim.';
COMMENT ON COLUMN "outbox_lanes"."tokens" IS 'Of the rate limit, as of filled_at.';
COMMENT ON TABLE "outbox_lanes" IS 'The rows of one handler and target: whether they wait, and what is left of their bounds.';

-- Create model OutboxRoute
CREATE TABLE "outbox_routes" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "event" VARCHAR(80) NOT NULL,
    "handler" VARCHAR(120) NOT NULL,
    "target" VARCHAR(80) NOT NULL,
    CONSTRAINT "uid_outbox_rout_event_50b3dd" UNIQUE ("event", "handler", "target")
);
COMMENT ON TABLE "outbox_routes" IS 'An event that a routed handler carries to a target. `*` is every event.';

-- Remove constraint from OutboxRow
ALTER TABLE "outbox" DROP CONSTRAINT "uid_outbox_event_i_f7a3c7";

-- Add field cancel_asked_at to OutboxRow
ALTER TABLE "outbox" ADD COLUMN "cancel_asked_at" TIMESTAMPTZ;

-- Add field key to OutboxRow
ALTER TABLE "outbox" ADD COLUMN "key" VARCHAR(120);

-- Add field target to OutboxRow
ALTER TABLE "outbox" ADD COLUMN "target" VARCHAR(80) NOT NULL DEFAULT '';

-- Add constraint to OutboxRow
ALTER TABLE "outbox" ADD CONSTRAINT "uid_outbox_event_i_7b3381" UNIQUE ("event_id", "handler", "target");

-- Add field offset_s to ScheduleTick
ALTER TABLE "schedule_ticks" ADD COLUMN "offset_s" INT;

-- Run SQL
CREATE UNIQUE INDEX outbox_key ON outbox (handler, key) WHERE key IS NOT NULL AND finished_at IS NULL AND dead_at IS NULL;

-- Run SQL
CREATE INDEX outbox_dead ON outbox (dead_at) WHERE dead_at IS NOT NULL;

-- Run SQL
CREATE INDEX outbox_done ON outbox (handler, target, id) WHERE finished_at IS NOT NULL;

-- Run SQL
CREATE INDEX outbox_buried ON outbox (handler, target, id) WHERE dead_at IS NOT NULL;

-- Run SQL
CREATE INDEX outbox_cancelled ON outbox (id) WHERE cancel_asked_at IS NOT NULL;

-- Run SQL
DROP INDEX outbox_undone;

-- Run SQL
CREATE INDEX outbox_undone ON outbox (handler, target, due_at) WHERE finished_at IS NULL AND dead_at IS NULL;

-- Run SQL
DROP INDEX outbox_in_order;

-- Run SQL
CREATE INDEX outbox_in_order ON outbox (handler, target, stream, ((payload ->> 'position')::bigint)) WHERE finished_at IS NULL AND dead_at IS NULL;

-- Run SQL
ALTER TABLE outbox_lanes SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- Run SQL
ALTER TABLE job_runs SET (fillfactor = 70);
