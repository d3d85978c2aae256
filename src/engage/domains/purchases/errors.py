"""Expected refusals of purchases."""

from __future__ import annotations

from engage.base.errors import Refusal


class OrderConflict(Refusal):
    """Another order is on file under this number, channel and program."""

    code = "ORDER_CONFLICT"


class UnknownCurrency(Refusal):
    """The program does not take this currency; `known` lists those that it does."""

    code = "UNKNOWN_CURRENCY"


class UnknownStore(Refusal):
    """The program has no store of this code."""

    code = "UNKNOWN_STORE"
