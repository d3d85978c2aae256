"""The table of points policies. Append only: what was published is never changed."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.fields.db_defaults import SqlDefault
from tortoise.models import Model

from engage.domains.ledger.policy.types import ExpiryKind, ExpiryPeriod, ExpiryRound, MovedExpiry, ReturnedKind


class PointsPolicy(Model):
    """One version of the rules of a program's ledger. Durations are ISO 8601; null means no such limit."""

    id = fields.UUIDField(primary_key=True)
    program_id = fields.UUIDField()
    program_code = fields.CharField(max_length=32)
    version = fields.IntField(description="1, 2, 3 … in its program.")
    effective_at = fields.DatetimeField()
    published_at = fields.DatetimeField()
    published_by = fields.CharField(max_length=80, description="Who published it: the subject of a token.")
    expiry_kind = fields.CharEnumField(ExpiryKind, max_length=16)
    expiry_after = fields.CharField(max_length=32, null=True, description="For ROLLING and INACTIVITY.")
    expiry_round = fields.CharEnumField(ExpiryRound, max_length=8, db_default=ExpiryRound.NONE.value)
    expiry_month = fields.IntField(null=True, description="For FIXED, with the day.")
    expiry_day = fields.IntField(null=True, description="29 February is the 28th in common years.")
    expiry_period = fields.CharEnumField(ExpiryPeriod, max_length=8, null=True, description="For CALENDAR.")
    expiry_count = fields.IntField(null=True, description="Whole periods after the present one; 0 is this one.")
    expiry_activities = fields.JSONField[Any](
        db_default=SqlDefault("""'["EARN", "SPEND"]'"""),
        description="For INACTIVITY: kinds of transfers that count as activity.",
    )
    returned_kind = fields.CharEnumField(ReturnedKind, max_length=8, db_default=ReturnedKind.LOST.value)
    returned_grace = fields.CharField(max_length=32, null=True, description="For REISSUED: how long they last.")
    hold_longest = fields.CharField(max_length=32, db_default="P30D")
    gift_daily_points = fields.BigIntField(null=True)
    gift_daily_count = fields.IntField(null=True)
    gift_fee_per_mille = fields.IntField(db_default=0)
    gift_fee_fixed = fields.BigIntField(db_default=0)
    gift_expiry = fields.CharEnumField(MovedExpiry, max_length=8, db_default=MovedExpiry.KEEP.value)
    gift_accept_within = fields.CharField(max_length=32, null=True, description="Null: a gift goes at once.")
    gift_hops_max = fields.IntField(db_default=1, description="How often points that were a gift may be given on.")
    exchange_expiry = fields.CharEnumField(MovedExpiry, max_length=8, db_default=MovedExpiry.RENEW.value)
    adjust_alone_max = fields.BigIntField(
        null=True, description="An adjustment above it needs a second person; null: none does."
    )
    top_up_bonus = fields.JSONField[Any](
        db_default="[]",
        description="Steps of {from, per_mille, fixed}: the highest `from` not above the amount counts.",
    )
    top_up_bonus_valid_for = fields.CharField(max_length=32, null=True)

    class Meta:
        table = "points_policies"
        unique_together = (("program_code", "version"),)


class ExpiryPreview(Model):
    """What a version would do to the points that are there, as somebody was shown it; needed to have it done."""

    id = fields.UUIDField(primary_key=True)
    program_code = fields.CharField(max_length=32)
    version = fields.IntField()
    notice = fields.CharField(max_length=32, description="ISO 8601: nobody loses points sooner than after this.")
    lots = fields.BigIntField()
    sooner = fields.BigIntField(description="Points that would expire sooner.")
    later = fields.BigIntField(description="Points that would expire later, or never.")
    previewed_at = fields.DatetimeField()
    previewed_by = fields.CharField(max_length=80)
    job_id = fields.UUIDField(null=True, description="The job that applies it.")

    class Meta:
        table = "expiry_previews"
