-- What `engage db migrate` runs. Written from 0010_bulk_points.py by `make migrations`.

-- Create model BulkCorrection
CREATE TABLE "bulk_corrections" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "program_code" VARCHAR(32) NOT NULL,
    "reason" VARCHAR(64) NOT NULL,
    "rows" BIGINT NOT NULL,
    "added" BIGINT NOT NULL,
    "removed" BIGINT NOT NULL,
    "state" VARCHAR(16) NOT NULL,
    "asked_by" VARCHAR(80) NOT NULL,
    "asked_at" TIMESTAMPTZ NOT NULL,
    "decided_by" VARCHAR(80),
    "decided_at" TIMESTAMPTZ
);
COMMENT ON COLUMN "bulk_corrections"."added" IS 'Points that it gives, as far as its rows can be read.';
COMMENT ON COLUMN "bulk_corrections"."removed" IS 'Points that it takes away, likewise.';
COMMENT ON COLUMN "bulk_corrections"."state" IS 'WAITING: WAITING\nAPPROVED: APPROVED\nREJECTED: REJECTED';
COMMENT ON TABLE "bulk_corrections" IS 'A bulk correction that waits for a second person, or was decided. Its id is that of its job.';

-- Run SQL
CREATE INDEX bulk_corrections_waiting ON bulk_corrections (program_code, id) WHERE state = 'WAITING';
