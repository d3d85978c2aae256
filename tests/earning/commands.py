"""`engage` as a process of its own, connected to a test's database."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

from engage.base import db
from engage.base.settings import Settings


def command(config: Settings, *words: str) -> subprocess.Popen[str]:
    """A command that runs; whoever starts one ends it."""
    environment = os.environ | {
        "ENGAGE_DATABASE_URL": config.database_url,
        "ENGAGE_REDIS_URL": config.redis_url,
        "ENGAGE_REDIS_PREFIX": config.redis_prefix,
        "COLUMNS": "200",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "engage.cli", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def latest_run(kind: str, columns: str) -> tuple[Any, ...]:
    """Columns of the latest run of this kind of job; a worker beside it has runs of its own."""
    row = await db.fetch_row(
        f"SELECT {columns} FROM job_runs r JOIN outbox o ON o.id = r.id"  # noqa: S608 -- a test's own columns
        " WHERE o.handler = $1 ORDER BY r.id DESC LIMIT 1",
        kind,
    )
    assert row is not None
    return tuple(row)


async def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that comes to its end."""
    output, errors = await asyncio.to_thread(process.communicate, timeout=120)
    return process.returncode, output, errors


def figures(output: str) -> dict[str, str]:
    """The closing summary of an import, by name."""
    lines = (line.rsplit(None, 1) for line in output.splitlines())
    return {line[0].strip(): line[1] for line in lines if len(line) == 2}
