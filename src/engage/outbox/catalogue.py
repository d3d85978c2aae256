"""The wire names of all events that there are, so that who names one can be told whether it exists.

They are read out of the `events` rooms: the names of `Event` classes, and constants that hold the name of an event
which SQL functions record by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import ModuleType

from engage.outbox.events import Event

WIRE_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\.v[1-9][0-9]*")

_known: set[str] = set()


def learn_events(rooms: Iterable[ModuleType]) -> None:
    """Take the wire names of these modules into the catalogue; again is harmless."""
    for room in rooms:
        _known.update(_names_of(room))


def known_events() -> list[str]:
    """All wire names, sorted."""
    return sorted(_known)


def _names_of(room: ModuleType) -> Iterable[str]:
    for value in vars(room).values():
        if isinstance(value, str) and WIRE_NAME.fullmatch(value):
            yield value
        elif isinstance(value, type) and issubclass(value, Event) and value.__module__ == room.__name__:
            yield value.NAME
