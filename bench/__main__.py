"""Run the subjects named on the command line, or all of them, on embedded servers in a temporary folder."""

from __future__ import annotations

import asyncio
import importlib
import sys
import tempfile
from pathlib import Path

from bench.harness import Environment, Row, console, show
from engage.embedded import running

SUBJECTS = ("spend", "bulk_earn", "sweep", "verify", "profile", "schema_only", "live", "import_purchases", "jobs")


async def measure(environment: Environment, subjects: list[str]) -> list[Row]:
    """All rows of the subjects, in order."""
    rows: list[Row] = []
    for subject in subjects:
        console.print(f"measuring {subject} …")
        module = importlib.import_module(f"bench.{subject}")
        found = await module.run(environment)
        show(found)
        rows += found
    return rows


def main() -> None:
    """Measure and print."""
    chosen = sys.argv[1:] or list(SUBJECTS)
    unknown = sorted(set(chosen) - set(SUBJECTS))
    if unknown:
        sys.exit(f"There is no subject {unknown[0]!r}; there are {', '.join(SUBJECTS)}.")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as services:
        environment = Environment(services.database_url, services.redis_url)
        rows = asyncio.run(measure(environment, chosen))
    if len(chosen) > 1:
        show(rows)


main()
