"""Tables of people and of the organisation."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from engage.domains.members.types import MemberState


class Program(Model):
    """A brand, a region or a line of business, with its own points, rules and calendar."""

    id = fields.UUIDField(primary_key=True)
    code = fields.CharField(max_length=32, unique=True)
    name = fields.CharField(max_length=120)
    time_zone = fields.CharField(max_length=64, description="IANA name; calendar days are counted here.")
    money_currency = fields.CharField(max_length=3, description="ISO 4217; purchases are in this currency.")
    points_per_unit = fields.DecimalField(
        max_digits=12, decimal_places=4, description="Points for one whole unit of money, floored per order."
    )
    points_valid_for = fields.CharField(
        max_length=32, null=True, description="ISO 8601 duration after which points expire; null means never."
    )
    created_at = fields.DatetimeField()

    class Meta:
        table = "programs"


class Channel(Model):
    """Where a person is known or buys: a shop till, the app, phone, e-mail, a marketplace."""

    id = fields.UUIDField(primary_key=True)
    code = fields.CharField(max_length=32, unique=True)
    name = fields.CharField(max_length=120)

    class Meta:
        table = "channels"


class Store(Model):
    """A shop of a program."""

    id = fields.UUIDField(primary_key=True)
    program: fields.ForeignKeyRelation[Program] = fields.ForeignKeyField(
        "engage.Program", related_name="stores", on_delete=fields.RESTRICT, db_index=True
    )
    program_id: UUID
    code = fields.CharField(max_length=32)
    name = fields.CharField(max_length=120)

    class Meta:
        table = "stores"
        unique_together = (("program_id", "code"),)


class Member(Model):
    """A person, once for the whole organisation."""

    id = fields.UUIDField(primary_key=True)
    state = fields.CharEnumField(MemberState, max_length=16)
    frozen_at = fields.DatetimeField(null=True, description="Since when the member is FROZEN; points stand still.")
    merged_into_id = fields.UUIDField(null=True, description="The survivor, when this profile was absorbed.")
    display_name = fields.CharField(max_length=120, null=True)
    locale = fields.CharField(max_length=16, description="Language of texts for this person, such as zh-CN.")
    birthday = fields.DateField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "members"


class Identity(Model):
    """How one channel knows a person. Unique in its channel."""

    id = fields.UUIDField(primary_key=True)
    member: fields.ForeignKeyRelation[Member] = fields.ForeignKeyField(
        "engage.Member", related_name="identities", on_delete=fields.RESTRICT, db_index=True
    )
    member_id: UUID
    channel = fields.CharField(max_length=32)
    identifier = fields.CharField(max_length=200, description="Normalised: see rules.normalise_identifier.")
    verified_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "identities"
        unique_together = (("channel", "identifier"),)
