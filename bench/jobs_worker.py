"""Workers to be measured, each a process: `python -m bench.jobs_worker ours|arq`."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, ClassVar, cast
from uuid import UUID

from arq.worker import Worker, func
from redis.asyncio import Redis

from engage.base.settings import Settings, settings
from engage.outbox import Event, OutboxEvent, on
from engage.outbox.limits import Limits
from engage.outbox.relay import connect_queue
from engage.worker import run_worker

STARTED = "bench:started"
ARQ_QUEUE = "bench:arq"


@dataclass(frozen=True, slots=True)
class Benched(Event):
    """Something to be carried out."""

    NAME: ClassVar[str] = "bench.benched.v1"

    subject: UUID
    told: bool
    """Whether the start is to be told."""

    @property
    def stream(self) -> str:
        """One of its own."""
        return f"bench:{self.subject}"


async def tell(redis: Redis) -> None:
    """Say when a job began, on the clock that all processes of this machine share."""
    await cast("Awaitable[int]", redis.rpush(STARTED, str(time.monotonic())))


async def ours(config: Settings) -> None:
    """Engage's worker."""
    redis: Redis = Redis.from_url(config.redis_url)

    @on(Benched, name="bench.job")
    async def carry_out(event: OutboxEvent) -> None:
        if event.data["told"]:
            await tell(redis)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_worker(config, stop)


async def bare(config: Settings) -> None:
    """Arq's worker, set to be as quick as it can."""
    redis: Redis = Redis.from_url(config.redis_url)

    async def carry_out(_ctx: dict[Any, Any], told: bool) -> None:  # noqa: FBT001 -- arq's
        if told:
            await tell(redis)

    queue = connect_queue(config)
    worker = Worker(
        [func(carry_out, name="bench")],  # type: ignore[arg-type]
        redis_pool=queue,
        queue_name=ARQ_QUEUE,
        job_serializer=queue.job_serializer,
        job_deserializer=queue.job_deserializer,
        handle_signals=False,
        keep_result=0,
        log_results=False,
        max_jobs=Limits().concurrency,
        queue_read_limit=1000,
        poll_delay=Limits().queue_poll_s,
    )
    await worker.async_run()


if __name__ == "__main__":
    asyncio.run({"ours": ours, "arq": bare}[sys.argv[1]](settings()))
