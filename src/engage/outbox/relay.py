"""The relay: leases rows that are due and hands their ids to arq. The row is the job, arq only says "now".

What Redis loses is claimed again when its lease ends. While Redis is away nothing is claimed at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import orjson
import structlog
from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.utils import timestamp_ms
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from engage.base import clock
from engage.base.settings import Settings
from engage.outbox import rows
from engage.outbox.kinds import Bounds, Job, Kind
from engage.outbox.limits import ATTEMPTS_MAX, BACKOFF_MAX_S, Limits
from engage.outbox.loop import Loop
from engage.outbox.registry import Registry
from engage.outbox.rows import Claim

RUN_EVENTS = "run_events"
RUN_CALLS = "run_calls"
RUN_JOBS = "run_jobs"
"""The three things that arq can be told, each with [row id, lease] of some rows."""

FULL_REST_S = 0.02
"""How soon to look again at a queue that was full."""

MESSAGES_MIN = 4
"""A batch is spread over so many messages, so that several workers have a share in it."""

LOST = "The worker ended while this ran, or its message was lost, each time that it was tried."

logger = structlog.get_logger(__name__)


def queue_name(config: Settings) -> str:
    """The Redis key of arq's queue."""
    return f"{config.redis_prefix}:arq"


def connect_queue(config: Settings) -> ArqRedis:
    """Arq's connection pool. It dials when used; a connection that went stale is dialled anew once."""
    redis: ArqRedis = ArqRedis.from_url(
        config.redis_url,
        socket_timeout=5,
        socket_connect_timeout=2,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 1),
        retry_on_error=[RedisConnectionError],
    )
    redis.job_serializer = orjson.dumps
    redis.job_deserializer = orjson.loads
    redis.default_queue_name = queue_name(config)
    return redis


def leases_max(bounds: Bounds) -> int:
    """How often a row is leased at most: what has never come to an end by then may take its worker down each time."""
    beyond = 0.0 if bounds.retry_for is None else bounds.retry_for.total_seconds() / (BACKOFF_MAX_S / 2)
    return max(bounds.attempts_max, ATTEMPTS_MAX) + math.ceil(beyond)


class Relay:
    """Moves due rows from the table to arq's queue, as many as can be run within their lease.

    `has_room` says of a kind whether its rows would find a free place here: what is given back costs as much as work.
    """

    def __init__(
        self,
        redis: ArqRedis,
        registry: Registry,
        limits: Limits,
        has_room: Callable[[Kind], bool] = lambda _kind: True,
    ) -> None:
        self._redis = redis
        self._registry = registry
        self._limits = limits
        self._has_room = has_room
        self._loop = Loop("relay", self._look)
        self.run = self._loop.run
        self.wake = self._loop.wake
        self.stop = self._loop.stop

    async def _look(self) -> float:
        if await self._redis.zcard(self._redis.default_queue_name) >= self._limits.queue_max:
            return FULL_REST_S
        return 0 if await self.relay(self._limits.batch) == self._limits.batch else self._limits.poll_s

    async def relay(self, limit: int) -> int:
        """Lease and enqueue up to `limit` rows; answers how many were leased.

        Raises what Redis raises, having given the rows back.
        """
        now = clock.now()
        lease = timedelta(seconds=self._limits.lease_s)
        registry = self._registry
        kinds = [kind for kind in registry.kinds() if self._has_room(kind)]
        claims = await rows.claim(kinds, now=now, until=now + lease, limit=limit)
        fit = [claim for claim in claims if not self._is_spent(claim)]
        for claim in claims:
            if self._is_spent(claim):
                await rows.bury(claim.id, claim.lease, LOST, now)
                logger.error("outbox.dead", row=str(claim.id), handler=claim.handler, error=LOST)
        if fit:
            try:
                await self._enqueue(fit)
            except BaseException:
                await rows.release([(claim.id, claim.lease) for claim in fit])
                raise
        return len(claims)

    def _is_spent(self, claim: Claim) -> bool:
        one = self._registry.find(claim.handler)
        return one is not None and claim.attempts > leases_max(one.bounds)

    async def _enqueue(self, claims: Sequence[Claim]) -> None:
        """What arq's `enqueue_job` does, for all in one round trip. Each lease makes a new id, so none is refused."""
        queue, now_ms, scores = self._redis.default_queue_name, timestamp_ms(), {}
        keep_ms = int(self._limits.lease_s * 2000)
        async with self._redis.pipeline(transaction=True) as pipe:
            for kind, part in self._messages(claims):
                job_id = f"{part[0].id}:{part[0].lease}"
                leased = [(str(claim.id), claim.lease) for claim in part]
                text = serialize_job(kind, (leased,), {}, None, now_ms, serializer=self._redis.job_serializer)
                pipe.psetex(job_key_prefix + job_id, keep_ms, text)
                scores[job_id] = now_ms
            pipe.zadd(queue, scores)
            await pipe.execute()

    def _messages(self, claims: Sequence[Claim]) -> Iterator[tuple[str, Sequence[Claim]]]:
        """Some rows to a message, since a message costs as much as running a row; each job in one of its own."""
        sorted_out: dict[str, list[Claim]] = {RUN_EVENTS: [], RUN_CALLS: [], RUN_JOBS: []}
        for claim in claims:
            sorted_out[self._told_as(claim)].append(claim)
        for kind in (RUN_EVENTS, RUN_CALLS):
            part = sorted_out[kind]
            size = min(-(-len(part) // MESSAGES_MIN), self._limits.message_max)
            for first in range(0, len(part), max(size, 1)):
                yield kind, part[first : first + size]
        for claim in sorted_out[RUN_JOBS]:
            yield RUN_JOBS, [claim]

    def _told_as(self, claim: Claim) -> str:
        one = self._registry.find(claim.handler)
        if isinstance(one, Job):
            return RUN_JOBS
        return RUN_CALLS if one is not None and one.outside else RUN_EVENTS
