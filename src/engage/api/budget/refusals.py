"""Why a request is not taken, or an operation not begun: too dear, too much, or too often. Nothing was done."""

from __future__ import annotations

import math
from typing import Any, Final

from prometheus_client import Counter

from engage.base.errors import Refusal
from engage.base.metrics import REGISTRY

REFUSED: Final = Counter(
    "engage_refused_by_limit", "Requests and operations that a limit refused, by kind.", ["kind"], registry=REGISTRY
)


class CostTooHigh(Refusal):
    """One operation asks for more than any may: it has to be made smaller."""

    code = "COST_TOO_HIGH"


class TooMany(Refusal):
    """It was too much at this moment: the same may pass in `retry_after` seconds."""

    def __init__(self, message: str, wait_s: float, **extras: Any) -> None:  # noqa: ANN401 -- figures, as in Refusal
        self.retry_after = max(1, math.ceil(wait_s))
        super().__init__(message, retryAfter=self.retry_after, **extras)


class BudgetExhausted(TooMany):
    """The caller's budget has not as much as the operation costs."""

    code = "BUDGET_EXHAUSTED"


class RateLimited(TooMany):
    """Too many requests came of this caller, or from this address."""

    code = "RATE_LIMITED"
