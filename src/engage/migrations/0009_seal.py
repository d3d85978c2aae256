"""History is sealed in blocks: transfers tell which transaction wrote them, blocks what they held."""

from tortoise import fields, migrations
from tortoise.fields import SqlDefault
from tortoise.migrations import operations as ops

# Not in the schema `engage`, which is made anew with each release: the default of a column stands on it. It is inlined
# as a constant, so that writing costs nothing for it, and replaced after a restore, see `engage.ledger_raise_tx_base`.
TX_BASE = "CREATE FUNCTION public.ledger_tx_base() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 0::bigint'"

INDEXES = ["CREATE INDEX transfers_in_order ON transfers (tx, id)"]

# Hashes do not compress.
STORAGE = ["ALTER TABLE ledger_blocks ALTER COLUMN leaves SET STORAGE EXTERNAL"]


class Migration(migrations.Migration):
    dependencies = [("engage", "0008_expiry_previews")]

    initial = False

    operations = [
        ops.RunSQL(TX_BASE),
        # Rows that are there get 0 without being written; what is posted from now on gets its transaction.
        ops.AddField(
            model_name="Transfer",
            name="tx",
            field=fields.BigIntField(db_default=0),
        ),
        ops.AlterField(
            model_name="Transfer",
            name="tx",
            field=fields.BigIntField(
                description="The transaction that wrote it; orders what is sealed.",
                db_default=SqlDefault("public.ledger_tx_base() + pg_current_xact_id()::text::bigint"),
            ),
        ),
        ops.CreateModel(
            name="LedgerBlock",
            fields=[
                ("height", fields.BigIntField(description="1, 2, 3 …", primary_key=True, unique=True, db_index=True)),
                ("format", fields.SmallIntField(description="How hashes are made; 1 at present.")),
                ("last_tx", fields.BigIntField(description="With last_id: the last transfer of the block.")),
                ("last_id", fields.UUIDField()),
                ("count", fields.IntField(description="How many transfers it has.")),
                ("leaves", fields.BinaryField(description="For each, 16 bytes of its id and 8 of its hash.")),
                ("content", fields.BinaryField(description="The hash of all their hashes.")),
                ("previous", fields.BinaryField(description="The digest of the block before.")),
                ("digest", fields.BinaryField(description="The hash of all the other columns but leaves.")),
                ("sealed_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "ledger_blocks",
                "app": "engage",
                "pk_attr": "height",
                "table_description": "Transfers as they were when they were sealed, each block bound to the one before. Immutable.",
            },
            bases=["Model"],
        ),
        *[ops.RunSQL(statement) for statement in INDEXES + STORAGE],
    ]
