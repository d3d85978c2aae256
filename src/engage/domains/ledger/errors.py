"""Expected refusals of the ledger. Figures are points; with `money`, minor units of stored value in that currency."""

from __future__ import annotations

from engage.base.errors import Refusal


class InsufficientPoints(Refusal):
    """The member has `available` points where `required` are needed."""

    code = "INSUFFICIENT_POINTS"


class MemberNotActive(Refusal):
    """The member's `state` lets no points move this way."""

    code = "MEMBER_NOT_ACTIVE"


class BalanceLimit(Refusal):
    """The account has `balance` and would go beyond `limit` with `required` more."""

    code = "BALANCE_LIMIT"


class HoldNotOpen(Refusal):
    """The hold has ended: its `state` says how, its `deadline` when at the latest."""

    code = "HOLD_NOT_OPEN"


class ExceedsHold(Refusal):
    """`required` points are more than the hold's `remaining`."""

    code = "EXCEEDS_HOLD"


class NotReversible(Refusal):
    """A transfer of this `kind`, or a reversal, is not taken back by this command."""

    code = "NOT_REVERSIBLE"


class ExceedsReversible(Refusal):
    """`required` points are more than the transfer's `remaining` to reverse."""

    code = "EXCEEDS_REVERSIBLE"


class NotPending(Refusal):
    """The points of this transfer are not pending; `state` is that of their lot."""

    code = "NOT_PENDING"


class GiftLimit(Refusal):
    """The gift goes beyond the program's `limit` of this `limit_kind`; `remaining` can still be given."""

    code = "GIFT_LIMIT"


class GiftDecided(Refusal):
    """The gift was accepted, declined, withdrawn or has expired, as its `state` says."""

    code = "GIFT_DECIDED"


class RateNotInForce(Refusal):
    """No exchange rate is in force, or another one, `rate_id`, than the caller was shown."""

    code = "RATE_NOT_IN_FORCE"


class PaymentUsed(Refusal):
    """A payment outside was put in already."""

    code = "PAYMENT_USED"


class SecondPersonNeeded(Refusal):
    """Whoever asked for a correction cannot be the one who approves it."""

    code = "SECOND_PERSON_NEEDED"


class AdjustmentDecided(Refusal):
    """The correction was approved or rejected already, as its `state` says."""

    code = "ADJUSTMENT_DECIDED"
