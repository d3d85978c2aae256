"""Who carries out what: the one registry of event handlers (`@on`) and scheduled jobs (`@job`).

Names are written into the database and outlive a release: give a handler that is renamed its old `name`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import orjson

from engage.outbox.events import Event, OutboxEvent, Tick
from engage.outbox.limits import ATTEMPTS_MAX, EVENT_TIMEOUT_S, JOB_TIMEOUT_S
from engage.outbox.schedule import CatchUp, Schedule, schedule_of

EventHandler = Callable[[OutboxEvent], Awaitable[None]]
JobHandler = Callable[[Tick], Awaitable[None]] | Callable[[], Awaitable[None]]
E = TypeVar("E", bound=EventHandler)
J = TypeVar("J", bound=JobHandler)

NAME_LENGTH_MAX = 70
"""Short enough for the columns that hold names, with a prefix."""


@dataclass(frozen=True, slots=True)
class Handler:
    """Carries out one kind of event after another, each in one transaction with its completion."""

    name: str
    call: EventHandler
    events: tuple[str, ...]
    ordered: bool
    attempts_max: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """Runs at the ticks of its schedule, one run at a time; makes its own bounded transactions."""

    name: str
    call: Callable[[Tick], Awaitable[None]]
    schedule: Schedule
    catch_up: CatchUp
    attempts_max: int
    timeout_s: float
    ordered: bool = True


class Registry:
    """Handlers and jobs by name, each name once."""

    def __init__(self) -> None:
        self._all: dict[str, Handler | Job] = {}
        self._promised: dict[str, list[str]] = {}
        self._json = "{}"

    def on(
        self,
        *events: type[Event] | str,
        name: str | None = None,
        ordered: bool = False,
        attempts_max: int = ATTEMPTS_MAX,
        timeout_s: float = EVENT_TIMEOUT_S,
    ) -> Callable[[E], E]:
        """Carry out these events (classes or wire names) by the decorated `async def handle(event: OutboxEvent)`.

        It runs in one transaction with its completion, so its effect on the database happens once; what leaves the
        house is at least once. It is repeated with back-off after an exception, `attempts_max` times in all.
        `ordered` runs the events of a stream one after another by position; a dead one no longer holds up the rest.
        Raises ValueError for a name that is taken, TypeError for what is not a coroutine function.
        """
        if not events:
            raise ValueError("Name at least one event to be handled.")
        names = tuple(dict.fromkeys(event if isinstance(event, str) else event.NAME for event in events))

        def register(call: E) -> E:
            handler = Handler(name or _name_of(call), call, names, ordered, attempts_max, timeout_s)
            self._add(handler, call)
            for event in names:
                self._promised.setdefault(event, []).append(handler.name)
            self._json = orjson.dumps(self._promised).decode()
            return call

        return register

    def job(
        self,
        name: str,
        *,
        every_minutes: int | None = None,
        at: str | None = None,
        zone: str = "UTC",
        catch_up: CatchUp = CatchUp.LATEST,
        attempts_max: int = ATTEMPTS_MAX,
        timeout_s: float = JOB_TIMEOUT_S,
    ) -> Callable[[J], J]:
        """Run the decorated `async def` every so many minutes, or daily `at` HH:MM in `zone`; it may take the Tick.

        It runs outside a transaction and may be run again for the same tick after a crash, so it has to be
        repeatable. Runs of one job never overlap.
        Raises ValueError for a name that is taken or a schedule that never fires.
        """
        schedule = schedule_of(every_minutes, at, zone)

        def register(call: J) -> J:
            self._add(Job(name, _with_tick(call), schedule, catch_up, attempts_max, timeout_s), call)
            return call

        return register

    def _add(self, one: Handler | Job, call: Callable[..., object]) -> None:
        if not inspect.iscoroutinefunction(call):
            raise TypeError(f"{one.name} has to be an `async def`.")
        if not 1 <= len(one.name) <= NAME_LENGTH_MAX:
            raise ValueError(f"A name has 1 to {NAME_LENGTH_MAX} characters: {one.name!r}.")
        if one.name in self._all:
            raise ValueError(f"{one.name!r} is registered already; give one of the two another name.")
        self._all[one.name] = one

    def find(self, name: str) -> Handler | Job | None:
        """What goes by `name`, or None: a row may be of another release."""
        return self._all.get(name)

    def names(self) -> list[str]:
        """All names that this process can carry out."""
        return list(self._all)

    def ordered_names(self) -> list[str]:
        """Those whose rows run one after another by stream."""
        return [one.name for one in self._all.values() if one.ordered]

    def jobs(self) -> Sequence[Job]:
        """The scheduled ones."""
        return [one for one in self._all.values() if isinstance(one, Job)]

    def is_promised(self, event: str) -> bool:
        """Whether someone handles `event`."""
        return event in self._promised

    def handlers_json(self) -> str:
        """JSON of {event name: [handler names]}: `p_handlers` of the SQL functions that record events."""
        return self._json


def _name_of(call: Callable[..., object]) -> str:
    """Such as `notifications.welcome` for `engage.domains.notifications.handlers.welcome`."""
    room = call.__module__.removeprefix("engage.").removeprefix("domains.").replace(".handlers", "")
    return f"{room}.{call.__name__}"


def _with_tick(call: JobHandler) -> Callable[[Tick], Awaitable[None]]:
    """The job as one that takes its tick, which most have no use for."""
    if inspect.signature(call).parameters:
        return cast("Callable[[Tick], Awaitable[None]]", call)
    plain = cast("Callable[[], Awaitable[None]]", call)

    @functools.wraps(plain)
    async def run(_tick: Tick) -> None:
        await plain()

    return run


class _State:
    """The registry of this process."""

    registry = Registry()


def present() -> Registry:
    """The registry in force."""
    return _State.registry


@contextmanager
def fresh_registry() -> Iterator[Registry]:
    """An empty registry in force for a test."""
    before, _State.registry = _State.registry, Registry()
    try:
        yield _State.registry
    finally:
        _State.registry = before


def on(
    *events: type[Event] | str,
    name: str | None = None,
    ordered: bool = False,
    attempts_max: int = ATTEMPTS_MAX,
    timeout_s: float = EVENT_TIMEOUT_S,
) -> Callable[[E], E]:
    """Carry out `events` by the decorated coroutine function; see `Registry.on`."""
    return present().on(*events, name=name, ordered=ordered, attempts_max=attempts_max, timeout_s=timeout_s)


def job(
    name: str,
    *,
    every_minutes: int | None = None,
    at: str | None = None,
    zone: str = "UTC",
    catch_up: CatchUp = CatchUp.LATEST,
    attempts_max: int = ATTEMPTS_MAX,
    timeout_s: float = JOB_TIMEOUT_S,
) -> Callable[[J], J]:
    """Run the decorated coroutine function on a schedule; see `Registry.job`."""
    return present().job(
        name,
        every_minutes=every_minutes,
        at=at,
        zone=zone,
        catch_up=catch_up,
        attempts_max=attempts_max,
        timeout_s=timeout_s,
    )


def handlers_json() -> str:
    """JSON of {event name: [handler names]}: pass it as `p_handlers` to the SQL functions that record events."""
    return present().handlers_json()
