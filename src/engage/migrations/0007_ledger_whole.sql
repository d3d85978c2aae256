-- What `engage db migrate` runs. Written from 0007_ledger_whole.py by `make migrations`.

-- Create model Adjustment
CREATE TABLE "adjustments" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "member_id" UUID NOT NULL,
    "program_code" VARCHAR(32) NOT NULL,
    "amount" BIGINT NOT NULL,
    "reason" VARCHAR(64) NOT NULL,
    "note" VARCHAR(500),
    "expires_at" TIMESTAMPTZ,
    "state" VARCHAR(16) NOT NULL,
    "asked_by" VARCHAR(80) NOT NULL,
    "asked_at" TIMESTAMPTZ NOT NULL,
    "decided_by" VARCHAR(80),
    "decided_at" TIMESTAMPTZ,
    "transfer_id" UUID
);
CREATE INDEX "idx_adjustments_member__8948c9" ON "adjustments" ("member_id");
COMMENT ON COLUMN "adjustments"."amount" IS 'Signed.';
COMMENT ON COLUMN "adjustments"."state" IS 'WAITING: WAITING\nAPPROVED: APPROVED\nREJECTED: REJECTED';
COMMENT ON TABLE "adjustments" IS 'A correction that waits for a second person, or was decided.';

-- Create model Debt
CREATE TABLE "debts" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "lot_id" UUID,
    "amount" BIGINT NOT NULL,
    "remaining" BIGINT NOT NULL,
    "forgiven" BIGINT NOT NULL DEFAULT 0,
    "returned" BIGINT NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ NOT NULL,
    "account_id" UUID NOT NULL REFERENCES "accounts" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_debts_account_108e35" ON "debts" ("account_id");
COMMENT ON COLUMN "debts"."lot_id" IS 'The lot that was clawed back when it was spent already.';
COMMENT ON COLUMN "debts"."forgiven" IS 'Taken off unpaid by a reversal.';
COMMENT ON COLUMN "debts"."returned" IS 'Paid, and given back by a reversal.';
COMMENT ON TABLE "debts" IS 'Points that a member owes. Its id is that of the transfer that made it.';

-- Create model ExchangeRate
CREATE TABLE "exchange_rates" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "from_program" VARCHAR(32) NOT NULL,
    "to_program" VARCHAR(32) NOT NULL,
    "version" INT NOT NULL,
    "numerator" BIGINT NOT NULL,
    "denominator" BIGINT NOT NULL,
    "effective_at" TIMESTAMPTZ NOT NULL,
    "ends_at" TIMESTAMPTZ,
    "published_at" TIMESTAMPTZ NOT NULL,
    "published_by" VARCHAR(80) NOT NULL,
    CONSTRAINT "uid_exchange_ra_from_pr_a9cfcb" UNIQUE ("from_program", "to_program", "version")
);
COMMENT ON TABLE "exchange_rates" IS 'What points of one program are worth in another: `numerator` for `denominator`. Published, never changed.';

-- Create model Gift
CREATE TABLE "gifts" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "program_code" VARCHAR(32) NOT NULL,
    "sender_id" UUID NOT NULL,
    "recipient_id" UUID NOT NULL,
    "amount" BIGINT NOT NULL,
    "fee" BIGINT NOT NULL,
    "state" VARCHAR(16) NOT NULL,
    "day" DATE NOT NULL,
    "deadline" TIMESTAMPTZ,
    "created_at" TIMESTAMPTZ NOT NULL,
    "decided_at" TIMESTAMPTZ
);
COMMENT ON COLUMN "gifts"."state" IS 'GIVEN: GIVEN\nOFFERED: OFFERED\nACCEPTED: ACCEPTED\nDECLINED: DECLINED\nWITHDRAWN: WITHDRAWN\nEXPIRED: EXPIRED';
COMMENT ON COLUMN "gifts"."day" IS 'When it was given, in the program''s zone; daily limits count by it.';
COMMENT ON COLUMN "gifts"."deadline" IS 'Until when it can be accepted.';
COMMENT ON TABLE "gifts" IS 'Points from one member to another. Its id is that of the GIFT transfer, or of the HOLD while it is offered.';

