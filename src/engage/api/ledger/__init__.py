"""Points and stored value: balances, and every command that moves them, by noun."""

from __future__ import annotations

import strawberry

from engage.api.ledger.adjusting import AdjustingMutation, Adjustment, adjustment
from engage.api.ledger.earning import EarningMutation
from engage.api.ledger.exchanging import ExchangeRate, ExchangingMutation, exchange_rate
from engage.api.ledger.giving import GivingMutation
from engage.api.ledger.holds import HoldsMutation
from engage.api.ledger.inputs import DEFAULT_PROGRAM, CauseInput, Program
from engage.api.ledger.penalties import PenaltiesMutation
from engage.api.ledger.reversing import ReversingMutation
from engage.api.ledger.spending import SpendingMutation
from engage.api.ledger.subscription import LedgerSubscription
from engage.api.ledger.types import (
    Balance,
    Cause,
    ExpiryLine,
    ExpirySchedule,
    StoredValueBalance,
    balance,
    cause,
    expiry_schedule,
    stored_value_balance,
)
from engage.api.ledger.value import ValueMutation

__all__ = [
    "DEFAULT_PROGRAM",
    "Adjustment",
    "Balance",
    "Cause",
    "CauseInput",
    "ExchangeRate",
    "ExpiryLine",
    "ExpirySchedule",
    "LedgerMutation",
    "LedgerSubscription",
    "Program",
    "StoredValueBalance",
    "adjustment",
    "balance",
    "cause",
    "exchange_rate",
    "expiry_schedule",
    "stored_value_balance",
]


@strawberry.type
class LedgerMutation(
    EarningMutation,
    SpendingMutation,
    HoldsMutation,
    ReversingMutation,
    PenaltiesMutation,
    GivingMutation,
    ExchangingMutation,
    AdjustingMutation,
    ValueMutation,
):
    """Commands of the ledger."""
