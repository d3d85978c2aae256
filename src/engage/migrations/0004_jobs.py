"""Jobs: asked for by key, with progress, results and files; lanes that can be paused, bounded and routed to."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint

INDEXES = [
    (
        "CREATE UNIQUE INDEX outbox_key ON outbox (handler, key)"
        " WHERE key IS NOT NULL AND finished_at IS NULL AND dead_at IS NULL"
    ),
    "CREATE INDEX outbox_dead ON outbox (dead_at) WHERE dead_at IS NOT NULL",
    # Admins' lists, newest first by lane: ids are made in order of time. Only what is finished costs more for them.
    "CREATE INDEX outbox_done ON outbox (handler, target, id) WHERE finished_at IS NOT NULL",
    "CREATE INDEX outbox_buried ON outbox (handler, target, id) WHERE dead_at IS NOT NULL",
    "CREATE INDEX outbox_cancelled ON outbox (id) WHERE cancel_asked_at IS NOT NULL",
    "DROP INDEX outbox_undone",
    "CREATE INDEX outbox_undone ON outbox (handler, target, due_at) WHERE finished_at IS NULL AND dead_at IS NULL",
    "DROP INDEX outbox_in_order",
    (
        "CREATE INDEX outbox_in_order ON outbox (handler, target, stream, ((payload ->> 'position')::bigint))"
        " WHERE finished_at IS NULL AND dead_at IS NULL"
    ),
]

STORAGE = [
    "ALTER TABLE outbox_lanes SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)",
    "ALTER TABLE job_runs SET (fillfactor = 70)",
]


class Migration(migrations.Migration):
    dependencies = [("engage", "0003_outbox")]

    initial = False

    operations = [
        ops.CreateModel(
            name="JobFile",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("job_id", fields.UUIDField(null=True, description="None while it is being written.")),
                ("name", fields.CharField(max_length=255)),
                ("bytes", fields.BigIntField(db_default=0)),
                (
                    "sha256",
                    fields.CharField(
                        null=True, description="Of the whole; None while it is being written.", max_length=64
                    ),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "job_files",
                "app": "engage",
                "indexes": [Index(fields=["job_id"]), Index(fields=["created_at"])],
                "pk_attr": "id",
                "table_description": "A file that a job reads or has made; its content is in `job_file_parts`. Goes with its job.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="JobFilePart",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("file_id", fields.UUIDField()),
                ("number", fields.IntField()),
                ("content", fields.BinaryField()),
            ],
            options={
                "table": "job_file_parts",
                "app": "engage",
                "unique_together": (("file_id", "number"),),
                "pk_attr": "id",
                "table_description": "A piece of a file, numbered from 0.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="JobResult",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("job_id", fields.UUIDField()),
                ("row", fields.BigIntField()),
                ("code", fields.CharField(max_length=60)),
                ("detail", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={
                "table": "job_results",
                "app": "engage",
                "unique_together": (("job_id", "row"),),
                "pk_attr": "id",
                "table_description": "What became of one row of a job's input; the first word on it stays.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="JobRun",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("asked_by", fields.CharField(null=True, max_length=80)),
                ("steps", fields.IntField(db_default=0)),
                ("state", fields.JSONField(db_default="{}", encoder=JSON_DUMPS, decoder=loads)),
                ("rows_done", fields.BigIntField(db_default=0)),
                ("rows_failed", fields.BigIntField(db_default=0)),
                ("rows_total", fields.BigIntField(null=True)),
                (
                    "worked_ms",
                    fields.BigIntField(description="In steps that committed; the rate counts by it.", db_default=0),
                ),
                ("began_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "told_at",
                    fields.DatetimeField(
                        null=True, description="Of the last checkpoint.", auto_now=False, auto_now_add=False
                    ),
                ),
            ],
            options={
                "table": "job_runs",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "How far a job is: its last checkpoint and its counts. Same id as its row in the outbox, and goes with it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OutboxLane",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("handler", fields.CharField(max_length=120)),
                ("target", fields.CharField(db_default="", max_length=80)),
                ("paused_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("paused_by", fields.CharField(null=True, max_length=80)),
                (
                    "failures",
                    fields.IntField(
                        description="In a row, of what is called; then one is tried at a time.", db_default=0
                    ),
                ),
                ("failing_since", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "not_before",
                    fields.DatetimeField(
                        null=True, description="Nothing is claimed until then.", auto_now=False, auto_now_add=False
                    ),
                ),
                (
                    "holding",
                    fields.JSONField(
                        null=True,
                        description="Rows in flight, as of the last claim.",
                        encoder=JSON_DUMPS,
                        decoder=loads,
                    ),
                ),
                ("tokens", fields.FloatField(null=True, description="Of the rate limit, as of filled_at.")),
                ("filled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "outbox_lanes",
                "app": "engage",
                "unique_together": (("handler", "target"),),
                "pk_attr": "id",
                "table_description": "The rows of one handler and target: whether they wait, and what is left of their bounds.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OutboxRoute",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("event", fields.CharField(max_length=80)),
                ("handler", fields.CharField(max_length=120)),
                ("target", fields.CharField(max_length=80)),
            ],
            options={
                "table": "outbox_routes",
                "app": "engage",
                "unique_together": (("event", "handler", "target"),),
                "pk_attr": "id",
                "table_description": "An event that a routed handler carries to a target. `*` is every event.",
            },
            bases=["Model"],
        ),
        ops.RemoveConstraint(
            model_name="OutboxRow",
            name=None,
            fields=["event_id", "handler"],
        ),
        ops.AddField(
            model_name="OutboxRow",
            name="cancel_asked_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="OutboxRow",
            name="key",
            field=fields.CharField(
                null=True, description="One undone job of a kind has it at a time.", max_length=120
            ),
        ),
        ops.AddField(
            model_name="OutboxRow",
            name="target",
            field=fields.CharField(description="Of a routed handler: whom it is for.", db_default="", max_length=80),
        ),
        ops.AddConstraint(
            model_name="OutboxRow",
            constraint=UniqueConstraint(fields=("event_id", "handler", "target"), name=None),
        ),
        ops.AddField(
            model_name="ScheduleTick",
            name="offset_s",
            field=fields.IntField(
                null=True, description="How far its clocks were ahead of UTC; old rows do not know."
            ),
        ),
        *[ops.RunSQL(statement) for statement in INDEXES + STORAGE],
    ]
