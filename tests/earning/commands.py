"""`engage` as a process of its own, connected to a test's database."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

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


async def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that comes to its end."""
    output, errors = await asyncio.to_thread(process.communicate, timeout=120)
    return process.returncode, output, errors


def figures(output: str) -> dict[str, str]:
    """The closing summary of an import, by name."""
    lines = (line.rsplit(None, 1) for line in output.splitlines())
    return {line[0].strip(): line[1] for line in lines if len(line) == 2}
