-- What `engage db migrate` runs. Written from 0001_initial.py by `make migrations`.

-- Create model Channel
CREATE TABLE "channels" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "code" VARCHAR(32) NOT NULL UNIQUE,
    "name" VARCHAR(120) NOT NULL
);
COMMENT ON TABLE "channels" IS 'Where a person is known or buys: a shop till, the app, phone, e-mail, a marketplace.';

-- Create model Currency
CREATE TABLE "currencies" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "program_id" UUID NOT NULL,
    "program_code" VARCHAR(32) NOT NULL,
    "kind" VARCHAR(8) NOT NULL,
    CONSTRAINT "uid_currencies_program_b7e7e4" UNIQUE ("program_id", "kind"),
    CONSTRAINT "uid_currencies_program_5f8667" UNIQUE ("program_code", "kind")
);
COMMENT ON COLUMN "currencies"."kind" IS 'POINTS: POINTS\nCASH: CASH';
COMMENT ON TABLE "currencies" IS 'The points, or the stored value, of one program. Amounts are integers in its smallest unit.';

-- Create model Account
CREATE TABLE "accounts" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(16) NOT NULL,
    "member_id" UUID,
    "available" BIGINT NOT NULL DEFAULT 0,
    "pending" BIGINT NOT NULL DEFAULT 0,
    "held" BIGINT NOT NULL DEFAULT 0,
    "debt" BIGINT NOT NULL DEFAULT 0,
    "version" BIGINT NOT NULL DEFAULT 0,
    "next_due_at" TIMESTAMPTZ,
    "currency_id" UUID NOT NULL REFERENCES "currencies" ("id") ON DELETE RESTRICT
);
COMMENT ON COLUMN "accounts"."kind" IS 'MEMBER: MEMBER\nISSUED: ISSUED\nREDEEMED: REDEEMED\nEXPIRED: EXPIRED\nFORFEITED: FORFEITED\nDONATED: DONATED\nEXCHANGED: EXCHANGED\nADJUSTED: ADJUSTED';
COMMENT ON COLUMN "accounts"."version" IS 'How many entries this account has.';
COMMENT ON COLUMN "accounts"."next_due_at" IS 'No lot matures or expires before this; null when none ever will.';
COMMENT ON TABLE "accounts" IS 'A member''s figures in one currency (a cache that `engage ledger verify` rebuilds), or a house account.';

-- Create model Epoch
CREATE TABLE "stream_epoch" (
    "id" SERIAL NOT NULL PRIMARY KEY,
    "token" VARCHAR(40) NOT NULL
);
COMMENT ON TABLE "stream_epoch" IS 'One row: changes when positions may be used again, after a restore; see `engage db epoch`.';

-- Create model Event
CREATE TABLE "events" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "stream" VARCHAR(80) NOT NULL,
    "position" BIGINT NOT NULL,
    "name" VARCHAR(80) NOT NULL,
    "data" JSONB NOT NULL,
    "recorded_at" TIMESTAMPTZ NOT NULL,
    CONSTRAINT "uid_events_stream_5d4511" UNIQUE ("stream", "position")
);
CREATE INDEX "idx_events_recorde_c5e920" ON "events" ("recorded_at");
COMMENT ON COLUMN "events"."position" IS '1, 2, 3 … in its stream.';
COMMENT ON COLUMN "events"."name" IS 'Wire name, such as ledger.points_spent.v1.';
COMMENT ON TABLE "events" IS 'One change, immutable. Holds ids, figures and codes only.';

-- Create model ExpiryReminder
CREATE TABLE "expiry_reminders" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "expires_on" DATE NOT NULL,
    "days_before" INT NOT NULL,
    "amount" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL,
    "account_id" UUID NOT NULL REFERENCES "accounts" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_expiry_remi_account_48e446" UNIQUE ("account_id", "expires_on", "days_before")
);
COMMENT ON COLUMN "expiry_reminders"."expires_on" IS 'Day in the program''s zone.';
COMMENT ON TABLE "expiry_reminders" IS 'A reminder that was given: one per account, day of expiry and distance.';

