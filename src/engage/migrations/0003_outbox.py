"""Leases get a fencing token; handlers that want a stream's events in order find the earlier ones by index."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("engage", "0002_storage")]

    initial = False

    operations = [
        ops.AddField(
            model_name="OutboxRow",
            name="lease",
            field=fields.IntField(description="Fencing token: grows with each lease, never back.", db_default=0),
        ),
        ops.RunSQL(
            "CREATE INDEX outbox_in_order ON outbox (handler, stream, ((payload ->> 'position')::bigint))"
            " WHERE finished_at IS NULL AND dead_at IS NULL"
        ),
    ]