-- Create model Hold
CREATE TABLE "holds" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "member_id" UUID NOT NULL,
    "purpose" VARCHAR(8) NOT NULL,
    "state" VARCHAR(16) NOT NULL,
    "amount" BIGINT NOT NULL,
    "remaining" BIGINT NOT NULL,
    "lots" UUID[] NOT NULL,
    "takes" BIGINT[] NOT NULL,
    "deadline" TIMESTAMPTZ NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL,
    "closed_at" TIMESTAMPTZ,
    "account_id" UUID NOT NULL REFERENCES "accounts" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_holds_account_296351" ON "holds" ("account_id");
COMMENT ON COLUMN "holds"."purpose" IS 'SPEND: SPEND\nGIFT: GIFT';
COMMENT ON COLUMN "holds"."state" IS 'OPEN: OPEN\nCAPTURED: CAPTURED\nRELEASED: RELEASED\nEXPIRED: EXPIRED';
COMMENT ON COLUMN "holds"."remaining" IS 'Neither captured nor released.';
COMMENT ON COLUMN "holds"."lots" IS 'Whose points are still held.';
COMMENT ON COLUMN "holds"."takes" IS 'How many of each.';
COMMENT ON TABLE "holds" IS 'Points set aside until a deadline. Its id is that of the HOLD transfer; arrays in order of consumption.';

-- Create model TopUp
CREATE TABLE "top_ups" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "member_id" UUID NOT NULL,
    "program_code" VARCHAR(32) NOT NULL,
    "amount" BIGINT NOT NULL,
    "bonus" BIGINT NOT NULL,
    "bonus_transfer_id" UUID,
    "channel" VARCHAR(32) NOT NULL,
    "store" VARCHAR(32),
    "payment_reference" VARCHAR(80) NOT NULL,
    "paid_at" TIMESTAMPTZ NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL,
    CONSTRAINT "uid_top_ups_program_f25461" UNIQUE ("program_code", "payment_reference")
);
COMMENT ON COLUMN "top_ups"."amount" IS 'In minor units, without the bonus.';
COMMENT ON COLUMN "top_ups"."payment_reference" IS 'Of the payment outside; counts once.';
COMMENT ON TABLE "top_ups" IS 'Money that a member paid in. Its id is that of the TOP_UP transfer.';

-- Alter field kind on Account
COMMENT ON COLUMN "accounts"."kind" IS 'MEMBER: MEMBER\nISSUED: ISSUED\nREDEEMED: REDEEMED\nEXPIRED: EXPIRED\nFORFEITED: FORFEITED\nDONATED: DONATED\nEXCHANGED: EXCHANGED\nADJUSTED: ADJUSTED\nTRANSFERRED: TRANSFERRED\nFEES: FEES';

-- Alter field next_due_at on Account
COMMENT ON COLUMN "accounts"."next_due_at" IS 'Nothing matures, expires or is released before this; null when nothing ever will.';

-- Add field idle to Account
ALTER TABLE "accounts" ADD COLUMN "idle" BOOL NOT NULL DEFAULT FALSE;

-- Alter field amount on Allocation
COMMENT ON COLUMN "allocations"."amount" IS 'Change of what remains of the lot.';

-- Add field held to Allocation
ALTER TABLE "allocations" ADD COLUMN "held" BIGINT NOT NULL DEFAULT 0;

-- Alter field usable_at on Lot
COMMENT ON COLUMN "lots"."usable_at" IS 'Null means when they are confirmed.';
ALTER TABLE "lots" ALTER COLUMN "usable_at" DROP NOT NULL;

-- Add field held to Lot
ALTER TABLE "lots" ADD COLUMN "held" BIGINT NOT NULL DEFAULT 0;

-- Add field hops to Lot
ALTER TABLE "lots" ADD COLUMN "hops" INT NOT NULL DEFAULT 0;

-- Add field idle to Lot
ALTER TABLE "lots" ADD COLUMN "idle" BOOL NOT NULL DEFAULT FALSE;

-- Add field frozen_at to Member
ALTER TABLE "members" ADD COLUMN "frozen_at" TIMESTAMPTZ;

