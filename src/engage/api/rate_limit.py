"""How the caller's budget stands."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.fields import field


@strawberry.type(description="What the caller may still spend, and what this operation cost.")
class RateLimit:
    """As engage.api.budget.limiter.Charge; the same stands in `extensions.cost` of every answer."""

    cost: int = strawberry.field(description="What this operation cost, this field included.")
    limit: int = strawberry.field(description="What the budget holds when it is full.")
    remaining: int = strawberry.field(description="What is left of it, as far as this gateway knows.")
    restore_rate: int = strawberry.field(description="What comes back each second, up to the limit.")
    reset_at: datetime = strawberry.field(description="When it is full again if nothing more is spent.")


@strawberry.type
class RateLimitQuery:
    """Reads of the budget."""

    @field("The caller's budget, that of the address without a token. Any role. No token is needed.")
    def rate_limit(self, info: Info) -> RateLimit:
        """See engage.api.budget.limiter."""
        charge = context_of(info).charge
        if charge is None:
            raise RuntimeError("An operation is admitted before it is run.")
        return RateLimit(
            cost=charge.requested,
            limit=charge.maximum,
            remaining=charge.available,
            restore_rate=charge.restore_rate,
            reset_at=charge.full_at,
        )
