"""What a worker tells of its work: what it has done, and how much lies ready."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from engage.base.metrics import REGISTRY

SECONDS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0)

UNKNOWN: Final = "unknown"
"""The kind of a row that could not be read."""

DONE = Counter("engage_jobs_done", "Attempts that have done their work.", ["kind"], registry=REGISTRY)
FAILED = Counter("engage_jobs_failed", "Attempts that have failed.", ["kind"], registry=REGISTRY)
TAKEN = Histogram(
    "engage_job_seconds",
    "How long attempts took, in seconds, however they ended.",
    ["kind"],
    buckets=SECONDS,
    registry=REGISTRY,
)
RUNNING = Gauge("engage_jobs_running", "What this worker runs now.", ["kind"], registry=REGISTRY)
LOOP_LAG = Histogram(
    "engage_worker_loop_lag_seconds",
    "How much later than asked for the worker's loop takes its turn, looked at each second.",
    buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
    registry=REGISTRY,
)


def began(kind: str) -> None:
    """An attempt has begun."""
    RUNNING.labels(kind).inc()


def ended(kind: str, seconds: float) -> None:
    """An attempt that had begun has ended, in whatever way."""
    RUNNING.labels(kind).dec()
    TAKEN.labels(kind).observe(seconds)
