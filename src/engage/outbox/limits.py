"""What one worker takes on at most. A limit on everything, so that a flood ends in a queue and not in memory."""

from __future__ import annotations

from dataclasses import dataclass

ATTEMPTS_MAX = 12
"""Attempts before a row is dead: with the back-off below, a bit more than an hour."""

EVENT_TIMEOUT_S = 30.0
"""One event's handler may take this long: it holds a database connection and locks."""

JOB_TIMEOUT_S = 3600.0
"""One run of a scheduled job may take this long; it works in many short transactions."""

BACKOFF_MAX_S = 1800.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker process. Times in seconds."""

    concurrency: int = 12
    """Handlers that run at once; each may take one database connection."""

    lease_s: float = 60.0
    """How long a claimed row is this worker's; after a crash it is claimed again when this has passed."""

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
