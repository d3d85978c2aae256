"""The audit log."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from engage.base.actor import Role
from engage.base.origin import Via

INDEXES = [
    "CREATE INDEX audit_log_of_member ON audit_log (member_id, id) WHERE member_id IS NOT NULL",
    "CREATE INDEX audit_log_of_actor ON audit_log (actor, id)",
    "CREATE INDEX audit_log_of_command ON audit_log (command, id)",
    "CREATE INDEX audit_log_of_role ON audit_log (role, id)",
    # Most results are OK, which the order of ids finds as fast.
    "CREATE INDEX audit_log_of_result ON audit_log (result, id) WHERE result <> 'OK'",
]


class Migration(migrations.Migration):
    dependencies = [("engage", "0011_history")]

    initial = False

    operations = [
        ops.CreateModel(
            name="AuditRow",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("actor", fields.CharField(description="Subject of the token.", max_length=80)),
                (
                    "role",
                    fields.CharEnumField(
                        description="MEMBER: MEMBER\nSTAFF: STAFF\nMODERATOR: MODERATOR\nADMIN: ADMIN\nSERVICE: SERVICE",
                        enum_type=Role,
                        max_length=16,
                    ),
                ),
                (
                    "via",
                    fields.CharEnumField(
                        description="HTTP: HTTP\nWEBSOCKET: WEBSOCKET\nSSE: SSE\nCLI: CLI\nJOB: JOB\nINTERNAL: INTERNAL",
                        enum_type=Via,
                        max_length=16,
                    ),
                ),
                ("command", fields.CharField(max_length=64)),
                ("subjects", fields.JSONField(description="Ids and codes among the arguments, by name.")),
                ("member_id", fields.UUIDField(null=True, description="Whom it is about.")),
                (
                    "result",
                    fields.CharField(description="OK, REPLAYED, the code of a refusal, or FAILED.", max_length=64),
                ),
                ("request_id", fields.CharField(null=True, max_length=64)),
                (
                    "address",
                    fields.CharField(null=True, description="Of the client; may have to be erased.", max_length=45),
                ),
                ("credential", fields.CharField(null=True, description="Id of the token or key.", max_length=80)),
            ],
            options={
                "table": "audit_log",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "Who did what to whom, from where, with which result. Append only; see `engage.base.audit`.",
            },
            bases=["Model"],
        ),
        *(ops.RunSQL(statement) for statement in INDEXES),
    ]
