"""A cluster of workers with a Valkey of their own, and what can go wrong with both."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bench.harness import free_port
from engage.base.settings import Settings
from engage.embedded.wheels import installed

ROOT = Path(__file__).parents[2]
PAUSE_S = (0.2, 6.0)  # also longer than a lease


class Cluster:
    """Some worker processes and one Valkey, which lose their signals, their memory and their lives."""

    def __init__(self, config: Settings, workers: int, seed: int) -> None:
        self.faults: list[str] = []
        self.port = free_port()
        self.redis_url = f"redis://127.0.0.1:{self.port}/0"
        self._random = random.Random(seed)  # noqa: S311 -- which fault comes next
        self._environment = os.environ | {
            "ENGAGE_DATABASE_URL": config.database_url,
            "ENGAGE_REDIS_URL": self.redis_url,
            "ENGAGE_REDIS_PREFIX": config.redis_prefix,
            "ENGAGE_LOG_LEVEL": "error",
        }
        self._valkey = self._start_valkey()
        self._workers = [self._start_worker() for _ in range(workers)]

    def _start_valkey(self) -> subprocess.Popen[bytes]:
        command = [str(installed().valkey), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.outbox.fault_process"]
        return subprocess.Popen(command, cwd=ROOT, env=self._environment)

    async def misfortune(self) -> None:
        """One fault, and its end."""
        happens = self._random.choice(
            [
                self._kill_worker,
                self._kill_worker,
                self._pause_worker,
                self._kill_valkey,
                self._pause_valkey,
                self._flush,
            ]
        )
        self.faults.append(happens.__name__.strip("_"))
        await happens()

    async def _kill_worker(self) -> None:
        number = self._random.randrange(len(self._workers))
        self._workers[number].kill()
        self._workers[number].wait()
        self._workers[number] = self._start_worker()

    async def _pause_worker(self) -> None:
        await self._pause(self._random.choice(self._workers))

    async def _kill_valkey(self) -> None:
        await self.without_valkey(self._random.uniform(*PAUSE_S))

    async def without_valkey(self, seconds: float) -> None:
        """Valkey dies with all that it held, and is back after a while."""
        self._valkey.kill()
        self._valkey.wait()
        await asyncio.sleep(seconds)
        self._valkey = self._start_valkey()

    async def _pause_valkey(self) -> None:
        await self._pause(self._valkey)

    async def _pause(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self._random.uniform(*PAUSE_S))
        process.send_signal(signal.SIGCONT)

    async def _flush(self) -> None:
        redis: Redis = Redis.from_url(self.redis_url)
        try:
            await redis.flushall()
        except RedisError:
            self.faults.append("no one to flush")
        finally:
            await redis.aclose()

    async def keys(self) -> list[str]:
        """What stands in Valkey, but for the workers' pulses."""
        redis: Redis = Redis.from_url(self.redis_url, decode_responses=True)
        try:
            return [key async for key in redis.scan_iter() if ":pulse:" not in key]
        finally:
            await redis.aclose()

    def memory(self) -> list[int]:
        """Bytes that each worker holds."""
        return [psutil.Process(worker.pid).memory_info().rss for worker in self._workers]

    def stop(self) -> None:
        """End all of it."""
        for process in (*self._workers, self._valkey):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in (*self._workers, self._valkey):
            process.wait(timeout=60)
