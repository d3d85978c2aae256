"""The ledger whole: holds, debts, gifts, exchange rates, adjustments, top-ups; points in more than one state."""

from tortoise import fields, migrations
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops

from engage.domains.ledger.types import AccountKind, AdjustmentState, GiftState, HoldPurpose, HoldState, TransferKind

INDEXES = [
    "CREATE INDEX transfers_referring ON transfers (refers_id) WHERE refers_id IS NOT NULL",
    "CREATE INDEX lots_of_origin ON lots (origin_lot_id) WHERE origin_lot_id IS NOT NULL",
    "CREATE INDEX holds_open ON holds (account_id, deadline) WHERE state = 'OPEN'",
    "CREATE INDEX holds_of_member ON holds (member_id, id DESC)",
    "CREATE INDEX debts_open ON debts (account_id, created_at, id) WHERE remaining > 0",
    "CREATE INDEX gifts_of_sender ON gifts (sender_id, program_code, day)",
    "CREATE INDEX gifts_of_recipient ON gifts (recipient_id, id DESC)",
    "CREATE INDEX adjustments_waiting ON adjustments (asked_at, id) WHERE state = 'WAITING'",
    "CREATE INDEX top_ups_of_member ON top_ups (member_id, id DESC)",
]

# NOT VALID: what is there already is not read; what comes is checked.
CHECKS = [
    (
        "ALTER TABLE allocations DROP CONSTRAINT allocations_move,"
        " ADD CONSTRAINT allocations_move CHECK (amount <> 0 OR held <> 0) NOT VALID"
    ),
    "ALTER TABLE lots ADD CONSTRAINT lots_held CHECK (held >= 0 AND remaining + held <= amount) NOT VALID",
    # 2^53 - 1: the largest figure that a JSON number holds exactly.
    (
        "ALTER TABLE accounts ADD CONSTRAINT accounts_limit"
        " CHECK (available::numeric + pending + held <= 9007199254740991 AND debt <= 9007199254740991) NOT VALID"
    ),
    (
        "ALTER TABLE holds ADD CONSTRAINT holds_remaining"
        " CHECK (remaining BETWEEN 0 AND amount AND (state = 'OPEN') = (remaining > 0))"
    ),
    (
        "ALTER TABLE debts ADD CONSTRAINT debts_remaining"
        " CHECK (least(remaining, forgiven, returned) >= 0 AND remaining + forgiven + returned <= amount)"
    ),
    "ALTER TABLE exchange_rates ADD CONSTRAINT exchange_rates_positive CHECK (least(numerator, denominator) > 0)",
    "ALTER TABLE members ADD CONSTRAINT members_frozen CHECK ((state = 'FROZEN') = (frozen_at IS NOT NULL)) NOT VALID",
]

STORAGE = [
    "ALTER TABLE holds SET (fillfactor = 80)",
    "ALTER TABLE debts SET (fillfactor = 80)",
]

BACKFILL = [
    "UPDATE members SET frozen_at = now() WHERE state = 'FROZEN' AND frozen_at IS NULL",
    (
        "INSERT INTO accounts (id, currency_id, kind) SELECT gen_random_uuid(), c.id, k.kind"
        " FROM currencies c, unnest(ARRAY['TRANSFERRED', 'FEES']) AS k (kind) ON CONFLICT DO NOTHING"
    ),
]


