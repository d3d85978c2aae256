"""The outbox: a row per (event, handler, target), per tick of a schedule, per job asked for. The row is the job."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model


class OutboxRow(Model):
    """Work that was promised. It is done when `finished_at` commits together with the handler's effect.

    READY when due and not leased, LEASED until `leased_until`, DONE with `finished_at`, DEAD with `dead_at`,
    CANCELLED when finished after `cancel_asked_at`. `attempts` counts leases, less those given back unused.
    `last_error` tells kind and place, nothing about a person.
    """

    id = fields.UUIDField(primary_key=True)
    handler = fields.CharField(max_length=120)
    target = fields.CharField(max_length=80, db_default="", description="Of a routed handler: whom it is for.")
    event_id = fields.UUIDField(null=True)
    stream = fields.CharField(max_length=80, null=True)
    key = fields.CharField(max_length=120, null=True, description="One undone job of a kind has it at a time.")
    payload = fields.JSONField[dict[str, object]]()
    created_at = fields.DatetimeField()
    due_at = fields.DatetimeField()
    attempts = fields.IntField(db_default=0)
    lease = fields.IntField(db_default=0, description="Fencing token: grows with each lease, never back.")
    leased_until = fields.DatetimeField(null=True)
    cancel_asked_at = fields.DatetimeField(null=True)
    last_error = fields.CharField(max_length=500, null=True)
    finished_at = fields.DatetimeField(null=True)
    dead_at = fields.DatetimeField(null=True)

    class Meta:
        table = "outbox"
        unique_together = (("event_id", "handler", "target"),)


class OutboxLane(Model):
    """The rows of one handler and target: whether they wait, and what is left of their bounds."""

    id = fields.UUIDField(primary_key=True)
    handler = fields.CharField(max_length=120)
    target = fields.CharField(max_length=80, db_default="")
    paused_at = fields.DatetimeField(null=True)
    paused_by = fields.CharField(max_length=80, null=True)
    failures = fields.IntField(db_default=0, description="In a row, of what is called; then one is tried at a time.")
    failing_since = fields.DatetimeField(null=True)
    not_before = fields.DatetimeField(null=True, description="Nothing is claimed until then.")
    holding = fields.JSONField[list[str]](null=True, description="Rows in flight, as of the last claim.")
    tokens = fields.FloatField(null=True, description="Of the rate limit, as of filled_at.")
    filled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "outbox_lanes"
        unique_together = (("handler", "target"),)


class OutboxRoute(Model):
    """An event that a routed handler carries to a target. `*` is every event."""

    id = fields.UUIDField(primary_key=True)
    event = fields.CharField(max_length=80)
    handler = fields.CharField(max_length=120)
    target = fields.CharField(max_length=80)

    class Meta:
        table = "outbox_routes"
        unique_together = (("event", "handler", "target"),)


class JobRun(Model):
    """How far a job is: its last checkpoint and its counts. Same id as its row in the outbox, and goes with it."""

    id = fields.UUIDField(primary_key=True)
    asked_by = fields.CharField(max_length=80, null=True)
    steps = fields.IntField(db_default=0)
    state = fields.JSONField[dict[str, object]](db_default="{}")
    rows_done = fields.BigIntField(db_default=0)
    rows_failed = fields.BigIntField(db_default=0)
    rows_total = fields.BigIntField(null=True)
    worked_ms = fields.BigIntField(db_default=0, description="In steps that committed; the rate counts by it.")
    began_at = fields.DatetimeField(null=True)
    told_at = fields.DatetimeField(null=True, description="Of the last checkpoint.")

    class Meta:
        table = "job_runs"


class JobResult(Model):
    """What became of one row of a job's input; the first word on it stays."""

    id = fields.UUIDField(primary_key=True)
    job_id = fields.UUIDField()
    row = fields.BigIntField()
    code = fields.CharField(max_length=60)
    detail = fields.JSONField[dict[str, object]]()

    class Meta:
        table = "job_results"
        unique_together = (("job_id", "row"),)


class JobFile(Model):
    """A file that a job reads or has made; its content is in `job_file_parts`. Goes with its job."""

    id = fields.UUIDField(primary_key=True)
    job_id = fields.UUIDField(null=True, description="None while it is being written.")
    name = fields.CharField(max_length=255)
    bytes = fields.BigIntField(db_default=0)
    sha256 = fields.CharField(max_length=64, null=True, description="Of the whole; None while it is being written.")
    created_at = fields.DatetimeField()

    class Meta:
        table = "job_files"
        indexes = (("job_id",), ("created_at",))


class JobFilePart(Model):
    """A piece of a file, numbered from 0."""

    id = fields.UUIDField(primary_key=True)
    file_id = fields.UUIDField()
    number = fields.IntField()
    content = fields.BinaryField()

    class Meta:
        table = "job_file_parts"
        unique_together = (("file_id", "number"),)


class ScheduleTick(Model):
    """A moment at which a schedule was due. Unique by (name, tick), so that no tick is run twice."""

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(max_length=80)
    tick = fields.DatetimeField()
    offset_s = fields.IntField(null=True, description="How far its clocks were ahead of UTC; old rows do not know.")
    created_at = fields.DatetimeField()

    class Meta:
        table = "schedule_ticks"
        unique_together = (("name", "tick"),)
