"""Who carries out what: the one registry of event handlers (`@on`) and jobs (`@job`).

Names are written into the database and outlive a release: give a handler that is renamed its old `name`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import orjson

from engage.outbox.events import Event
from engage.outbox.kinds import KEEP_ASKED, Bounds, EventHandler, Handler, Job, JobHandler, Kind, Upgrade
from engage.outbox.limits import JOB_TIMEOUT_S, JOBS_IN_FLIGHT_MAX
from engage.outbox.runs import Run
from engage.outbox.schedule import CatchUp, Cron, Schedule

E = TypeVar("E", bound=EventHandler)
J = TypeVar("J", bound=JobHandler)

NAME_LENGTH_MAX = 70
"""Short enough for the columns that hold names, with a prefix."""

EACH_PROGRAM_NAME_LENGTH_MAX = 43
"""Short enough for the stream `job:<name>/<program>` of 80 characters, with a program's code of 32."""

SCHEDULED = Bounds(timeout_s=JOB_TIMEOUT_S)
ASKED = Bounds(timeout_s=JOB_TIMEOUT_S, in_flight_max=JOBS_IN_FLIGHT_MAX, keep=KEEP_ASKED)


class Registry:
    """Handlers and jobs by name, each name once."""

    def __init__(self) -> None:
        self._all: dict[str, Kind] = {}
        self._promised: dict[str, list[str]] = {}
        self._json = "{}"
        self._upgrades: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}

    def on(
        self,
        *events: type[Event] | str,
        name: str | None = None,
        ordered: bool = False,
        outside: bool = False,
        routed: bool = False,
        bounds: Bounds | None = None,
    ) -> Callable[[E], E]:
        """Carry out these events (classes or wire names) by the decorated `async def handle(event: OutboxEvent)`.

        It runs in one transaction with its completion, so its effect on the database happens once; what leaves the
        house is at least once, and belongs into a handler that is `outside` a transaction. It is repeated with
        back-off after an exception, within its `bounds`. `ordered` runs the events of a stream one after another by
        position; a dead one no longer holds up the rest. `routed` leaves events and targets to `outbox_routes`.
        Raises ValueError for a name that is taken, TypeError for what is not a coroutine function.
        """
        if bool(events) is routed:
            raise ValueError("Name at least one event to be handled, or none and have it routed.")
        if (routed or outside) and (bounds is None or bounds.in_flight_max is None):
            raise ValueError("What calls others or has targets needs an in_flight_max: they may be slow.")
        names = tuple(dict.fromkeys(event if isinstance(event, str) else event.NAME for event in events))

        def register(call: E) -> E:
            handler = Handler(name or _name_of(call), call, names, ordered, outside, routed, bounds or Bounds())
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
        cron: str | None = None,
        zone: str = "UTC",
        each_program: bool = False,
        catch_up: CatchUp = CatchUp.LATEST,
        version: int = 1,
        upgrade: Upgrade | None = None,
        bounds: Bounds | None = None,
    ) -> Callable[[J], J]:
        """Run the decorated `async def` when asked for, or at the ticks of `cron` in `zone`; it may take the Run.

        `each_program` runs it for each program at those ticks in the program's own zone. It runs outside a
        transaction and may be run again after a crash, so it works in steps (`Run.step`) or is repeatable. Runs of
        one schedule never overlap. Arguments of an older `version` are put right by `upgrade(args, version)`.
        Raises ValueError for a name that is taken or a schedule that never fires.
        """
        if each_program and cron is None:
            raise ValueError(f"{name!r} is for each program, so it needs a schedule: give `cron`.")
        if each_program and len(name) > EACH_PROGRAM_NAME_LENGTH_MAX:
            raise ValueError(f"A job for each program has 1 to {EACH_PROGRAM_NAME_LENGTH_MAX} characters: {name!r}.")
        if "/" in name:
            raise ValueError(f"A job's name has no slash, which the program stands behind: {name!r}.")
        schedule = None if cron is None else _schedule(name, cron, zone)
        within = bounds or (SCHEDULED if schedule else ASKED)

        def register(call: J) -> J:
            self._add(Job(name, _with_run(call), schedule, catch_up, each_program, version, upgrade, within), call)
            return call

        return register

    def upgrade(
        self, old: str, new: type[Event] | str
    ) -> Callable[[Callable[[dict[str, Any]], dict[str, Any]]], None]:
        """Have rows of the event `old` carried out as `new`, their data put right by the decorated function.

        Raises ValueError for upgrades that would go round in a circle.
        """
        name = latest = new if isinstance(new, str) else new.NAME
        while latest in self._upgrades:
            latest = self._upgrades[latest][0]
        if latest == old:
            raise ValueError(f"{name} is upgraded to {old} already.")

        def register(call: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
            self._upgrades[old] = (name, call)

        return register

    def upgraded(self, event: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The event in its present version, through as many upgrades as there are."""
        while event in self._upgrades:
            event, call = self._upgrades[event][0], self._upgrades[event][1]
            data = call(data)
        return event, data

    def _add(self, one: Kind, call: Callable[..., object]) -> None:
        if not inspect.iscoroutinefunction(call):
            raise TypeError(f"{one.name} has to be an `async def`.")
        if not 1 <= len(one.name) <= NAME_LENGTH_MAX:
            raise ValueError(f"A name has 1 to {NAME_LENGTH_MAX} characters: {one.name!r}.")
        if one.name in self._all:
            raise ValueError(f"{one.name!r} is registered already; give one of the two another name.")
        self._all[one.name] = one

    def find(self, name: str) -> Kind | None:
        """What goes by `name`, or None: a row may be of another release."""
        return self._all.get(name)

    def kinds(self) -> Sequence[Kind]:
        """All that this process can carry out."""
        return list(self._all.values())

    def names(self) -> list[str]:
        """Their names."""
        return list(self._all)

    def jobs(self) -> Sequence[Job]:
        """The jobs, scheduled or not."""
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


def _schedule(name: str, cron: str, zone: str) -> Schedule:
    try:
        return Cron.parse(cron, zone)
    except ValueError as error:
        raise ValueError(f"The schedule of {name!r}: {error}") from error


def _with_run(call: JobHandler) -> Callable[[Run], Awaitable[None]]:
    """The job as one that takes its run, which some have no use for."""
    if inspect.signature(call).parameters:
        return cast("Callable[[Run], Awaitable[None]]", call)
    plain = cast("Callable[[], Awaitable[None]]", call)

    @functools.wraps(plain)
    async def run(_run: Run) -> None:
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
    outside: bool = False,
    routed: bool = False,
    bounds: Bounds | None = None,
) -> Callable[[E], E]:
    """Carry out `events` by the decorated coroutine function; see `Registry.on`."""
    return present().on(*events, name=name, ordered=ordered, outside=outside, routed=routed, bounds=bounds)


def job(
    name: str,
    *,
    cron: str | None = None,
    zone: str = "UTC",
    each_program: bool = False,
    catch_up: CatchUp = CatchUp.LATEST,
    version: int = 1,
    upgrade: Upgrade | None = None,
    bounds: Bounds | None = None,
) -> Callable[[J], J]:
    """Run the decorated coroutine function on a schedule or when asked for; see `Registry.job`."""
    return present().job(
        name,
        cron=cron,
        zone=zone,
        each_program=each_program,
        catch_up=catch_up,
        version=version,
        upgrade=upgrade,
        bounds=bounds,
    )


def handlers_json() -> str:
    """JSON of {event name: [handler names]}: pass it as `p_handlers` to the SQL functions that record events."""
    return present().handlers_json()
