"""What an operation carries with it: who calls, in which request, and what reads for all its fields at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from strawberry.types import Info

from engage.api.budget.limiter import Charge, Limiter, network_of
from engage.base import clock
from engage.base.actor import Actor, Scope, require_scope
from engage.base.errors import Unauthenticated
from engage.base.grants import Grant
from engage.base.ids import new_id
from engage.base.origin import Origin, Via
from engage.base.readings import Fetch, Read, Reading, fetch_together
from engage.base.settings import Settings
from engage.realtime.hub import Hub

T = TypeVar("T")
Call = tuple[Reading[Any], tuple[object, ...]]


class Together:
    """Collects what the fields of one operation ask for and reads it in one round trip.

    Fields are read together, whatever they read and of however many members, as long as each turn of the event loop
    asks for more. Nothing is kept afterwards, so that a subscription never sees an old row.
    """

    def __init__(self) -> None:
        self._wanted: dict[Call, dict[UUID, asyncio.Future[Any]]] = {}
        self._asked = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, reading: Reading[T], member_id: UUID, *args: object) -> asyncio.Future[T]:
        """The reading's value for one member, when the present turn's statement has answered."""
        if not self._wanted:
            asyncio.get_running_loop().call_soon(self._start, self._asked)
        self._asked += 1
        of_members = self._wanted.setdefault((reading, args), {})
        future = of_members.get(member_id)
        if future is None:
            future = of_members[member_id] = asyncio.get_running_loop().create_future()
        return future

    def _start(self, asked: int) -> None:
        loop = asyncio.get_running_loop()
        if self._asked != asked:
            loop.call_soon(self._start, self._asked)  # more was asked for in this turn: so may be in the next
            return
        wanted, self._wanted = self._wanted, {}
        task = loop.create_task(_read(wanted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _read(wanted: dict[Call, dict[UUID, asyncio.Future[Any]]]) -> None:
    try:
        fetches = [Fetch(reading, tuple(members), args) for (reading, args), members in wanted.items()]
        answers = await fetch_together(fetches)
    except BaseException as error:
        for members in wanted.values():
            for future in members.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # marked as seen: whoever still waits gets it, nobody else has to
        if not isinstance(error, Exception):
            raise
        return
    for ((reading, _), members), found in zip(wanted.items(), answers, strict=True):
        for member_id, future in members.items():
            if not future.done():
                future.set_result(found.get(str(member_id), reading.absent))


@dataclass(slots=True)
class Context:
    """One operation's surroundings. A socket makes a fresh one for each operation and for each event.

    `grant` is what the caller came with, `via` and `address` say where from. `deadline` is the moment, on the event
    loop's clock, at which a command of the operation is given up. `charge` is what it cost, once it is admitted.
    `now` is that of all its reads which are to agree, and so can be read together.
    """

    grant: Grant | None
    hub: Hub
    config: Settings
    limiter: Limiter
    address: str | None
    deadline: float | None = None
    charge: Charge | None = None
    request_id: str = field(default_factory=lambda: str(new_id()))
    together: Together = field(default_factory=Together)
    now: datetime = field(default_factory=clock.now)
    via: Via = Via.HTTP

    @property
    def caller(self) -> Actor | None:
        """Who calls; None for one who came without a token."""
        return None if self.grant is None else self.grant.actor

    @property
    def actor(self) -> Actor:
        """Who calls. Raises Unauthenticated where no token came."""
        if self.grant is None:
            raise Unauthenticated("This takes a token: send the header Authorization: Bearer <token>.")
        return self.grant.actor

    @property
    def network(self) -> str:
        """What the operation's address is limited as."""
        return network_of(self.address)

    @property
    def origin(self) -> Origin:
        """Where the operation comes from."""
        credential = None if self.grant is None else self.grant.credential
        return Origin(self.via, self.request_id, self.address, credential)

    def fresh(self) -> Context:
        """The same caller and request with a loader of its own."""
        return Context(
            self.grant,
            self.hub,
            self.config,
            self.limiter,
            self.address,
            self.deadline,
            request_id=self.request_id,
            via=self.via,
        )


def loading(info: Info, scope: Scope) -> Read:
    """What reads for a field of a thing that the caller may see, if they have the scope for it. Raises Forbidden."""
    context = context_of(info)
    require_scope(context.actor, scope)
    return context.together.load


def context_of(info: Info) -> Context:
    """The context behind a resolver's `info`."""
    context: Context = info.context
    return context
