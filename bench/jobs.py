"""Durable jobs through outbox, arq and completion on one worker, against bare arq jobs that do nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from arq.connections import ArqRedis
from redis.asyncio import Redis

from bench.harness import Environment, Row, alternate
from bench.jobs_worker import ARQ_QUEUE, STARTED, Benched
from engage.base import db
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.embedded.process import Child, start, stop
from engage.outbox import on, record
from engage.outbox.relay import connect_queue
from engage.wiring import connected

JOBS = 5000
BATCH = 500
SINGLES = 40
PAUSE_S = 0.05  # between two single jobs, so that the worker is idle

_UNDONE = "SELECT count(*) FROM (SELECT FROM outbox WHERE finished_at IS NULL AND dead_at IS NULL LIMIT 1) AS undone"


@asynccontextmanager
async def _worker(config: Settings, which: str) -> AsyncIterator[Child]:
    environment = os.environ | {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
        "ENGAGE_JWT_SECRET": config.jwt_secret.get_secret_value(),
        "ENGAGE_LOG_LEVEL": "error",
    }
    child = start(which, [sys.executable, "-m", "bench.jobs_worker", which], env=environment)
    try:
        yield child
    finally:
        child.process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(stop, child)


async def run(environment: Environment) -> list[Row]:
    """Two rows: how many a second, and how soon one begins when the worker is idle."""
    config = await environment.settings()
    on(Benched, name="bench.job")(_elsewhere)
    queue = connect_queue(config)
    redis: Redis = Redis.from_url(config.redis_url)
    async with connected(config, "engage-bench"), _worker(config, "ours") as ours, _worker(config, "arq") as bare:
        rates = await alternate(partial(_promised, ours), partial(_enqueued, queue, bare))
        singles = await alternate(
            partial(_single, redis, partial(_promise, 1, told=True)),
            partial(_single, redis, partial(queue.enqueue_job, "bench", True, _queue_name=ARQ_QUEUE)),
        )
    await queue.aclose()
    await redis.aclose()
    return [
        Row("durable jobs, one worker, to bare arq", "/s", *rates, bar=0.5),
        Row("commit to start of a job, idle, median, to bare arq", "ms", *singles, smaller_is_better=True),
    ]


async def _elsewhere(_event: object) -> None:
    """Only registered here, so that what is recorded is promised."""


async def _promise(count: int, *, told: bool = False) -> None:
    for _ in range(0, count, BATCH):
        async with db.transaction():
            await record(*[Benched(new_id(), told) for _ in range(min(count, BATCH))])


async def _promised(worker: Child) -> float:
    """Jobs a second of what lies ready when the worker goes on."""
    worker.process.send_signal(signal.SIGSTOP)
    await _promise(JOBS)
    began = time.monotonic()
    worker.process.send_signal(signal.SIGCONT)
    while await db.fetch_value(_UNDONE):  # noqa: ASYNC110 -- the worker is another process
        await asyncio.sleep(0.02)
    return JOBS / (time.monotonic() - began)


async def _enqueued(queue: ArqRedis, worker: Child) -> float:
    worker.process.send_signal(signal.SIGSTOP)
    for _ in range(JOBS):
        await queue.enqueue_job("bench", False, _queue_name=ARQ_QUEUE)
    began = time.monotonic()
    worker.process.send_signal(signal.SIGCONT)
    while await queue.zcard(ARQ_QUEUE):  # noqa: ASYNC110 -- the worker is another process
        await asyncio.sleep(0.02)
    return JOBS / (time.monotonic() - began)


async def _single(redis: Redis, begin: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds from the commit (or the answer of the queue) to the job's first line, median of some."""
    waits = []
    for _ in range(SINGLES):
        await begin()
        committed = time.monotonic()
        started = await cast("Awaitable[list[bytes]]", redis.blpop([STARTED]))
        waits.append((float(started[1]) - committed) * 1000)
        await asyncio.sleep(PAUSE_S)
    return statistics.median(waits)
