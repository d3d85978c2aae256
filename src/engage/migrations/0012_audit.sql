-- What `engage db migrate` runs. Written from 0012_audit.py by `make migrations`.

-- Create model AuditRow
CREATE TABLE "audit_log" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "at" TIMESTAMPTZ NOT NULL,
    "actor" VARCHAR(80) NOT NULL,
    "role" VARCHAR(16) NOT NULL,
    "via" VARCHAR(16) NOT NULL,
    "command" VARCHAR(64) NOT NULL,
    "subjects" JSONB NOT NULL,
    "member_id" UUID,
    "result" VARCHAR(64) NOT NULL,
    "request_id" VARCHAR(64),
    "address" VARCHAR(45),
    "credential" VARCHAR(80)
);
COMMENT ON COLUMN "audit_log"."actor" IS 'Subject of the token.';
COMMENT ON COLUMN "audit_log"."role" IS 'MEMBER: MEMBER\nSTAFF: STAFF\nMODERATOR: MODERATOR\nADMIN: ADMIN\nSERVICE: SERVICE';
COMMENT ON COLUMN "audit_log"."via" IS 'HTTP: HTTP\nWEBSOCKET: WEBSOCKET\nSSE: SSE\nCLI: CLI\nJOB: JOB\nINTERNAL: INTERNAL';
COMMENT ON COLUMN "audit_log"."subjects" IS 'Ids and codes among the arguments, by name.';
COMMENT ON COLUMN "audit_log"."member_id" IS 'Whom it is about.';
COMMENT ON COLUMN "audit_log"."result" IS 'OK, REPLAYED, the code of a refusal, or FAILED.';
COMMENT ON COLUMN "audit_log"."address" IS 'Of the client; may have to be erased.';
COMMENT ON COLUMN "audit_log"."credential" IS 'Id of the token or key.';
COMMENT ON TABLE "audit_log" IS 'Who did what to whom, from where, with which result. Append only; see `engage.base.audit`.';

-- Run SQL
CREATE INDEX audit_log_of_member ON audit_log (member_id, id) WHERE member_id IS NOT NULL;

-- Run SQL
CREATE INDEX audit_log_of_actor ON audit_log (actor, id);

-- Run SQL
CREATE INDEX audit_log_of_command ON audit_log (command, id);

-- Run SQL
CREATE INDEX audit_log_of_role ON audit_log (role, id);

-- Run SQL
CREATE INDEX audit_log_of_result ON audit_log (result, id) WHERE result <> 'OK';
