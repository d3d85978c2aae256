"""Tables of the ledger. Transfers, entries and allocations are append only: the database refuses to change them."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from engage.domains.ledger.types import AccountKind, Bucket, CurrencyKind, LotState, TransferKind


class Currency(Model):
    """The points, or the stored value, of one program. Amounts are integers in its smallest unit."""

    id = fields.UUIDField(primary_key=True)
    program_id = fields.UUIDField()
    program_code = fields.CharField(max_length=32)
    kind = fields.CharEnumField(CurrencyKind, max_length=8)

    class Meta:
        table = "currencies"
        unique_together = (("program_id", "kind"), ("program_code", "kind"))


class Account(Model):
    """A member's figures in one currency (a cache that `engage ledger verify` rebuilds), or a house account."""

    id = fields.UUIDField(primary_key=True)
    currency: fields.ForeignKeyRelation[Currency] = fields.ForeignKeyField(
        "engage.Currency", related_name="accounts", on_delete=fields.RESTRICT, db_index=False
    )
    currency_id: UUID
    kind = fields.CharEnumField(AccountKind, max_length=16)
    member_id = fields.UUIDField(null=True)
    available = fields.BigIntField(db_default=0)
    pending = fields.BigIntField(db_default=0)
    held = fields.BigIntField(db_default=0)
    debt = fields.BigIntField(db_default=0)
    version = fields.BigIntField(db_default=0, description="How many entries this account has.")
    next_due_at = fields.DatetimeField(
        null=True, description="No lot matures or expires before this; null when none ever will."
    )

    class Meta:
        table = "accounts"


class Transfer(Model):
    """A movement of points. Immutable; its entries sum to zero."""

    id = fields.UUIDField(primary_key=True)
    member_id = fields.UUIDField()
    currency: fields.ForeignKeyRelation[Currency] = fields.ForeignKeyField(
        "engage.Currency", related_name="transfers", on_delete=fields.RESTRICT, db_index=False
    )
    currency_id: UUID
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "engage.Account", related_name="transfers", on_delete=fields.RESTRICT, db_index=False
    )
    account_id: UUID
    kind = fields.CharEnumField(TransferKind, max_length=16)
    amount = fields.BigIntField(description="Always positive; the kind tells the direction.")
    reason = fields.CharField(max_length=64)
    cause_type = fields.CharField(max_length=32, null=True)
    cause_id = fields.CharField(max_length=80, null=True)
    actor_id = fields.CharField(max_length=80)
    reverses_id = fields.UUIDField(null=True, description="The transfer that this one takes back, wholly or in part.")
    posted_at = fields.DatetimeField()
    balance_after = fields.BigIntField(description="Available points of the member after this transfer.")
    version_after = fields.BigIntField(description="Version of the account after this transfer; orders a statement.")

    class Meta:
        table = "transfers"
        unique_together = (("account_id", "version_after"),)


class TransferNote(Model):
    """What may have to be erased: stands beside the transfer, not in it."""

    id = fields.UUIDField(primary_key=True)
    transfer: fields.OneToOneRelation[Transfer] = fields.OneToOneField(
        "engage.Transfer", related_name="note", on_delete=fields.RESTRICT
    )
    transfer_id: UUID
    member_id = fields.UUIDField(db_index=True)
    address = fields.CharField(max_length=64, null=True, description="Network address of the caller.")
    device = fields.CharField(max_length=200, null=True)
    text = fields.CharField(max_length=500, null=True)

    class Meta:
        table = "transfer_notes"


class Entry(Model):
    """One leg of a transfer. Immutable."""

    id = fields.BigIntField(primary_key=True, generated=True)
    transfer: fields.ForeignKeyRelation[Transfer] = fields.ForeignKeyField(
        "engage.Transfer", related_name="entries", on_delete=fields.RESTRICT, db_index=True
    )
    transfer_id: UUID
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "engage.Account", related_name="entries", on_delete=fields.RESTRICT, db_index=False
    )
    account_id: UUID
    bucket = fields.CharEnumField(Bucket, max_length=16)
    amount = fields.BigIntField(description="Signed. Entries of DEBT are negative where debt grows.")
    balance_after = fields.BigIntField(null=True, description="Of the bucket; null for the house.")
    version = fields.BigIntField(null=True, description="1, 2, 3 … in its account; null for the house.")

    class Meta:
        table = "entries"


class Lot(Model):
    """Points that came at once and expire at once."""

    id = fields.UUIDField(primary_key=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "engage.Account", related_name="lots", on_delete=fields.RESTRICT, db_index=False
    )
    account_id: UUID
    member_id = fields.UUIDField()
    state = fields.CharEnumField(LotState, max_length=8)
    amount = fields.BigIntField()
    remaining = fields.BigIntField()
    earned_at = fields.DatetimeField()
    usable_at = fields.DatetimeField()
    expires_at = fields.DatetimeField(null=True, description="Null means never.")
    source: fields.ForeignKeyRelation[Transfer] = fields.ForeignKeyField(
        "engage.Transfer", related_name="lots", on_delete=fields.RESTRICT, db_index=True
    )
    source_id: UUID
    origin_lot_id = fields.UUIDField(null=True, description="Where it came from, after a gift, merge or reissue.")

    class Meta:
        table = "lots"


class Allocation(Model):
    """What a transfer took from a lot (negative) or gave back to it. Immutable."""

    id = fields.BigIntField(primary_key=True, generated=True)
    transfer: fields.ForeignKeyRelation[Transfer] = fields.ForeignKeyField(
        "engage.Transfer", related_name="allocations", on_delete=fields.RESTRICT, db_index=True
    )
    transfer_id: UUID
    lot: fields.ForeignKeyRelation[Lot] = fields.ForeignKeyField(
        "engage.Lot", related_name="allocations", on_delete=fields.RESTRICT, db_index=True
    )
    lot_id: UUID
    amount = fields.BigIntField()

    class Meta:
        table = "allocations"


class ExpiryReminder(Model):
    """A reminder that was given: one per account, day of expiry and distance."""

    id = fields.UUIDField(primary_key=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "engage.Account", related_name="reminders", on_delete=fields.RESTRICT, db_index=False
    )
    account_id: UUID
    expires_on = fields.DateField(description="Day in the program's zone.")
    days_before = fields.IntField()
    amount = fields.BigIntField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "expiry_reminders"
        unique_together = (("account_id", "expires_on", "days_before"),)