-- Create model IdempotencyAnswer
CREATE TABLE "idempotency_answers" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "input_hash" BYTEA NOT NULL,
    "answer" JSONB NOT NULL,
    "keep_until" TIMESTAMPTZ NOT NULL
);
CREATE INDEX "idx_idempotency_keep_un_ad2b1d" ON "idempotency_answers" ("keep_until");
COMMENT ON COLUMN "idempotency_answers"."id" IS 'Hash of scope, operation and key.';
COMMENT ON COLUMN "idempotency_answers"."answer" IS 'Ids, figures and position; nothing about a person.';
COMMENT ON TABLE "idempotency_answers" IS 'The answer of a command that was done, found again by its key; see `engage.base.idempotency`.';

-- Create model Member
CREATE TABLE "members" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "state" VARCHAR(16) NOT NULL,
    "merged_into_id" UUID,
    "display_name" VARCHAR(120),
    "locale" VARCHAR(16) NOT NULL,
    "birthday" DATE,
    "created_at" TIMESTAMPTZ NOT NULL
);
COMMENT ON COLUMN "members"."state" IS 'ACTIVE: ACTIVE\nFROZEN: FROZEN\nSUSPENDED: SUSPENDED\nCANCELLED: CANCELLED\nERASED: ERASED';
COMMENT ON COLUMN "members"."merged_into_id" IS 'The survivor, when this profile was absorbed.';
COMMENT ON COLUMN "members"."locale" IS 'Language of texts for this person, such as zh-CN.';
COMMENT ON TABLE "members" IS 'A person, once for the whole organisation.';

-- Create model Identity
CREATE TABLE "identities" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "channel" VARCHAR(32) NOT NULL,
    "identifier" VARCHAR(200) NOT NULL,
    "verified_at" TIMESTAMPTZ,
    "created_at" TIMESTAMPTZ NOT NULL,
    "member_id" UUID NOT NULL REFERENCES "members" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_identities_channel_90307c" UNIQUE ("channel", "identifier")
);
CREATE INDEX "idx_identities_member__6c8dcf" ON "identities" ("member_id");
COMMENT ON COLUMN "identities"."identifier" IS 'Normalised: see rules.normalise_identifier.';
COMMENT ON TABLE "identities" IS 'How one channel knows a person. Unique in its channel.';

-- Create model Message
CREATE TABLE "messages" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "member_id" UUID NOT NULL,
    "code" VARCHAR(64) NOT NULL,
    "params" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL,
    "read_at" TIMESTAMPTZ
);
COMMENT ON TABLE "messages" IS 'One message to one member: a text by code with its figures, put into words when it is read.';

-- Create model OutboxRow
CREATE TABLE "outbox" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "handler" VARCHAR(120) NOT NULL,
    "event_id" UUID,
    "stream" VARCHAR(80),
    "payload" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL,
    "due_at" TIMESTAMPTZ NOT NULL,
    "attempts" INT NOT NULL DEFAULT 0,
    "leased_until" TIMESTAMPTZ,
    "last_error" VARCHAR(500),
    "finished_at" TIMESTAMPTZ,
    "dead_at" TIMESTAMPTZ,
    CONSTRAINT "uid_outbox_event_i_f7a3c7" UNIQUE ("event_id", "handler")
);
COMMENT ON TABLE "outbox" IS 'Work that was promised. It is done when `finished_at` commits together with the handler''s effect.';

-- Create model Program
CREATE TABLE "programs" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "code" VARCHAR(32) NOT NULL UNIQUE,
    "name" VARCHAR(120) NOT NULL,
    "time_zone" VARCHAR(64) NOT NULL,
    "money_currency" VARCHAR(3) NOT NULL,
    "points_per_unit" DECIMAL(12,4) NOT NULL,
    "points_valid_for" VARCHAR(32),
    "created_at" TIMESTAMPTZ NOT NULL
);
COMMENT ON COLUMN "programs"."time_zone" IS 'IANA name; calendar days are counted here.';
COMMENT ON COLUMN "programs"."money_currency" IS 'ISO 4217; purchases are in this currency.';
COMMENT ON COLUMN "programs"."points_per_unit" IS 'Points for one whole unit of money, floored per order.';
COMMENT ON COLUMN "programs"."points_valid_for" IS 'ISO 8601 duration after which points expire; null means never.';
COMMENT ON TABLE "programs" IS 'A brand, a region or a line of business, with its own points, rules and calendar.';

