"""Tables of the ledger. Transfers, entries and allocations are append only: the database refuses to change them."""

from __future__ import annotations

from uuid import UUID

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields import SqlDefault
from tortoise.models import Model

from engage.domains.ledger.types import (
    AccountKind,
    AdjustmentState,
    Bucket,
    CurrencyKind,
    GiftState,
    HoldPurpose,
    HoldState,
    LotState,
    TransferKind,
)


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
        null=True, description="Nothing matures, expires or is released before this; null when nothing ever will."
    )
    idle = fields.BooleanField(db_default=False, description="Has had points that expire by inactivity.")

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
    refers_id = fields.UUIDField(
        null=True, description="The transfer that this one completes: a hold, a debt, a gift, what is confirmed."
    )
    posted_at = fields.DatetimeField()
    balance_after = fields.BigIntField(description="Available points of the member after this transfer.")
    version_after = fields.BigIntField(description="Version of the account after this transfer; orders a statement.")
    tx = fields.BigIntField(
        description="The transaction that wrote it; orders what is sealed.",
        db_default=SqlDefault("public.ledger_tx_base() + pg_current_xact_id()::text::bigint"),
    )

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
    held = fields.BigIntField(db_default=0, description="What holds have set aside of it; not in `remaining`.")
    earned_at = fields.DatetimeField()
    usable_at = fields.DatetimeField(null=True, description="Null means when they are confirmed.")
    expires_at = fields.DatetimeField(null=True, description="Null means never.")
    idle = fields.BooleanField(db_default=False, description="Expires by inactivity: activities move the moment on.")
    fixed_end = fields.BooleanField(db_default=False, description="Its end was given by hand; no policy changes it.")
    source: fields.ForeignKeyRelation[Transfer] = fields.ForeignKeyField(
        "engage.Transfer", related_name="lots", on_delete=fields.RESTRICT, db_index=True
    )
    source_id: UUID
    origin_lot_id = fields.UUIDField(null=True, description="Where it came from, after a gift, merge or reissue.")
    hops = fields.IntField(db_default=0, description="How often these points were given from member to member.")

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
    amount = fields.BigIntField(description="Change of what remains of the lot.")
    held = fields.BigIntField(
        db_default=0, description="Change of what is held of it. What leaves the lot for good: less than zero in sum."
    )

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


class Hold(Model):
    """Points set aside until a deadline. Its id is that of the HOLD transfer; arrays in order of consumption."""

    id = fields.UUIDField(primary_key=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "engage.Account", related_name="holds", on_delete=fields.RESTRICT, db_index=True
    )
    account_id: UUID
    member_id = fields.UUIDField()
    purpose = fields.CharEnumField(HoldPurpose, max_length=8)
    state = fields.CharEnumField(HoldState, max_length=16)
    amount = fields.BigIntField()
    remaining = fields.BigIntField(description="Neither captured nor released.")
    lots = ArrayField("uuid", description="Whose points are still held.")
    takes = ArrayField("bigint", description="How many of each.")
    deadline = fields.DatetimeField()
    created_at = fields.DatetimeField()
    closed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "holds"


class Debt(Model):
    """Points that a member owes. Its id is that of the transfer that made it."""

    id = fields.UUIDField(primary_key=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "engage.Account", related_name="debts", on_delete=fields.RESTRICT, db_index=True
    )
    account_id: UUID
    lot_id = fields.UUIDField(null=True, description="The lot that was clawed back when it was spent already.")
    amount = fields.BigIntField()
    remaining = fields.BigIntField()
    forgiven = fields.BigIntField(db_default=0, description="Taken off unpaid by a reversal.")
    returned = fields.BigIntField(db_default=0, description="Paid, and given back by a reversal.")
    created_at = fields.DatetimeField()

    class Meta:
        table = "debts"


class Gift(Model):
    """Points from one member to another. Its id is that of the GIFT transfer, or of the HOLD while it is offered."""

    id = fields.UUIDField(primary_key=True)
    program_code = fields.CharField(max_length=32)
    sender_id = fields.UUIDField()
    recipient_id = fields.UUIDField()
    amount = fields.BigIntField()
    fee = fields.BigIntField()
    state = fields.CharEnumField(GiftState, max_length=16)
    day = fields.DateField(description="When it was given, in the program's zone; daily limits count by it.")
    deadline = fields.DatetimeField(null=True, description="Until when it can be accepted.")
    created_at = fields.DatetimeField()
    decided_at = fields.DatetimeField(null=True)

    class Meta:
        table = "gifts"


class ExchangeRate(Model):
    """What points of one program are worth in another: `numerator` for `denominator`. Published, never changed."""

    id = fields.UUIDField(primary_key=True)
    from_program = fields.CharField(max_length=32)
    to_program = fields.CharField(max_length=32)
    version = fields.IntField()
    numerator = fields.BigIntField()
    denominator = fields.BigIntField()
    effective_at = fields.DatetimeField()
    ends_at = fields.DatetimeField(null=True)
    published_at = fields.DatetimeField()
    published_by = fields.CharField(max_length=80)

    class Meta:
        table = "exchange_rates"
        unique_together = (("from_program", "to_program", "version"),)


class Adjustment(Model):
    """A correction that waits for a second person, or was decided."""

    id = fields.UUIDField(primary_key=True)
    member_id = fields.UUIDField(db_index=True)
    program_code = fields.CharField(max_length=32)
    amount = fields.BigIntField(description="Signed.")
    reason = fields.CharField(max_length=64)
    note = fields.CharField(max_length=500, null=True)
    expires_at = fields.DatetimeField(null=True)
    state = fields.CharEnumField(AdjustmentState, max_length=16)
    asked_by = fields.CharField(max_length=80)
    asked_at = fields.DatetimeField()
    decided_by = fields.CharField(max_length=80, null=True)
    decided_at = fields.DatetimeField(null=True)
    transfer_id = fields.UUIDField(null=True)

    class Meta:
        table = "adjustments"


class TopUp(Model):
    """Money that a member paid in. Its id is that of the TOP_UP transfer."""

    id = fields.UUIDField(primary_key=True)
    member_id = fields.UUIDField()
    program_code = fields.CharField(max_length=32)
    amount = fields.BigIntField(description="In minor units, without the bonus.")
    bonus = fields.BigIntField()
    bonus_transfer_id = fields.UUIDField(null=True)
    channel = fields.CharField(max_length=32)
    store = fields.CharField(max_length=32, null=True)
    payment_reference = fields.CharField(max_length=80, description="Of the payment outside; counts once.")
    paid_at = fields.DatetimeField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "top_ups"
        unique_together = (("program_code", "payment_reference"),)


class LedgerBlock(Model):
    """Transfers as they were when they were sealed, each block bound to the one before. Immutable."""

    height = fields.BigIntField(primary_key=True, description="1, 2, 3 …")
    format = fields.SmallIntField(description="How hashes are made; 1 at present.")
    last_tx = fields.BigIntField(description="With last_id: the last transfer of the block.")
    last_id = fields.UUIDField()
    count = fields.IntField(description="How many transfers it has.")
    leaves = fields.BinaryField(description="For each, 16 bytes of its id and 8 of its hash.")
    content = fields.BinaryField(description="The hash of all their hashes.")
    previous = fields.BinaryField(description="The digest of the block before.")
    digest = fields.BinaryField(description="The hash of all the other columns but leaves.")
    sealed_at = fields.DatetimeField()

    class Meta:
        table = "ledger_blocks"
