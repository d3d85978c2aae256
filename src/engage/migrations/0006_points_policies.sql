-- What `engage db migrate` runs. Written from 0006_points_policies.py by `make migrations`.

-- Create model PointsPolicy
CREATE TABLE "points_policies" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "program_id" UUID NOT NULL,
    "program_code" VARCHAR(32) NOT NULL,
    "version" INT NOT NULL,
    "effective_at" TIMESTAMPTZ NOT NULL,
    "published_at" TIMESTAMPTZ NOT NULL,
    "published_by" VARCHAR(80) NOT NULL,
    "expiry_kind" VARCHAR(16) NOT NULL,
    "expiry_after" VARCHAR(32),
    "expiry_round" VARCHAR(8) NOT NULL DEFAULT 'NONE',
    "expiry_month" INT,
    "expiry_day" INT,
    "expiry_period" VARCHAR(8),
    "expiry_count" INT,
    "expiry_activities" JSONB NOT NULL DEFAULT '["EARN", "SPEND"]',
    "returned_kind" VARCHAR(8) NOT NULL DEFAULT 'LOST',
    "returned_grace" VARCHAR(32),
    "hold_longest" VARCHAR(32) NOT NULL DEFAULT 'P30D',
    "gift_daily_points" BIGINT,
    "gift_daily_count" INT,
    "gift_fee_per_mille" INT NOT NULL DEFAULT 0,
    "gift_fee_fixed" BIGINT NOT NULL DEFAULT 0,
    "gift_expiry" VARCHAR(8) NOT NULL DEFAULT 'KEEP',
    "gift_accept_within" VARCHAR(32),
    "gift_hops_max" INT NOT NULL DEFAULT 1,
    "exchange_expiry" VARCHAR(8) NOT NULL DEFAULT 'RENEW',
    "adjust_alone_max" BIGINT,
    "top_up_bonus" JSONB NOT NULL DEFAULT '[]',
    "top_up_bonus_valid_for" VARCHAR(32),
    CONSTRAINT "uid_points_poli_program_045258" UNIQUE ("program_code", "version")
);
COMMENT ON COLUMN "points_policies"."version" IS '1, 2, 3 … in its program.';
COMMENT ON COLUMN "points_policies"."published_by" IS 'Who published it: the subject of a token.';
COMMENT ON COLUMN "points_policies"."expiry_kind" IS 'NEVER: NEVER\nROLLING: ROLLING\nFIXED: FIXED\nCALENDAR: CALENDAR\nINACTIVITY: INACTIVITY';
COMMENT ON COLUMN "points_policies"."expiry_after" IS 'For ROLLING and INACTIVITY.';
COMMENT ON COLUMN "points_policies"."expiry_round" IS 'NONE: NONE\nDAY: DAY\nMONTH: MONTH\nQUARTER: QUARTER\nYEAR: YEAR';
COMMENT ON COLUMN "points_policies"."expiry_month" IS 'For FIXED, with the day.';
COMMENT ON COLUMN "points_policies"."expiry_day" IS '29 February is the 28th in common years.';
COMMENT ON COLUMN "points_policies"."expiry_period" IS 'For CALENDAR.';
COMMENT ON COLUMN "points_policies"."expiry_count" IS 'Whole periods after the present one; 0 is this one.';
COMMENT ON COLUMN "points_policies"."expiry_activities" IS 'For INACTIVITY: kinds of transfers that count as activity.';
COMMENT ON COLUMN "points_policies"."returned_kind" IS 'LOST: LOST\nREISSUED: REISSUED';
COMMENT ON COLUMN "points_policies"."returned_grace" IS 'For REISSUED: how long they last.';
COMMENT ON COLUMN "points_policies"."gift_expiry" IS 'KEEP: KEEP\nRENEW: RENEW';
COMMENT ON COLUMN "points_policies"."gift_accept_within" IS 'Null: a gift goes at once.';
COMMENT ON COLUMN "points_policies"."gift_hops_max" IS 'How often points that were a gift may be given on.';
COMMENT ON COLUMN "points_policies"."exchange_expiry" IS 'KEEP: KEEP\nRENEW: RENEW';
COMMENT ON COLUMN "points_policies"."adjust_alone_max" IS 'An adjustment above it needs a second person; null: none does.';
COMMENT ON COLUMN "points_policies"."top_up_bonus" IS 'Steps of {from, per_mille, fixed}: the highest `from` not above the amount counts.';
COMMENT ON TABLE "points_policies" IS 'One version of the rules of a program''s ledger. Durations are ISO 8601; null means no such limit.';
