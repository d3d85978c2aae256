"""Points policies: the rules of a program's ledger, in versions that are published."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.fields.db_defaults import SqlDefault
from tortoise.migrations import operations as ops

from engage.domains.ledger.policy.types import ExpiryKind, ExpiryPeriod, ExpiryRound, MovedExpiry, ReturnedKind


class Migration(migrations.Migration):
    dependencies = [("engage", "0005_webhooks")]

    initial = False

    operations = [
        ops.CreateModel(
            name="PointsPolicy",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("program_id", fields.UUIDField()),
                ("program_code", fields.CharField(max_length=32)),
                ("version", fields.IntField(description="1, 2, 3 … in its program.")),
                ("effective_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("published_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "published_by",
                    fields.CharField(description="Who published it: the subject of a token.", max_length=80),
                ),
                (
                    "expiry_kind",
                    fields.CharEnumField(
                        description="NEVER: NEVER\nROLLING: ROLLING\nFIXED: FIXED\nCALENDAR: CALENDAR\nINACTIVITY: INACTIVITY",
                        enum_type=ExpiryKind,
                        max_length=16,
                    ),
                ),
                (
                    "expiry_after",
                    fields.CharField(null=True, description="For ROLLING and INACTIVITY.", max_length=32),
                ),
                (
                    "expiry_round",
                    fields.CharEnumField(
                        description="NONE: NONE\nDAY: DAY\nMONTH: MONTH\nQUARTER: QUARTER\nYEAR: YEAR",
                        db_default="NONE",
                        enum_type=ExpiryRound,
                        max_length=8,
                    ),
                ),
                ("expiry_month", fields.IntField(null=True, description="For FIXED, with the day.")),
                ("expiry_day", fields.IntField(null=True, description="29 February is the 28th in common years.")),
                (
                    "expiry_period",
                    fields.CharEnumField(
                        null=True, description="For CALENDAR.", enum_type=ExpiryPeriod, max_length=8
                    ),
                ),
                (
                    "expiry_count",
                    fields.IntField(null=True, description="Whole periods after the present one; 0 is this one."),
                ),
                (
                    "expiry_activities",
                    fields.JSONField(
                        description="For INACTIVITY: kinds of transfers that count as activity.",
                        db_default=SqlDefault('\'["EARN", "SPEND"]\''),
                        encoder=JSON_DUMPS,
                        decoder=loads,
                    ),
                ),
                (
                    "returned_kind",
                    fields.CharEnumField(
                        description="LOST: LOST\nREISSUED: REISSUED",
                        db_default="LOST",
                        enum_type=ReturnedKind,
                        max_length=8,
                    ),
                ),
                (
                    "returned_grace",
                    fields.CharField(null=True, description="For REISSUED: how long they last.", max_length=32),
                ),
                ("hold_longest", fields.CharField(db_default="P30D", max_length=32)),
                ("gift_daily_points", fields.BigIntField(null=True)),
                ("gift_daily_count", fields.IntField(null=True)),
                ("gift_fee_per_mille", fields.IntField(db_default=0)),
                ("gift_fee_fixed", fields.BigIntField(db_default=0)),
                (
                    "gift_expiry",
                    fields.CharEnumField(
                        description="KEEP: KEEP\nRENEW: RENEW", db_default="KEEP", enum_type=MovedExpiry, max_length=8
                    ),
                ),
                (
                    "gift_accept_within",
                    fields.CharField(null=True, description="Null: a gift goes at once.", max_length=32),
                ),
                (
                    "gift_hops_max",
                    fields.IntField(description="How often points that were a gift may be given on.", db_default=1),
                ),
                (
                    "exchange_expiry",
                    fields.CharEnumField(
                        description="KEEP: KEEP\nRENEW: RENEW",
                        db_default="RENEW",
                        enum_type=MovedExpiry,
                        max_length=8,
                    ),
                ),
                (
                    "adjust_alone_max",
                    fields.BigIntField(
                        null=True, description="An adjustment above it needs a second person; null: none does."
                    ),
                ),
                (
                    "top_up_bonus",
                    fields.JSONField(
                        description="Steps of {from, per_mille, fixed}: the highest `from` not above the amount counts.",
                        db_default="[]",
                        encoder=JSON_DUMPS,
                        decoder=loads,
                    ),
                ),
                ("top_up_bonus_valid_for", fields.CharField(null=True, max_length=32)),
            ],
            options={
                "table": "points_policies",
                "app": "engage",
                "unique_together": (("program_code", "version"),),
                "pk_attr": "id",
                "table_description": "One version of the rules of a program's ledger. Durations are ISO 8601; null means no such limit.",
            },
            bases=["Model"],
        ),
    ]