-- Create model Purchase
CREATE TABLE "purchases" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "member_id" UUID NOT NULL,
    "program_id" UUID NOT NULL,
    "channel" VARCHAR(32) NOT NULL,
    "store" VARCHAR(32),
    "order_no" VARCHAR(64) NOT NULL,
    "amount" DECIMAL(16,4) NOT NULL,
    "currency" VARCHAR(3) NOT NULL,
    "quantity" INT,
    "points" BIGINT NOT NULL,
    "content_hash" BYTEA NOT NULL,
    "purchased_at" TIMESTAMPTZ NOT NULL,
    "recorded_at" TIMESTAMPTZ NOT NULL,
    CONSTRAINT "uid_purchases_program_2b481a" UNIQUE ("program_id", "channel", "order_no")
);
COMMENT ON COLUMN "purchases"."currency" IS 'ISO 4217.';
COMMENT ON COLUMN "purchases"."points" IS 'Given for this order.';
COMMENT ON COLUMN "purchases"."content_hash" IS 'Tells a repetition from another order of the same number.';
COMMENT ON TABLE "purchases" IS 'One order of one member.';

-- Create model PurchaseLine
CREATE TABLE "purchase_lines" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "line_no" INT NOT NULL,
    "item" VARCHAR(64) NOT NULL,
    "category" VARCHAR(64),
    "brand" VARCHAR(64),
    "quantity" INT NOT NULL,
    "amount" DECIMAL(16,4) NOT NULL,
    "purchase_id" UUID NOT NULL REFERENCES "purchases" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_purchase_li_purchas_fce7aa" UNIQUE ("purchase_id", "line_no")
);
COMMENT ON COLUMN "purchase_lines"."line_no" IS '1, 2, 3 … in its order.';
COMMENT ON TABLE "purchase_lines" IS 'One item of an order.';

-- Create model ScheduleTick
CREATE TABLE "schedule_ticks" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "name" VARCHAR(80) NOT NULL,
    "tick" TIMESTAMPTZ NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL,
    CONSTRAINT "uid_schedule_ti_name_144f59" UNIQUE ("name", "tick")
);
COMMENT ON TABLE "schedule_ticks" IS 'A moment at which a schedule was due. Unique by (name, tick), so that no tick is run twice.';

-- Create model Store
CREATE TABLE "stores" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "code" VARCHAR(32) NOT NULL,
    "name" VARCHAR(120) NOT NULL,
    "program_id" UUID NOT NULL REFERENCES "programs" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_stores_program_a31d14" UNIQUE ("program_id", "code")
);
CREATE INDEX "idx_stores_program_97e9b8" ON "stores" ("program_id");
COMMENT ON TABLE "stores" IS 'A shop of a program.';

-- Create model StreamHead
CREATE TABLE "stream_heads" (
    "id" VARCHAR(80) NOT NULL  PRIMARY KEY,
    "position" BIGINT NOT NULL,
    "kept_from" BIGINT NOT NULL DEFAULT 1
);
COMMENT ON COLUMN "stream_heads"."id" IS 'The stream, such as member:<id>.';
COMMENT ON COLUMN "stream_heads"."position" IS 'Position of the newest event.';
COMMENT ON COLUMN "stream_heads"."kept_from" IS 'Lowest position that the log still holds.';
COMMENT ON TABLE "stream_heads" IS 'How far a stream has come. Locked last in a command, so that positions have no gaps.';

-- Create model Transfer
CREATE TABLE "transfers" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "member_id" UUID NOT NULL,
    "kind" VARCHAR(16) NOT NULL,
    "amount" BIGINT NOT NULL,
    "reason" VARCHAR(64) NOT NULL,
    "cause_type" VARCHAR(32),
    "cause_id" VARCHAR(80),
    "actor_id" VARCHAR(80) NOT NULL,
    "reverses_id" UUID,
    "posted_at" TIMESTAMPTZ NOT NULL,
    "balance_after" BIGINT NOT NULL,
    "version_after" BIGINT NOT NULL,
    "account_id" UUID NOT NULL REFERENCES "accounts" ("id") ON DELETE RESTRICT,
    "currency_id" UUID NOT NULL REFERENCES "currencies" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_transfers_account_7f5a51" UNIQUE ("account_id", "version_after")
);
COMMENT ON COLUMN "transfers"."kind" IS 'EARN: EARN\nSPEND: SPEND\nMATURE: MATURE\nEXPIRE: EXPIRE';
COMMENT ON COLUMN "transfers"."amount" IS 'Always positive; the kind tells the direction.';
COMMENT ON COLUMN "transfers"."reverses_id" IS 'The transfer that this one takes back, wholly or in part.';
COMMENT ON COLUMN "transfers"."balance_after" IS 'Available points of the member after this transfer.';
COMMENT ON COLUMN "transfers"."version_after" IS 'Version of the account after this transfer; orders a statement.';
COMMENT ON TABLE "transfers" IS 'A movement of points. Immutable; its entries sum to zero.';

