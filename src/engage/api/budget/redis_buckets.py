"""The buckets that all gateways have in common, in Redis; nobody waits for a Redis that is away.

After a failure Redis is not asked again by requests: a task tries until it answers, and until then every gateway has
buckets of its own. Keys hold no subject and no address, only a keyed hash of them; they expire when the bucket is
full.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from engage.api.budget.buckets import EARLY_S, SKEW_MAX_S, Rate
from engage.base import clock
from engage.base.settings import Settings

WAIT_S = 0.25
"""A request waits so long for Redis, once; then it counts as away."""
PAUSE_S = 2.0
"""Between two tries of a Redis that is away."""
CONNECTIONS_MAX = 16

_SCRIPT = (Path(__file__).parent / "shares.lua").read_text()
_PROBE = "probe"

logger = structlog.get_logger(__name__)


class CommonBuckets:
    """Takes shares out of the common buckets. `asked` counts how often Redis was."""

    def __init__(self, config: Settings, *, wait_s: float = WAIT_S, pause_s: float = PAUSE_S) -> None:
        secret = config.sealing_key.get_secret_value() or config.jwt_secret.get_secret_value() or config.redis_url
        self.asked = 0
        self.away = False
        self._key = hashlib.sha256(secret.encode()).digest()
        self._prefix = f"{config.redis_prefix}:budget:"
        self._wait_s = wait_s
        self._pause_s = pause_s
        pool = BlockingConnectionPool.from_url(config.redis_url, max_connections=CONNECTIONS_MAX, timeout=wait_s)
        self._redis = Redis.from_pool(pool)
        self._script = self._redis.register_script(_SCRIPT)
        self._trying: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End what is under way, and hang up."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.wait([self._trying])
        await self._redis.aclose()

    async def take(
        self, owner: str, rate: Rate, now: float, *, need: float, more: float, back: float
    ) -> tuple[float, float] | None:
        """As buckets.take, of the bucket of `owner`; None while Redis is away."""
        if self.away:
            return None
        try:
            return await self._ask(owner, rate, now, need=need, more=more, back=back)
        except (RedisError, OSError) as error:  # of which TimeoutError is one
            self._lost(error)
            return None

    async def _ask(
        self, owner: str, rate: Rate, now: float, *, need: float, more: float, back: float
    ) -> tuple[float, float]:
        self.asked += 1
        hashed = hashlib.blake2b(owner.encode(), key=self._key, digest_size=16).hexdigest()
        given = [f"{figure:.6f}" for figure in (now, rate.size, rate.restore, back, need, more, SKEW_MAX_S, EARLY_S)]
        async with asyncio.timeout(self._wait_s):
            taken, full_at = await self._script(keys=[self._prefix + hashed], args=given)
        return float(taken), float(full_at)

    def _lost(self, error: Exception) -> None:
        if self.away:
            return
        self.away = True
        logger.warning("budget.redis_away", reason=type(error).__name__)
        self._trying = asyncio.create_task(self._until_back(), name="budget")

    async def _until_back(self) -> None:
        while self.away:
            await asyncio.sleep(self._pause_s)
            try:
                await self._ask(_PROBE, Rate(1.0, 1.0), clock.now().timestamp(), need=0.0, more=0.0, back=0.0)
            except Exception:  # noqa: BLE001, S112 -- whatever happened, try again
                continue
            self.away = False
        logger.info("budget.redis_back")
