"""What one worker takes on at most. A limit on everything, so that a flood ends in a queue and not in memory."""

from __future__ import annotations

from dataclasses import dataclass

ATTEMPTS_MAX = 12
"""Attempts before a row is dead: with the back-off below, a bit more than an hour."""

JOB_TIMEOUT_S = 6 * 3600.0
"""One attempt of a job may take this long; it works in many short transactions, and the next attempt goes on."""

JOBS_IN_FLIGHT_MAX = 4
"""So many jobs of one kind that was asked for run at once, over all workers."""

BACKOFF_MAX_S = 1800.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker process. Times in seconds."""

    concurrency: int = 12
    """Handlers that run at once; each may take one database connection."""

    calls: int = 64
    """Handlers that call others and run at once; they hold no connection while they wait."""

    jobs: int = 8
    """Jobs that run at once."""

    lease_s: float = 60.0
    """How long a claimed row is this worker's; after a crash it is claimed again when this has passed."""

    blocked_s: float = 30.0
    """A handler that has not let the loop turn for so long is stopped, with its process; see `watchdog`."""

    batch: int = 100
    """Rows claimed in one statement."""

    message_max: int = 20
    """Rows in one message to arq, which costs about as much as running a row."""

    queue_max: int = 16
    """Messages that wait in Redis at once, over all workers: few enough to be taken within their lease."""

    messages: int = 4
    """Messages that a worker takes before their rows have found a free place to run."""

    poll_s: float = 1.0
    """The relay looks at the table this often when nobody knocks."""

    queue_poll_s: float = 0.02
    """arq looks at its queue this often."""

    grace_s: float = 20.0
    """At shutdown, running handlers have this long to end before they are undone and given back."""