-- Create model Entry
CREATE TABLE "entries" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "bucket" VARCHAR(16) NOT NULL,
    "amount" BIGINT NOT NULL,
    "balance_after" BIGINT,
    "version" BIGINT,
    "account_id" UUID NOT NULL REFERENCES "accounts" ("id") ON DELETE RESTRICT,
    "transfer_id" UUID NOT NULL REFERENCES "transfers" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_entries_transfe_c4a5a8" ON "entries" ("transfer_id");
COMMENT ON COLUMN "entries"."bucket" IS 'AVAILABLE: AVAILABLE\nPENDING: PENDING\nHELD: HELD\nDEBT: DEBT\nHOUSE: HOUSE';
COMMENT ON COLUMN "entries"."amount" IS 'Signed. Entries of DEBT are negative where debt grows.';
COMMENT ON COLUMN "entries"."balance_after" IS 'Of the bucket; null for the house.';
COMMENT ON COLUMN "entries"."version" IS '1, 2, 3 … in its account; null for the house.';
COMMENT ON TABLE "entries" IS 'One leg of a transfer. Immutable.';

-- Create model Lot
CREATE TABLE "lots" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "member_id" UUID NOT NULL,
    "state" VARCHAR(8) NOT NULL,
    "amount" BIGINT NOT NULL,
    "remaining" BIGINT NOT NULL,
    "earned_at" TIMESTAMPTZ NOT NULL,
    "usable_at" TIMESTAMPTZ NOT NULL,
    "expires_at" TIMESTAMPTZ,
    "origin_lot_id" UUID,
    "account_id" UUID NOT NULL REFERENCES "accounts" ("id") ON DELETE RESTRICT,
    "source_id" UUID NOT NULL REFERENCES "transfers" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_lots_source__f7664d" ON "lots" ("source_id");
COMMENT ON COLUMN "lots"."state" IS 'PENDING: PENDING\nOPEN: OPEN\nCLOSED: CLOSED';
COMMENT ON COLUMN "lots"."expires_at" IS 'Null means never.';
COMMENT ON COLUMN "lots"."origin_lot_id" IS 'Where it came from, after a gift, merge or reissue.';
COMMENT ON TABLE "lots" IS 'Points that came at once and expire at once.';

-- Create model Allocation
CREATE TABLE "allocations" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "amount" BIGINT NOT NULL,
    "lot_id" UUID NOT NULL REFERENCES "lots" ("id") ON DELETE RESTRICT,
    "transfer_id" UUID NOT NULL REFERENCES "transfers" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_allocations_lot_id_4c1788" ON "allocations" ("lot_id");
CREATE INDEX "idx_allocations_transfe_94f0e3" ON "allocations" ("transfer_id");
COMMENT ON TABLE "allocations" IS 'What a transfer took from a lot (negative) or gave back to it. Immutable.';

-- Create model TransferNote
CREATE TABLE "transfer_notes" (
    "id" UUID NOT NULL  PRIMARY KEY,
    "member_id" UUID NOT NULL,
    "address" VARCHAR(64),
    "device" VARCHAR(200),
    "text" VARCHAR(500),
    "transfer_id" UUID NOT NULL UNIQUE REFERENCES "transfers" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_transfer_no_member__604708" ON "transfer_notes" ("member_id");
COMMENT ON COLUMN "transfer_notes"."address" IS 'Network address of the caller.';
COMMENT ON TABLE "transfer_notes" IS 'What may have to be erased: stands beside the transfer, not in it.';
