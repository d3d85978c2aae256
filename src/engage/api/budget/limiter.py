"""The limits of one gateway: how many requests may come, and what operations may cost, by caller and by address.

Requests are counted before they are read, at each gateway for itself, so that a flood costs nothing but memory that
is bounded. Budgets are common to all gateways.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from prometheus_client import Gauge

from engage.api.budget.buckets import Buckets, Rate
from engage.api.budget.redis_buckets import CommonBuckets
from engage.api.budget.refusals import REFUSED, BudgetExhausted, CostTooHigh, RateLimited
from engage.api.budget.shares import Shares
from engage.base import clock
from engage.base.actor import Actor, Role
from engage.base.metrics import REGISTRY
from engage.base.settings import Settings

KEPT_MAX: Final = 50_000
"""Addresses, and callers, whose requests are counted here."""
DEVELOPMENT: Final = 100
"""In development limits that are not set are so many times as large: tests and tools ask as fast as they can."""
NETWORK_BITS: Final = 64
"""Of an IPv6 address: whoever has one has all that begin alike."""
NOWHERE: Final = "unknown"

LOCAL = Gauge("engage_limits_local", "1 while Redis is away and each gateway limits for itself.", registry=REGISTRY)


class Charge(NamedTuple):
    """What an operation cost, and how the budget stands that paid for it."""

    requested: int
    available: int
    maximum: int
    restore_rate: int
    paid_at: float

    @property
    def full_at(self) -> datetime:
        """When the budget is full again if nothing more is spent."""
        seconds = (self.maximum - self.available) / self.restore_rate
        return datetime.fromtimestamp(self.paid_at + seconds, UTC)

    def shown(self) -> dict[str, int]:
        """As clients find it in `extensions.cost`."""
        return {
            "requested": self.requested,
            "available": self.available,
            "maximum": self.maximum,
            "restoreRate": self.restore_rate,
        }


class Limiter:
    """Lets requests and operations in, or says why not; each refusal is counted."""

    def __init__(self, config: Settings, common: CommonBuckets | None = None) -> None:
        """Redis may be away."""
        self.common = common or CommonBuckets(config)
        self.shares = Shares(self.common)
        self._cost_max = config.operation_cost_max
        self._budget = _budget(config, "")
        self._service_budget = _budget(config, "service_")
        self._callers = _counted(config, "requests_per_minute")
        self._services = _counted(config, "service_requests_per_minute")
        self._addresses = _counted(config, "address_requests_per_minute")
        self._failures = _counted(config, "failed_tokens_per_minute")
        LOCAL.set_function(lambda: self.common.away)

    async def close(self) -> None:
        """End what is under way."""
        await self.common.close()

    def knock(self, address: str) -> None:
        """Begin with a request, before anything of it is read. Raises RateLimited for an address that sent too many.

        An address of many wrong tokens is not looked at, so that a right one cannot be found by trying.
        """
        now = _now()
        if wait := self._failures.wait(address, now):
            raise _limited(
                "failed_tokens", "Too many requests of this address had a token that is not accepted.", wait
            )
        if wait := self._addresses.wait(address, now):
            raise _limited("address", "Too many requests came from this address.", wait)

    def failed(self, address: str) -> None:
        """Count a request whose token is not accepted."""
        now = _now()
        self._failures.take(address, now)
        self._addresses.take(address, now)

    def enter(self, caller: Actor | None, address: str) -> None:
        """Count a request, or a message on a socket that asks for an operation. Raises RateLimited."""
        now = _now()
        service = caller is not None and caller.role is Role.SERVICE
        if not service and (wait := self._addresses.take(address, now)):
            raise _limited("address", "Too many requests came from this address.", wait)
        if caller is None:
            return
        if wait := (self._services if service else self._callers).take(_owner(caller, address), now):
            raise _limited("caller", "You sent too many requests.", wait)

    async def charge(self, caller: Actor | None, address: str, cost: int) -> Charge:
        """Pay for an operation out of the caller's budget. Raises CostTooHigh, BudgetExhausted."""
        service = caller is not None and caller.role is Role.SERVICE
        rate = self._service_budget if service else self._budget
        most = min(self._cost_max, int(rate.size))
        if cost > most:
            REFUSED.labels("cost").inc()
            raise CostTooHigh(
                f"This operation costs {cost:,}, and one may cost {most:,}: ask for smaller pages or for less.",
                cost=cost,
                limit=most,
            )
        now = _now()
        try:
            available = await self.shares.spend(_owner(caller, address), rate, cost, now)
        except BudgetExhausted:
            REFUSED.labels("budget").inc()
            raise
        return Charge(cost, int(available), int(rate.size), int(rate.restore), now)


@lru_cache(maxsize=4096)
def network_of(host: str | None) -> str:
    """The address that requests of a host are counted under."""
    if not host:
        return NOWHERE
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host  # such as a socket of this machine
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))
    return str(found)


def _owner(caller: Actor | None, address: str) -> str:
    """Whose budget it is: roles are in it, so that nobody's subject can be taken for another's, or for an address."""
    return f"address {address}" if caller is None else f"{caller.role} {caller.id}"


def _now() -> float:
    return clock.now().timestamp()


def _limited(kind: str, told: str, wait: float) -> RateLimited:
    REFUSED.labels(kind).inc()
    refusal = RateLimited(told, wait)
    refusal.message += f" Wait {refusal.retry_after} s."
    return refusal


def _setting(config: Settings, name: str) -> int:
    """A limit as it is set, or its default; in development a larger one."""
    value: int = getattr(config, name)
    return value * DEVELOPMENT if config.development and name not in config.model_fields_set else value


def _budget(config: Settings, of: str) -> Rate:
    return Rate(_setting(config, f"{of}budget_size"), _setting(config, f"{of}budget_restore_per_s"))


def _counted(config: Settings, name: str) -> Buckets:
    per_minute = _setting(config, name)
    return Buckets(Rate(per_minute, per_minute / 60), most=KEPT_MAX)
