"""Budgets of callers: a gateway takes a share of a common bucket at a time and spends it in memory.

So most operations are decided without asking Redis. A share that is not spent within seconds is given back the next
time that Redis is asked for its owner, or lapses. While Redis is away each gateway has the whole bucket for itself.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from engage.api.budget.buckets import Rate, take
from engage.api.budget.redis_buckets import CommonBuckets
from engage.api.budget.refusals import BudgetExhausted

HOLDS_S = 5.0
"""A share may be spent for so long."""
KNOWN_S = 1.0
"""A bucket that had too little is asked again after so long at the latest: others may have given back to it."""
PART = 20
"""A share is this part of the bucket, beyond what is needed at once."""
OWNERS_MAX = 50_000
"""Owners of budgets that are known here; of one that is forgotten the share lapses."""


@dataclass(slots=True)
class Account:
    """What this gateway knows of one owner's budget: its share, and the common bucket when it was seen last."""

    left: float = 0.0
    until: float = 0.0
    full_at: float = 0.0
    seen_at: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def available(self, rate: Rate, now: float) -> float:
        """What can be spent, as far as is known here."""
        return max(0.0, min(self.left + rate.level(self.full_at, now), rate.size))


class Shares:
    """The budgets of all owners of this gateway."""

    def __init__(self, common: CommonBuckets, *, most: int = OWNERS_MAX) -> None:
        self._common = common
        self._most = most
        self._accounts: OrderedDict[str, Account] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accounts)

    async def spend(self, owner: str, rate: Rate, cost: int, now: float) -> float:
        """Spend of an owner's budget; answers what is available then. Raises BudgetExhausted."""
        account = self._account(owner)
        if account.left < cost or now >= account.until:
            async with account.asking:  # one asks, and those who wait find a share
                if account.left < cost or now >= account.until:
                    await self._ask(account, owner, rate, cost, now)
        account.left -= cost
        return account.available(rate, now)

    def _account(self, owner: str) -> Account:
        account = self._accounts.get(owner)
        if account is None:
            account = self._accounts[owner] = Account()
            if len(self._accounts) > self._most:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(owner)
        return account

    async def _ask(self, account: Account, owner: str, rate: Rate, cost: int, now: float) -> None:
        """Have a share that is enough. Raises BudgetExhausted where the bucket has too little."""
        available = account.available(rate, now)
        if not account.left and available < cost and now - account.seen_at < KNOWN_S:
            raise _exhausted(rate, cost, available)
        back, account.left = account.left, 0.0  # whoever is cancelled meanwhile loses it rather than doubling it
        if now >= account.until:  # the bucket may have filled up without it: only what it could not is given back
            back = max(0.0, back - rate.restore * (now - account.seen_at))
        more = rate.size / PART
        found = await self._common.take(owner, rate, now, need=cost, more=more, back=back)
        if found is None:
            found = take(rate, account.full_at, now, need=cost, more=more, back=back)
        account.left, account.full_at = found
        account.seen_at, account.until = now, now + HOLDS_S
        if account.left < cost:
            raise _exhausted(rate, cost, account.available(rate, now))


def _exhausted(rate: Rate, cost: int, available: float) -> BudgetExhausted:
    return BudgetExhausted(
        f"This operation costs {cost:,}, and {int(available):,} of your budget are left; "
        f"{rate.restore:,.0f} come back each second.",
        (cost - available) / rate.restore,
        cost=cost,
        available=int(available),
        maximum=int(rate.size),
        restoreRate=int(rate.restore),
    )
