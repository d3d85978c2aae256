from uuid import uuid4

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from engage.domains.ledger.types import AccountKind, Bucket, CurrencyKind, LotState, TransferKind
from engage.domains.members.types import MemberState


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Channel",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("code", fields.CharField(unique=True, max_length=32)),
                ("name", fields.CharField(max_length=120)),
            ],
            options={
                "table": "channels",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "Where a person is known or buys: a shop till, the app, phone, e-mail, a marketplace.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Currency",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("program_id", fields.UUIDField()),
                ("program_code", fields.CharField(max_length=32)),
                (
                    "kind",
                    fields.CharEnumField(
                        description="POINTS: POINTS\nCASH: CASH", enum_type=CurrencyKind, max_length=8
                    ),
                ),
            ],
            options={
                "table": "currencies",
                "app": "engage",
                "unique_together": (("program_id", "kind"), ("program_code", "kind")),
                "pk_attr": "id",
                "table_description": "The points, or the stored value, of one program. Amounts are integers in its smallest unit.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Account",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "currency",
                    fields.ForeignKeyField(
                        "engage.Currency",
                        source_field="currency_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="accounts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "kind",
                    fields.CharEnumField(
                        description="MEMBER: MEMBER\nISSUED: ISSUED\nREDEEMED: REDEEMED\nEXPIRED: EXPIRED\nFORFEITED: FORFEITED\nDONATED: DONATED\nEXCHANGED: EXCHANGED\nADJUSTED: ADJUSTED",
                        enum_type=AccountKind,
                        max_length=16,
                    ),
                ),
                ("member_id", fields.UUIDField(null=True)),
                ("available", fields.BigIntField(db_default=0)),
                ("pending", fields.BigIntField(db_default=0)),
                ("held", fields.BigIntField(db_default=0)),
                ("debt", fields.BigIntField(db_default=0)),
                ("version", fields.BigIntField(description="How many entries this account has.", db_default=0)),
                (
                    "next_due_at",
                    fields.DatetimeField(
                        null=True,
                        description="No lot matures or expires before this; null when none ever will.",
                        auto_now=False,
                        auto_now_add=False,
                    ),
                ),
            ],
            options={
                "table": "accounts",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "A member's figures in one currency (a cache that `engage ledger verify` rebuilds), or a house account.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Epoch",
            fields=[
                ("id", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("token", fields.CharField(max_length=40)),
            ],
            options={
                "table": "stream_epoch",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "One row: changes when positions may be used again, after a restore; see `engage db epoch`.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Event",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("stream", fields.CharField(max_length=80)),
                ("position", fields.BigIntField(description="1, 2, 3 … in its stream.")),
                ("name", fields.CharField(description="Wire name, such as ledger.points_spent.v1.", max_length=80)),
                ("data", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("recorded_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "events",
                "app": "engage",
                "unique_together": (("stream", "position"),),
                "indexes": [Index(fields=["recorded_at"])],
                "pk_attr": "id",
                "table_description": "One change, immutable. Holds ids, figures and codes only.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ExpiryReminder",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "engage.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="reminders",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("expires_on", fields.DateField(description="Day in the program's zone.")),
                ("days_before", fields.IntField()),
                ("amount", fields.BigIntField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "expiry_reminders",
                "app": "engage",
                "unique_together": (("account_id", "expires_on", "days_before"),),
                "pk_attr": "id",
                "table_description": "A reminder that was given: one per account, day of expiry and distance.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="IdempotencyAnswer",
            fields=[
                (
                    "id",
                    fields.UUIDField(
                        primary_key=True,
                        default=uuid4,
                        unique=True,
                        db_index=True,
                        description="Hash of scope, operation and key.",
                    ),
                ),
                ("input_hash", fields.BinaryField()),
                (
                    "answer",
                    fields.JSONField(
                        description="Ids, figures and position; nothing about a person.",
                        encoder=JSON_DUMPS,
                        decoder=loads,
                    ),
                ),
                ("keep_until", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "idempotency_answers",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "The answer of a command that was done, found again by its key; see `engage.base.idempotency`.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Member",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "state",
                    fields.CharEnumField(
                        description="ACTIVE: ACTIVE\nFROZEN: FROZEN\nSUSPENDED: SUSPENDED\nCANCELLED: CANCELLED\nERASED: ERASED",
                        enum_type=MemberState,
                        max_length=16,
                    ),
                ),
                (
                    "merged_into_id",
                    fields.UUIDField(null=True, description="The survivor, when this profile was absorbed."),
                ),
                ("display_name", fields.CharField(null=True, max_length=120)),
                (
                    "locale",
                    fields.CharField(description="Language of texts for this person, such as zh-CN.", max_length=16),
                ),
                ("birthday", fields.DateField(null=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "members",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "A person, once for the whole organisation.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Identity",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "member",
                    fields.ForeignKeyField(
                        "engage.Member",
                        source_field="member_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="identities",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("channel", fields.CharField(max_length=32)),
                (
                    "identifier",
                    fields.CharField(description="Normalised: see rules.normalise_identifier.", max_length=200),
                ),
                ("verified_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "identities",
                "app": "engage",
                "unique_together": (("channel", "identifier"),),
                "pk_attr": "id",
                "table_description": "How one channel knows a person. Unique in its channel.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Message",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("member_id", fields.UUIDField()),
                ("code", fields.CharField(max_length=64)),
                ("params", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("read_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "messages",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "One message to one member: a text by code with its figures, put into words when it is read.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="OutboxRow",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("handler", fields.CharField(max_length=120)),
                ("event_id", fields.UUIDField(null=True)),
                ("stream", fields.CharField(null=True, max_length=80)),
                ("payload", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("due_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("attempts", fields.IntField(db_default=0)),
                ("leased_until", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("last_error", fields.CharField(null=True, max_length=500)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("dead_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "outbox",
                "app": "engage",
                "unique_together": (("event_id", "handler"),),
                "pk_attr": "id",
                "table_description": "Work that was promised. It is done when `finished_at` commits together with the handler's effect.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Program",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("code", fields.CharField(unique=True, max_length=32)),
                ("name", fields.CharField(max_length=120)),
                (
                    "time_zone",
                    fields.CharField(description="IANA name; calendar days are counted here.", max_length=64),
                ),
                (
                    "money_currency",
                    fields.CharField(description="ISO 4217; purchases are in this currency.", max_length=3),
                ),
                (
                    "points_per_unit",
                    fields.DecimalField(
                        description="Points for one whole unit of money, floored per order.",
                        max_digits=12,
                        decimal_places=4,
                    ),
                ),
                (
                    "points_valid_for",
                    fields.CharField(
                        null=True,
                        description="ISO 8601 duration after which points expire; null means never.",
                        max_length=32,
                    ),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "programs",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "A brand, a region or a line of business, with its own points, rules and calendar.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Purchase",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("member_id", fields.UUIDField()),
                ("program_id", fields.UUIDField()),
                ("channel", fields.CharField(max_length=32)),
                ("store", fields.CharField(null=True, max_length=32)),
                ("order_no", fields.CharField(max_length=64)),
                ("amount", fields.DecimalField(max_digits=16, decimal_places=4)),
                ("currency", fields.CharField(description="ISO 4217.", max_length=3)),
                ("quantity", fields.IntField(null=True)),
                ("points", fields.BigIntField(description="Given for this order.")),
                (
                    "content_hash",
                    fields.BinaryField(description="Tells a repetition from another order of the same number."),
                ),
                ("purchased_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("recorded_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "purchases",
                "app": "engage",
                "unique_together": (("program_id", "channel", "order_no"),),
                "pk_attr": "id",
                "table_description": "One order of one member.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PurchaseLine",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "purchase",
                    fields.ForeignKeyField(
                        "engage.Purchase",
                        source_field="purchase_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="lines",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("line_no", fields.IntField(description="1, 2, 3 … in its order.")),
                ("item", fields.CharField(max_length=64)),
                ("category", fields.CharField(null=True, max_length=64)),
                ("brand", fields.CharField(null=True, max_length=64)),
                ("quantity", fields.IntField()),
                ("amount", fields.DecimalField(max_digits=16, decimal_places=4)),
            ],
            options={
                "table": "purchase_lines",
                "app": "engage",
                "unique_together": (("purchase_id", "line_no"),),
                "pk_attr": "id",
                "table_description": "One item of an order.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ScheduleTick",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("name", fields.CharField(max_length=80)),
                ("tick", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "schedule_ticks",
                "app": "engage",
                "unique_together": (("name", "tick"),),
                "pk_attr": "id",
                "table_description": "A moment at which a schedule was due. Unique by (name, tick), so that no tick is run twice.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Store",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "program",
                    fields.ForeignKeyField(
                        "engage.Program",
                        source_field="program_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="stores",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("code", fields.CharField(max_length=32)),
                ("name", fields.CharField(max_length=120)),
            ],
            options={
                "table": "stores",
                "app": "engage",
                "unique_together": (("program_id", "code"),),
                "pk_attr": "id",
                "table_description": "A shop of a program.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="StreamHead",
            fields=[
                (
                    "id",
                    fields.CharField(
                        primary_key=True,
                        unique=True,
                        db_index=True,
                        description="The stream, such as member:<id>.",
                        max_length=80,
                    ),
                ),
                ("position", fields.BigIntField(description="Position of the newest event.")),
                (
                    "kept_from",
                    fields.BigIntField(description="Lowest position that the log still holds.", db_default=1),
                ),
            ],
            options={
                "table": "stream_heads",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "How far a stream has come. Locked last in a command, so that positions have no gaps.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Transfer",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("member_id", fields.UUIDField()),
                (
                    "currency",
                    fields.ForeignKeyField(
                        "engage.Currency",
                        source_field="currency_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="transfers",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "account",
                    fields.ForeignKeyField(
                        "engage.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="transfers",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "kind",
                    fields.CharEnumField(
                        description="EARN: EARN\nSPEND: SPEND\nMATURE: MATURE\nEXPIRE: EXPIRE",
                        enum_type=TransferKind,
                        max_length=16,
                    ),
                ),
                ("amount", fields.BigIntField(description="Always positive; the kind tells the direction.")),
                ("reason", fields.CharField(max_length=64)),
                ("cause_type", fields.CharField(null=True, max_length=32)),
                ("cause_id", fields.CharField(null=True, max_length=80)),
                ("actor_id", fields.CharField(max_length=80)),
                (
                    "reverses_id",
                    fields.UUIDField(
                        null=True, description="The transfer that this one takes back, wholly or in part."
                    ),
                ),
                ("posted_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "balance_after",
                    fields.BigIntField(description="Available points of the member after this transfer."),
                ),
                (
                    "version_after",
                    fields.BigIntField(description="Version of the account after this transfer; orders a statement."),
                ),
            ],
            options={
                "table": "transfers",
                "app": "engage",
                "unique_together": (("account_id", "version_after"),),
                "pk_attr": "id",
                "table_description": "A movement of points. Immutable; its entries sum to zero.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Entry",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "transfer",
                    fields.ForeignKeyField(
                        "engage.Transfer",
                        source_field="transfer_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="entries",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "account",
                    fields.ForeignKeyField(
                        "engage.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="entries",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "bucket",
                    fields.CharEnumField(
                        description="AVAILABLE: AVAILABLE\nPENDING: PENDING\nHELD: HELD\nDEBT: DEBT\nHOUSE: HOUSE",
                        enum_type=Bucket,
                        max_length=16,
                    ),
                ),
                ("amount", fields.BigIntField(description="Signed. Entries of DEBT are negative where debt grows.")),
                ("balance_after", fields.BigIntField(null=True, description="Of the bucket; null for the house.")),
                (
                    "version",
                    fields.BigIntField(null=True, description="1, 2, 3 … in its account; null for the house."),
                ),
            ],
            options={
                "table": "entries",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "One leg of a transfer. Immutable.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Lot",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "engage.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="lots",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("member_id", fields.UUIDField()),
                (
                    "state",
                    fields.CharEnumField(
                        description="PENDING: PENDING\nOPEN: OPEN\nCLOSED: CLOSED", enum_type=LotState, max_length=8
                    ),
                ),
                ("amount", fields.BigIntField()),
                ("remaining", fields.BigIntField()),
                ("earned_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("usable_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "expires_at",
                    fields.DatetimeField(
                        null=True, description="Null means never.", auto_now=False, auto_now_add=False
                    ),
                ),
                (
                    "source",
                    fields.ForeignKeyField(
                        "engage.Transfer",
                        source_field="source_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="lots",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "origin_lot_id",
                    fields.UUIDField(null=True, description="Where it came from, after a gift, merge or reissue."),
                ),
            ],
            options={
                "table": "lots",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "Points that came at once and expire at once.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Allocation",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "transfer",
                    fields.ForeignKeyField(
                        "engage.Transfer",
                        source_field="transfer_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="allocations",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "lot",
                    fields.ForeignKeyField(
                        "engage.Lot",
                        source_field="lot_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="allocations",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("amount", fields.BigIntField()),
            ],
            options={
                "table": "allocations",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "What a transfer took from a lot (negative) or gave back to it. Immutable.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="TransferNote",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "transfer",
                    fields.OneToOneField(
                        "engage.Transfer",
                        source_field="transfer_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="note",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("member_id", fields.UUIDField(db_index=True)),
                ("address", fields.CharField(null=True, description="Network address of the caller.", max_length=64)),
                ("device", fields.CharField(null=True, max_length=200)),
                ("text", fields.CharField(null=True, max_length=500)),
            ],
            options={
                "table": "transfer_notes",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "What may have to be erased: stands beside the transfer, not in it.",
            },
            bases=["Model"],
        ),
    ]
