"""All writes of the ledger: thin Python over the SQL kernel, one round trip a command."""

from engage.domains.ledger.service.adjusting import (
    Adjusted,
    Approved,
    adjust_points,
    approve_adjustment,
    reject_adjustment,
)
from engage.domains.ledger.service.correcting import Correction, adjust_many
from engage.domains.ledger.service.earning import (
    PostedEarnings,
    cancel_pending,
    confirm_pending,
    earn_points,
    find_beyond,
    post_earnings,
)
from engage.domains.ledger.service.giving import (
    accept_gift,
    decline_gift,
    exchange_points,
    gift_points,
    publish_exchange_rate,
    withdraw_gift,
)
from engage.domains.ledger.service.keeping import (
    merge_accounts,
    remind_expiring,
    reschedule_lots,
    resume_clocks,
    sweep_due,
)
from engage.domains.ledger.service.reversing import clawback_points, deduct_points, restore_points, reverse_transfer
from engage.domains.ledger.service.spending import (
    capture_hold,
    donate_points,
    hold_points,
    release_hold,
    spend_points,
)
from engage.domains.ledger.service.value import hold_stored_value, pay_stored_value, refund_top_up, top_up

__all__ = [
    "Adjusted",
    "Approved",
    "Correction",
    "PostedEarnings",
    "accept_gift",
    "adjust_many",
    "adjust_points",
    "approve_adjustment",
    "cancel_pending",
    "capture_hold",
    "clawback_points",
    "confirm_pending",
    "decline_gift",
    "deduct_points",
    "donate_points",
    "earn_points",
    "exchange_points",
    "find_beyond",
    "gift_points",
    "hold_points",
    "hold_stored_value",
    "merge_accounts",
    "pay_stored_value",
    "post_earnings",
    "publish_exchange_rate",
    "refund_top_up",
    "reject_adjustment",
    "release_hold",
    "remind_expiring",
    "reschedule_lots",
    "restore_points",
    "resume_clocks",
    "reverse_transfer",
    "spend_points",
    "sweep_due",
    "top_up",
    "withdraw_gift",
]
