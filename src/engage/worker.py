"""The worker: carries out what was promised. Start as many as needed; they share the work.

The relay leases rows that are due and hands their ids to arq, arq runs them, the scheduler promises ticks. Each
of them outlives an outage of Redis or PostgreSQL: arq's own worker ends when Redis is away for seconds, so it is
started anew here.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.exceptions import RedisError

from engage.base.settings import Settings
from engage.domains.members.queries import list_programs
from engage.outbox import lanes
from engage.outbox.backlog import Backlog
from engage.outbox.execute import Executor
from engage.outbox.limits import Limits
from engage.outbox.loop import Loop
from engage.outbox.record import CHANNEL
from engage.outbox.registry import present
from engage.outbox.relay import RUN_CALLS, RUN_EVENTS, RUN_JOBS, Relay, connect_queue
from engage.outbox.routed import routes_known
from engage.outbox.scheduler import Scheduler
from engage.outbox.watchdog import Watchdog
from engage.realtime.broker import Broker
from engage.wiring import connected, warn_of_rights

SPARE_CONNECTIONS = 4
"""Of the database pool, for relay, scheduler, heartbeats and failures to be written."""

MESSAGE_MAX_S = 86_400
"""arq's own time limit: never reached, since a message is done when its rows have started."""

PULSE_EVERY_S = 10
"""The worker tells Redis this often that it is at work; a little later it counts as stuck."""

CANCEL_AGAIN_S = 0.5

logger = structlog.get_logger(__name__)


def pulse_key(redis: ArqRedis) -> str:
    """The Redis key of this machine's worker: a container has a name of its own."""
    return f"{redis.default_queue_name}:pulse:{socket.gethostname()}"


async def has_pulse(config: Settings) -> bool:
    """Whether the worker of this machine or container took its round lately; False too when Redis is away."""
    redis = connect_queue(config)
    try:
        return bool(await redis.exists(pulse_key(redis)))
    except (RedisError, OSError):
        return False
    finally:
        await redis.aclose()


class Consumer:
    """arq's worker, started anew whenever it ends. It hands rows to the executor and waits for free places."""

    def __init__(self, redis: ArqRedis, executor: Executor, limits: Limits) -> None:
        self._redis = redis
        self._executor = executor
        self._limits = limits
        self._loop = Loop("arq", self._serve)
        self._worker: Worker | None = None
        self.run = self._loop.run

    async def stop(self) -> None:
        """Take no more; what was taken and has not started is given back."""
        self._loop.stop()
        if self._worker is not None:
            self._worker.allow_pick_jobs = False
            if self._worker.main_task is not None:
                await _end([self._worker.main_task])

    async def _serve(self) -> float:
        """One life of arq's worker. Raises what ended it."""
        worker = self._worker = self._new_worker()
        try:
            await worker.async_run()
        except asyncio.CancelledError:
            if worker.allow_pick_jobs:
                raise
        finally:
            # Their errors are those of Redis, as what ended the worker is.
            await _end(worker.tasks.values())
        return 0

    def _new_worker(self) -> Worker:
        executor = self._executor

        async def run_events(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG001 -- arq's
            await executor.take_events([(UUID(row_id), lease) for row_id, lease in args[0]])

        async def run_jobs(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG001 -- arq's
            await executor.take_jobs([(UUID(row_id), lease) for row_id, lease in args[0]])

        async def run_calls(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG001 -- arq's
            await executor.take_calls([(UUID(row_id), lease) for row_id, lease in args[0]])

        worker = Worker(
            [func(run_events, name=RUN_EVENTS), func(run_calls, name=RUN_CALLS), func(run_jobs, name=RUN_JOBS)],
            redis_pool=self._redis,
            queue_name=self._redis.default_queue_name,
            job_serializer=self._redis.job_serializer,
            job_deserializer=self._redis.job_deserializer,
            handle_signals=False,
            keep_result=0,
            log_results=False,
            max_jobs=self._limits.messages,
            job_timeout=MESSAGE_MAX_S,
            poll_delay=self._limits.queue_poll_s,
            queue_read_limit=2 * self._limits.queue_max,
            health_check_interval=PULSE_EVERY_S,
            health_check_key=pulse_key(self._redis),
        )
        # A killed worker's messages are looked at again after a lease, when they find nothing to do. arq would keep
        # them at the front of the queue for its time limit.
        worker.in_progress_timeout_s = self._limits.lease_s
        return worker


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended: the Redis client may swallow a cancellation that meets its own time-out."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
        for task in done:
            if not task.cancelled():
                task.exception()  # seen, so that it is not reported as lost


async def run_worker(
    config: Settings, stop: asyncio.Event, limits: Limits | None = None, *, owns_process: bool = False
) -> None:
    """Carry out promised work until `stop` is set, then end what runs and give back the rest.

    Where it `owns_process`, a handler that never yields ends that, once its failure is written; see `watchdog`.
    Redis may be away. Raises Unavailable when the database cannot be reached at the start.
    """
    logging.getLogger("arq").setLevel(logging.WARNING)  # it tells each job twice; rows and metrics tell more
    given = limits or Limits()
    bounds = replace(given, concurrency=max(1, min(given.concurrency, config.pool_size_max - SPARE_CONNECTIONS)))
    application = f"engage-worker {secrets.token_hex(4)}"  # no other process's sessions are named so
    async with connected(config, application), routes_known():
        await warn_of_rights(config)
        await _work(config, stop, bounds, application if owns_process else None)


async def program_zones() -> dict[str, str]:
    """The time zone of each program, by its code: jobs that are due in each of them go by it."""
    return {program.code: program.time_zone for program in await list_programs()}


async def _work(config: Settings, stop: asyncio.Event, limits: Limits, watched_as: str | None) -> None:
    registry, redis = present(), connect_queue(config)
    await lanes.ensure(registry.kinds())
    executor = Executor(registry, limits, lambda: relay.wake())  # noqa: PLW0108 -- made below, since each needs the other
    relay = Relay(redis, registry, limits, executor.has_room)
    scheduler = Scheduler(registry, relay.wake, program_zones)
    consumer = Consumer(redis, executor, limits)
    backlog = Backlog(program_zones)
    broker = Broker(config.redis_url, config.redis_prefix)
    broker.on_connect(relay.wake)
    broker.listen(CHANNEL, lambda _knock: relay.wake())
    with ExitStack() as watching:
        if watched_as:
            watchdog = Watchdog(config, registry, executor, application=watched_as, blocked_s=limits.blocked_s)
            watching.enter_context(watchdog.watching())
        broker.start()
        logger.info("worker.started", handlers=registry.names(), concurrency=limits.concurrency)
        try:
            async with asyncio.TaskGroup() as loops:
                for run in (relay.run, scheduler.run, consumer.run, executor.keep_leases):
                    loops.create_task(run())
                if config.metrics_port:
                    loops.create_task(backlog.run())
                await stop.wait()
                for part in (relay, scheduler, backlog):
                    part.stop()
                await consumer.stop()
                await executor.drain(limits.grace_s)
                executor.stop_keeping()
        finally:
            await executor.drain(0)
            await broker.stop()
            await redis.aclose()
            logger.info("worker.stopped", done=executor.done, failed=executor.failed)