class Migration(migrations.Migration):
    dependencies = [("engage", "0006_points_policies")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Adjustment",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("member_id", fields.UUIDField(db_index=True)),
                ("program_code", fields.CharField(max_length=32)),
                ("amount", fields.BigIntField(description="Signed.")),
                ("reason", fields.CharField(max_length=64)),
                ("note", fields.CharField(null=True, max_length=500)),
                ("expires_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
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
                ("transfer_id", fields.UUIDField(null=True)),
            ],
            options={
                "table": "adjustments",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "A correction that waits for a second person, or was decided.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Debt",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "engage.Account",
                        source_field="account_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="debts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "lot_id",
                    fields.UUIDField(
                        null=True, description="The lot that was clawed back when it was spent already."
                    ),
                ),
                ("amount", fields.BigIntField()),
                ("remaining", fields.BigIntField()),
                ("forgiven", fields.BigIntField(description="Taken off unpaid by a reversal.", db_default=0)),
                ("returned", fields.BigIntField(description="Paid, and given back by a reversal.", db_default=0)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "debts",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "Points that a member owes. Its id is that of the transfer that made it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ExchangeRate",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("from_program", fields.CharField(max_length=32)),
                ("to_program", fields.CharField(max_length=32)),
                ("version", fields.IntField()),
                ("numerator", fields.BigIntField()),
                ("denominator", fields.BigIntField()),
                ("effective_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ends_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("published_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("published_by", fields.CharField(max_length=80)),
            ],
            options={
                "table": "exchange_rates",
                "app": "engage",
                "unique_together": (("from_program", "to_program", "version"),),
                "pk_attr": "id",
                "table_description": "What points of one program are worth in another: `numerator` for `denominator`. Published, never changed.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Gift",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("program_code", fields.CharField(max_length=32)),
                ("sender_id", fields.UUIDField()),
                ("recipient_id", fields.UUIDField()),
                ("amount", fields.BigIntField()),
                ("fee", fields.BigIntField()),
                (
                    "state",
                    fields.CharEnumField(
                        description="GIVEN: GIVEN\nOFFERED: OFFERED\nACCEPTED: ACCEPTED\nDECLINED: DECLINED\nWITHDRAWN: WITHDRAWN\nEXPIRED: EXPIRED",
                        enum_type=GiftState,
                        max_length=16,
                    ),
                ),
                (
                    "day",
                    fields.DateField(
                        description="When it was given, in the program's zone; daily limits count by it."
                    ),
                ),
                (
                    "deadline",
                    fields.DatetimeField(
                        null=True, description="Until when it can be accepted.", auto_now=False, auto_now_add=False
                    ),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("decided_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "gifts",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "Points from one member to another. Its id is that of the GIFT transfer, or of the HOLD while it is offered.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Hold",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "engage.Account",
                        source_field="account_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="holds",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("member_id", fields.UUIDField()),
                (
                    "purpose",
                    fields.CharEnumField(description="SPEND: SPEND\nGIFT: GIFT", enum_type=HoldPurpose, max_length=8),
                ),
                (
                    "state",
                    fields.CharEnumField(
                        description="OPEN: OPEN\nCAPTURED: CAPTURED\nRELEASED: RELEASED\nEXPIRED: EXPIRED",
                        enum_type=HoldState,
                        max_length=16,
                    ),
                ),
                ("amount", fields.BigIntField()),
                ("remaining", fields.BigIntField(description="Neither captured nor released.")),
                ("lots", ArrayField(description="Whose points are still held.", element_type="UUID")),
                ("takes", ArrayField(description="How many of each.", element_type="BIGINT")),
                ("deadline", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("closed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "holds",
                "app": "engage",
                "pk_attr": "id",
                "table_description": "Points set aside until a deadline. Its id is that of the HOLD transfer; arrays in order of consumption.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="TopUp",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("member_id", fields.UUIDField()),
                ("program_code", fields.CharField(max_length=32)),
                ("amount", fields.BigIntField(description="In minor units, without the bonus.")),
                ("bonus", fields.BigIntField()),
                ("bonus_transfer_id", fields.UUIDField(null=True)),
                ("channel", fields.CharField(max_length=32)),
                ("store", fields.CharField(null=True, max_length=32)),
                (
                    "payment_reference",
                    fields.CharField(description="Of the payment outside; counts once.", max_length=80),
                ),
                ("paid_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "top_ups",
                "app": "engage",
                "unique_together": (("program_code", "payment_reference"),),
                "pk_attr": "id",
                "table_description": "Money that a member paid in. Its id is that of the TOP_UP transfer.",
            },
            bases=["Model"],
        ),
        ops.AlterField(
            model_name="Account",
            name="kind",
            field=fields.CharEnumField(
                description="MEMBER: MEMBER\nISSUED: ISSUED\nREDEEMED: REDEEMED\nEXPIRED: EXPIRED\nFORFEITED: FORFEITED\nDONATED: DONATED\nEXCHANGED: EXCHANGED\nADJUSTED: ADJUSTED\nTRANSFERRED: TRANSFERRED\nFEES: FEES",
                enum_type=AccountKind,
                max_length=16,
            ),
        ),
        ops.AlterField(
            model_name="Account",
            name="next_due_at",
            field=fields.DatetimeField(
                null=True,
                description="Nothing matures, expires or is released before this; null when nothing ever will.",
                auto_now=False,
                auto_now_add=False,
            ),
        ),
        ops.AddField(
            model_name="Account",
            name="idle",
            field=fields.BooleanField(description="Has had points that expire by inactivity.", db_default=False),
        ),
        ops.AlterField(
            model_name="Allocation",
            name="amount",
            field=fields.BigIntField(description="Change of what remains of the lot."),
        ),
        ops.AddField(
            model_name="Allocation",
            name="held",
            field=fields.BigIntField(
                description="Change of what is held of it. What leaves the lot for good: less than zero in sum.",
                db_default=0,
            ),
        ),
        ops.AlterField(
            model_name="Lot",
            name="usable_at",
            field=fields.DatetimeField(
                null=True, description="Null means when they are confirmed.", auto_now=False, auto_now_add=False
            ),
        ),
        ops.AddField(
            model_name="Lot",
            name="held",
            field=fields.BigIntField(
                description="What holds have set aside of it; not in `remaining`.", db_default=0
            ),
        ),
        ops.AddField(
            model_name="Lot",
            name="hops",
            field=fields.IntField(
                description="How often these points were given from member to member.", db_default=0
            ),
        ),
        ops.AddField(
            model_name="Lot",
            name="idle",
            field=fields.BooleanField(
                description="Expires by inactivity: activities move the moment on.", db_default=False
            ),
        ),
        ops.AddField(
            model_name="Member",
            name="frozen_at",
            field=fields.DatetimeField(
                null=True,
                description="Since when the member is FROZEN; points stand still.",
                auto_now=False,
                auto_now_add=False,
            ),
        ),
        ops.AlterField(
            model_name="Transfer",
            name="kind",
            field=fields.CharEnumField(
                description="EARN: EARN\nCONFIRM: CONFIRM\nMATURE: MATURE\nEXPIRE: EXPIRE\nSPEND: SPEND\nHOLD: HOLD\nCAPTURE: CAPTURE\nRELEASE: RELEASE\nREVERSE: REVERSE\nCLAWBACK: CLAWBACK\nDEBT_PAID: DEBT_PAID\nGIFT: GIFT\nRECEIVE: RECEIVE\nFEE: FEE\nDONATE: DONATE\nEXCHANGE_OUT: EXCHANGE_OUT\nEXCHANGE_IN: EXCHANGE_IN\nDEDUCT: DEDUCT\nRESTORE: RESTORE\nADJUST_UP: ADJUST_UP\nADJUST_DOWN: ADJUST_DOWN\nTOP_UP: TOP_UP\nREFUND: REFUND\nMERGE_OUT: MERGE_OUT\nMERGE_IN: MERGE_IN",
                enum_type=TransferKind,
                max_length=16,
            ),
        ),
        ops.AddField(
            model_name="Transfer",
            name="refers_id",
            field=fields.UUIDField(
                null=True,
                description="The transfer that this one completes: a hold, a debt, a gift, what is confirmed.",
            ),
        ),
        *(ops.RunSQL(statement) for statement in INDEXES + CHECKS + STORAGE + BACKFILL),
    ]
