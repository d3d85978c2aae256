"""Bulk points: corrections that wait for a second person."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from engage.domains.ledger.types import AdjustmentState


class Migration(migrations.Migration):
    dependencies = [("engage", "0009_seal")]

    initial = False

    operations = [
        ops.CreateModel(
            name="BulkCorrection",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("program_code", fields.CharField(max_length=32)),
                ("reason", fields.CharField(max_length=64)),
                ("rows", fields.BigIntField()),
                (
                    "added",
                    fields.BigIntField(description="Points that it gives, as far as its rows can be read."),
                ),
                ("removed", fields.BigIntField(description="Points that it takes away, likewise.")),
                (
                    "state",
                    fields.CharEnumField(
                        description="WAITING: WAITING\nAPPROVED: APPROVED\nREJECTED: REJECTED",
                        enum_type=AdjustmentState,
                        max_length=16,
                    ),
                ),
                ("asked_by", fields.CharField(max_length=80)),
                ("asked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("decided_by", fields.CharField(null=True, max_length=80)),
                ("decided_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "bulk_corrections",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "A bulk correction that waits for a second person, or was decided. Its id is that of its job.",
            },
            bases=["Model"],
        ),
        ops.RunSQL(
            "CREATE INDEX bulk_corrections_waiting ON bulk_corrections (program_code, id) WHERE state = 'WAITING'"
        ),
    ]
