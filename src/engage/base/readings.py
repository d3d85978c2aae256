"""Reading something of many members at once: the readings of several domains go to the database together.

A page asks each domain for what it shows of each member. Read one by one that would be a round trip for each; put
together into one statement it is a single one.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import orjson

from engage.base import db
from engage.base.errors import NotFound

R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Reading(Generic[R]):
    """Something that can be read of many members at once, published by a domain for others to read together.

    `sql` answers rows of (key text, value json), takes an array of ids as $1 and what else it needs as $2, $3 …;
    `decode` makes a plain value of the JSON; `absent` is the value for a member who has no row.
    """

    sql: str
    decode: Callable[[Any], R]
    absent: R


@dataclass(frozen=True, slots=True)
class Fetch(Generic[R]):
    """A reading of certain members with its arguments."""

    reading: Reading[R]
    members: tuple[UUID, ...]
    args: tuple[object, ...] = ()


@functools.lru_cache(maxsize=256)
def _together(readings: tuple[tuple[str, int], ...]) -> str:
    parts, offset = [], 0
    for number, (sql, count) in enumerate(readings):
        shifted = sql
        for index in range(count, 0, -1):
            shifted = shifted.replace(f"${index}", f"$§{index + offset}")
        parts.append(f"SELECT {number} AS part, r.* FROM ({shifted}) AS r (key, value)")  # noqa: S608 -- our own SQL
        offset += count
    return " UNION ALL ".join(parts).replace("$§", "$")


async def fetch_together(fetches: Sequence[Fetch[Any]]) -> list[dict[str, Any]]:
    """Do several readings in one round trip; answers for each one its decoded values by member id (as text)."""
    sql = _together(tuple((one.reading.sql, 1 + len(one.args)) for one in fetches))
    values = [value for one in fetches for value in (list(one.members), *one.args)]
    found: list[dict[str, Any]] = [{} for _ in fetches]
    for part, key, value in await db.fetch(sql, *values):
        found[part][key] = fetches[part].reading.decode(orjson.loads(value))
    return found


class Read(Protocol):
    """How one thing is read: by itself, or together with whatever else is asked for meanwhile."""

    def __call__(self, reading: Reading[R], member_id: UUID, /, *args: object) -> Awaitable[R]:
        """The reading's value for one member, or for whatever else its ids are of."""


async def read_alone(reading: Reading[R], member_id: UUID, /, *args: object) -> R:
    """Read one thing in a round trip of its own."""
    [found] = await fetch_together([Fetch(reading, (member_id,), args)])
    value: R = found.get(str(member_id), reading.absent)
    return value


def moment_of(value: str | None) -> datetime | None:
    """A moment in what a reading answers, where there is one."""
    return None if value is None else datetime.fromisoformat(value)


def there(record: R | None, what: str) -> R:
    """What was looked up by its id, if it is there. Raises NotFound: call it once it is known who may be told."""
    if record is None:
        raise NotFound(f"There is no such {what}.", path=["id"])
    return record
