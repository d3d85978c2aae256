"""What can be carried out: handlers of events and jobs, each with the bounds that it works within."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import Any

from engage.outbox.events import OutboxEvent
from engage.outbox.limits import ATTEMPTS_MAX
from engage.outbox.runs import Run
from engage.outbox.schedule import CatchUp, Schedule

EventHandler = Callable[[OutboxEvent], Awaitable[None]]
JobHandler = Callable[[Run], Awaitable[None]] | Callable[[], Awaitable[None]]
Upgrade = Callable[[dict[str, Any], int], dict[str, Any]]
"""(arguments or data, their version) → those of the present version."""

KEEP_DONE = timedelta(days=3)
"""Finished rows stay this long, to be looked at. Dead ones stay until somebody decides, or `KEEP_DEAD`."""

KEEP_ASKED = timedelta(days=30)
"""Finished jobs that somebody asked for stay this long, with their results and files."""


class Priority(IntEnum):
    """What is due goes first by this, then by how long it has been due."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a kind of work. `in_flight_max` and `per_minute` hold over all workers, for each lane."""

    attempts_max: int = ATTEMPTS_MAX
    """Attempts before a row is dead."""

    timeout_s: float = 30.0
    """One attempt may take this long."""

    priority: Priority = Priority.NORMAL

    in_flight_max: int | None = None
    """So many at once."""

    per_minute: int | None = None
    """So many started in a minute, evenly: a sixth of it at once at most."""

    retry_for: timedelta | None = None
    """Not dead before a row is this old, whatever its attempts."""

    keep: timedelta = KEEP_DONE
    """How long a finished row stays."""


@dataclass(frozen=True, slots=True)
class Handler:
    """Carries out events. Within the house: each in one transaction with its completion, so its effect is once.

    `outside`: it calls others, so it holds no transaction and no connection while it waits, and is at least once.
    `routed`: its events and targets are rows of `outbox_routes`, not `events`.
    """

    name: str
    call: EventHandler
    events: tuple[str, ...]
    ordered: bool
    outside: bool
    routed: bool
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is asked for, or due at the ticks of its schedule, which are run one after another.

    Makes its own bounded transactions (`Run.step`) and is repeatable: after a crash it goes on at its checkpoint.
    """

    name: str
    call: Callable[[Run], Awaitable[None]]
    schedule: Schedule | None
    catch_up: CatchUp
    each_program: bool
    """The schedule is in the zone of each program: a tick for each of them, with `program` in the arguments."""

    version: int
    """Of its arguments; rows of an older one go through `upgrade`."""

    upgrade: Upgrade | None
    bounds: Bounds = field(default_factory=Bounds)
    ordered: bool = True


Kind = Handler | Job