-- Alter field kind on Transfer
COMMENT ON COLUMN "transfers"."kind" IS 'EARN: EARN\nCONFIRM: CONFIRM\nMATURE: MATURE\nEXPIRE: EXPIRE\nSPEND: SPEND\nHOLD: HOLD\nCAPTURE: CAPTURE\nRELEASE: RELEASE\nREVERSE: REVERSE\nCLAWBACK: CLAWBACK\nDEBT_PAID: DEBT_PAID\nGIFT: GIFT\nRECEIVE: RECEIVE\nFEE: FEE\nDONATE: DONATE\nEXCHANGE_OUT: EXCHANGE_OUT\nEXCHANGE_IN: EXCHANGE_IN\nDEDUCT: DEDUCT\nRESTORE: RESTORE\nADJUST_UP: ADJUST_UP\nADJUST_DOWN: ADJUST_DOWN\nTOP_UP: TOP_UP\nREFUND: REFUND\nMERGE_OUT: MERGE_OUT\nMERGE_IN: MERGE_IN';

-- Add field refers_id to Transfer
ALTER TABLE "transfers" ADD COLUMN "refers_id" UUID;

-- Run SQL
CREATE INDEX transfers_referring ON transfers (refers_id) WHERE refers_id IS NOT NULL;

-- Run SQL
CREATE INDEX lots_of_origin ON lots (origin_lot_id) WHERE origin_lot_id IS NOT NULL;

-- Run SQL
CREATE INDEX holds_open ON holds (account_id, deadline) WHERE state = 'OPEN';

-- Run SQL
CREATE INDEX holds_of_member ON holds (member_id, id DESC);

-- Run SQL
CREATE INDEX debts_open ON debts (account_id, created_at, id) WHERE remaining > 0;

-- Run SQL
CREATE INDEX gifts_of_sender ON gifts (sender_id, program_code, day);

-- Run SQL
CREATE INDEX gifts_of_recipient ON gifts (recipient_id, id DESC);

-- Run SQL
CREATE INDEX adjustments_waiting ON adjustments (asked_at, id) WHERE state = 'WAITING';

-- Run SQL
CREATE INDEX top_ups_of_member ON top_ups (member_id, id DESC);

-- Run SQL
ALTER TABLE allocations DROP CONSTRAINT allocations_move, ADD CONSTRAINT allocations_move CHECK (amount <> 0 OR held <> 0) NOT VALID;

-- Run SQL
ALTER TABLE lots ADD CONSTRAINT lots_held CHECK (held >= 0 AND remaining + held <= amount) NOT VALID;

-- Run SQL
ALTER TABLE accounts ADD CONSTRAINT accounts_limit CHECK (available::numeric + pending + held <= 9007199254740991 AND debt <= 9007199254740991) NOT VALID;

-- Run SQL
ALTER TABLE holds ADD CONSTRAINT holds_remaining CHECK (remaining BETWEEN 0 AND amount AND (state = 'OPEN') = (remaining > 0));

-- Run SQL
ALTER TABLE debts ADD CONSTRAINT debts_remaining CHECK (least(remaining, forgiven, returned) >= 0 AND remaining + forgiven + returned <= amount);

-- Run SQL
ALTER TABLE exchange_rates ADD CONSTRAINT exchange_rates_positive CHECK (least(numerator, denominator) > 0);

-- Run SQL
ALTER TABLE members ADD CONSTRAINT members_frozen CHECK ((state = 'FROZEN') = (frozen_at IS NOT NULL)) NOT VALID;

-- Run SQL
ALTER TABLE holds SET (fillfactor = 80);

-- Run SQL
ALTER TABLE debts SET (fillfactor = 80);

-- Run SQL
UPDATE members SET frozen_at = now() WHERE state = 'FROZEN' AND frozen_at IS NULL;

-- Run SQL
INSERT INTO accounts (id, currency_id, kind) SELECT gen_random_uuid(), c.id, k.kind FROM currencies c, unnest(ARRAY['TRANSFERRED', 'FEES']) AS k (kind) ON CONFLICT DO NOTHING;
