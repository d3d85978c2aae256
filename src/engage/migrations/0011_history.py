"""Reading the ledger's history: a statement of some kinds, what a bucket held, all lots of an account."""

from tortoise import migrations
from tortoise.migrations import operations as ops

INDEXES = [
    "CREATE INDEX transfers_of_kind ON transfers (account_id, kind, version_after)",
    # The available points after each transfer stand in the transfer itself.
    (
        "CREATE INDEX entries_of_bucket ON entries (account_id, bucket, version)"
        " WHERE bucket IN ('PENDING', 'HELD', 'DEBT')"
    ),
    "CREATE INDEX lots_of_account ON lots (account_id, id)",
    "CREATE INDEX gifts_sent ON gifts (sender_id, id DESC)",
    "CREATE INDEX adjustments_in_state ON adjustments (state, asked_at, id)",
    "DROP INDEX adjustments_waiting",
]


class Migration(migrations.Migration):
    dependencies = [("engage", "0010_bulk_points")]

    initial = False

    operations = [ops.RunSQL(statement) for statement in INDEXES]
