"""What the ORM cannot say: partial indexes, checks, room on the page for updates in place, the epoch's row."""

from tortoise import migrations
from tortoise.migrations import operations as ops

INDEXES = [
    # One account per member and currency; one house account per currency and kind.
    "CREATE UNIQUE INDEX accounts_of_member ON accounts (member_id, currency_id) WHERE member_id IS NOT NULL",
    "CREATE UNIQUE INDEX accounts_of_house ON accounts (currency_id, kind) WHERE member_id IS NULL",
    "CREATE INDEX accounts_of_currency ON accounts (currency_id) WHERE member_id IS NOT NULL",
    "CREATE INDEX accounts_due ON accounts (next_due_at) WHERE next_due_at IS NOT NULL",
    "CREATE INDEX transfers_of_currency ON transfers (currency_id, kind)",
    "CREATE INDEX transfers_reversing ON transfers (reverses_id) WHERE reverses_id IS NOT NULL",
    "CREATE UNIQUE INDEX entries_of_account ON entries (account_id, version) WHERE version IS NOT NULL",
    # The order of spending: earliest expiry first, never last, then the oldest.
    "CREATE INDEX lots_open ON lots (account_id, expires_at, earned_at, id) WHERE state = 'OPEN'",
    "CREATE INDEX lots_pending ON lots (account_id, usable_at) WHERE state = 'PENDING'",
    "CREATE INDEX lots_expiring ON lots (expires_at) WHERE state = 'OPEN' AND expires_at IS NOT NULL",
    "CREATE INDEX outbox_undone ON outbox (due_at) WHERE finished_at IS NULL AND dead_at IS NULL",
    "CREATE INDEX outbox_finished ON outbox (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX purchases_of_member ON purchases (member_id, purchased_at DESC, id DESC)",
    "CREATE INDEX messages_of_member ON messages (member_id, id DESC)",
    "CREATE INDEX messages_unread ON messages (member_id) WHERE read_at IS NULL",
]

CHECKS = [
    "ALTER TABLE accounts ADD CONSTRAINT accounts_not_negative CHECK (least(available, pending, held, debt) >= 0)",
    "ALTER TABLE accounts ADD CONSTRAINT accounts_owner CHECK ((kind = 'MEMBER') = (member_id IS NOT NULL))",
    "ALTER TABLE transfers ADD CONSTRAINT transfers_positive CHECK (amount > 0)",
    "ALTER TABLE entries ADD CONSTRAINT entries_move CHECK (amount <> 0)",
    "ALTER TABLE allocations ADD CONSTRAINT allocations_move CHECK (amount <> 0)",
    "ALTER TABLE lots ADD CONSTRAINT lots_remaining CHECK (remaining BETWEEN 0 AND amount)",
    "ALTER TABLE lots ADD CONSTRAINT lots_closed CHECK ((state = 'CLOSED') = (remaining = 0))",
    "ALTER TABLE purchases ADD CONSTRAINT purchases_amount CHECK (amount >= 0)",
]

# Rows that are updated often keep room on their page, so that an update touches no index.
STORAGE = [
    "ALTER TABLE accounts SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE lots SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE stream_heads SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE outbox SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)",
]

SEED = ["INSERT INTO stream_epoch (id, token) VALUES (1, gen_random_uuid()::text)"]


class Migration(migrations.Migration):
    dependencies = [("engage", "0001_initial")]

    operations = [ops.RunSQL(statement) for statement in INDEXES + CHECKS + STORAGE + SEED]
