-- What `engage db migrate` runs. Written from 0002_storage.py by `make migrations`.

-- Run SQL
CREATE UNIQUE INDEX accounts_of_member ON accounts (member_id, currency_id) WHERE member_id IS NOT NULL;

-- Run SQL
CREATE UNIQUE INDEX accounts_of_house ON accounts (currency_id, kind) WHERE member_id IS NULL;

-- Run SQL
CREATE INDEX accounts_of_currency ON accounts (currency_id) WHERE member_id IS NOT NULL;

-- Run SQL
CREATE INDEX accounts_due ON accounts (next_due_at) WHERE next_due_at IS NOT NULL;

-- Run SQL
CREATE INDEX transfers_of_currency ON transfers (currency_id, kind);

-- Run SQL
CREATE INDEX transfers_reversing ON transfers (reverses_id) WHERE reverses_id IS NOT NULL;

-- Run SQL
CREATE UNIQUE INDEX entries_of_account ON entries (account_id, version) WHERE version IS NOT NULL;

-- Run SQL
CREATE INDEX lots_open ON lots (account_id, expires_at, earned_at, id) WHERE state = 'OPEN';

-- Run SQL
CREATE INDEX lots_pending ON lots (account_id, usable_at) WHERE state = 'PENDING';

-- Run SQL
CREATE INDEX lots_expiring ON lots (expires_at) WHERE state = 'OPEN' AND expires_at IS NOT NULL;

-- Run SQL
CREATE INDEX outbox_undone ON outbox (due_at) WHERE finished_at IS NULL AND dead_at IS NULL;

-- Run SQL
CREATE INDEX outbox_finished ON outbox (finished_at) WHERE finished_at IS NOT NULL;

-- Run SQL
CREATE INDEX purchases_of_member ON purchases (member_id, purchased_at DESC, id DESC);

-- Run SQL
CREATE INDEX messages_of_member ON messages (member_id, id DESC);

-- Run SQL
CREATE INDEX messages_unread ON messages (member_id) WHERE read_at IS NULL;

-- Run SQL
ALTER TABLE accounts ADD CONSTRAINT accounts_not_negative CHECK (least(available, pending, held, debt) >= 0);

-- Run SQL
ALTER TABLE accounts ADD CONSTRAINT accounts_owner CHECK ((kind = 'MEMBER') = (member_id IS NOT NULL));

-- Run SQL
ALTER TABLE transfers ADD CONSTRAINT transfers_positive CHECK (amount > 0);

-- Run SQL
ALTER TABLE entries ADD CONSTRAINT entries_move CHECK (amount <> 0);

-- Run SQL
ALTER TABLE allocations ADD CONSTRAINT allocations_move CHECK (amount <> 0);

-- Run SQL
ALTER TABLE lots ADD CONSTRAINT lots_remaining CHECK (remaining BETWEEN 0 AND amount);

-- Run SQL
ALTER TABLE lots ADD CONSTRAINT lots_closed CHECK ((state = 'CLOSED') = (remaining = 0));

-- Run SQL
ALTER TABLE purchases ADD CONSTRAINT purchases_amount CHECK (amount >= 0);

-- Run SQL
ALTER TABLE accounts SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- Run SQL
ALTER TABLE lots SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);

-- Run SQL
ALTER TABLE stream_heads SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Run SQL
ALTER TABLE outbox SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

-- Run SQL
INSERT INTO stream_epoch (id, token) VALUES (1, gen_random_uuid()::text);
