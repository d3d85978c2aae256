-- What `engage db migrate` runs. Written from 0003_outbox.py by `make migrations`.

-- Add field lease to OutboxRow
ALTER TABLE "outbox" ADD COLUMN "lease" INT NOT NULL DEFAULT 0;

-- Run SQL
CREATE INDEX outbox_in_order ON outbox (handler, stream, ((payload ->> 'position')::bigint)) WHERE finished_at IS NULL AND dead_at IS NULL;
