"""What a subscriber gets: a snapshot of the state, or a change of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from engage.realtime.cursor import Cursor
from engage.realtime.rings import Ring

S = TypeVar("S")

Lag = Literal["coalesce", "close"]
"""What becomes of a subscriber that takes deliveries more slowly than they come.

`coalesce`, for states: newer replaces older. `close`, for facts: it is ended with TooSlow, and resumes.
"""


@dataclass(frozen=True, slots=True)
class StateAt(Generic[S]):
    """A state together with the stream's head and the epoch, all three read by one statement."""

    state: S
    position: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[S]):
    """The present state. `reset` says that what the client knew before must be thrown away."""

    state: S
    cursor: Cursor
    reset: bool


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Change:
    """An event. One that stands for several of its topic covers them from `from_position` on.

    All subscribers of a stream get the same object, so a frame serialised for it can be kept by its identity, in a
    WeakKeyDictionary.
    """

    ring: Ring
    cursor: Cursor
    from_position: int

    @property
    def position(self) -> int:
        """Position of the newest event that this covers."""
        return self.ring.position
