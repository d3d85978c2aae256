"""Points that are there can get their ends by another policy, after a preview."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("engage", "0007_ledger_whole")]

    initial = False

    operations = [
        ops.CreateModel(
            name="ExpiryPreview",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("program_code", fields.CharField(max_length=32)),
                ("version", fields.IntField()),
                (
                    "notice",
                    fields.CharField(
                        description="ISO 8601: nobody loses points sooner than after this.", max_length=32
                    ),
                ),
                ("lots", fields.BigIntField()),
                ("sooner", fields.BigIntField(description="Points that would expire sooner.")),
                ("later", fields.BigIntField(description="Points that would expire later, or never.")),
                ("previewed_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("previewed_by", fields.CharField(max_length=80)),
                ("job_id", fields.UUIDField(null=True, description="The job that applies it.")),
            ],
            options={
                "table": "expiry_previews",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "What a version would do to the points that are there, as somebody was shown it; needed to have it done.",
            },
            bases=["Model"],
        ),
        ops.AddField(
            model_name="Lot",
            name="fixed_end",
            field=fields.BooleanField(
                description="Its end was given by hand; no policy changes it.", db_default=False
            ),
        ),
        # The accounts of a program one after another.
        ops.RunSQL("CREATE INDEX accounts_of_program ON accounts (currency_id, id) WHERE member_id IS NOT NULL"),
        ops.RunSQL("DROP INDEX accounts_of_currency"),
    ]
